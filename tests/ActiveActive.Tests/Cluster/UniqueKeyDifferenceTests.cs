using ActiveActive.Diagnostics;
using ActiveActive.Testing;
using ActiveActive.Testing.Database;
using ActiveActive.Transport;
using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace ActiveActive.Tests.Cluster;

/// <summary>Unique keys that are not the same on all nodes: told, and nobody is refused for it.</summary>
public sealed class UniqueKeyDifferenceTests
{
    [Fact]
    public async Task Difference_is_told_until_both_nodes_agree()
    {
        var log = new LogLines();
        await using var cluster = await InMemoryCluster.StartAsync(["a", "b", "c"], options =>
        {
            options.Loggers = log;
            options.Table(new TableDefinition("people", "id text", "e integer", "n text") { UniqueKeys = ["e"] });
        });
        var (a, b, c) = (cluster[0], cluster[1], cluster[2]);
        await cluster.PassAsync(TimeSpan.FromSeconds(30));
        Assert.All(cluster.Nodes, node => Assert.All(node.Replication.Status.Peers, p => Assert.Empty(p.UniqueKeyDifferences)));
        Assert.Equal(HealthStatus.Healthy, (await HealthAsync(a)).Status);

        // An index is made node by node: here on a first. The order of its columns makes no difference.
        var onE = new InMemoryUniqueKey("e", [1]);
        a.Database.ReplaceUniqueKeys(a.Tables[0], onE, new InMemoryUniqueKey("both", [2, 1]) { NullsNotDistinct = true });
        await cluster.UntilAsync("a and its peers tell it", () => a.StatusOf(b).UniqueKeyDifferences.Count > 0 && a.StatusOf(c).UniqueKeyDifferences.Count > 0 && b.StatusOf(a).UniqueKeyDifferences.Count > 0);
        var difference = "public.people (e, n) NULLS NOT DISTINCT is unique on 'a' only";
        Assert.Equal([difference], a.StatusOf(b).UniqueKeyDifferences);
        Assert.Equal([difference], b.StatusOf(a).UniqueKeyDifferences);
        Assert.Empty(b.StatusOf(c).UniqueKeyDifferences);
        Assert.Equal(PeerLinkState.Streaming, a.StatusOf(b).Receiving);
        var health = await HealthAsync(b);
        Assert.Equal(HealthStatus.Degraded, health.Status);
        Assert.Contains(difference, health.Description, StringComparison.Ordinal);

        await cluster.PassAsync(TimeSpan.FromMinutes(2));
        // By a of two peers, and by each of these.
        Assert.Equal(4, log.Lines.Count(l => l.StartsWith("AA3029", StringComparison.Ordinal)));

        b.Database.ReplaceUniqueKeys(b.Tables[0], onE, new InMemoryUniqueKey("other", [1, 2]) { NullsNotDistinct = true });
        await cluster.UntilAsync("a and b agree", () => a.StatusOf(b).UniqueKeyDifferences.Count == 0 && b.StatusOf(a).UniqueKeyDifferences.Count == 0);
        Assert.Equal([difference], a.StatusOf(c).UniqueKeyDifferences);
        Assert.Equal(["public.people (e, n) NULLS NOT DISTINCT is unique on 'b' only"], c.StatusOf(b).UniqueKeyDifferences);
        c.Database.ReplaceUniqueKeys(c.Tables[0], onE, new InMemoryUniqueKey("both", [2, 1]) { NullsNotDistinct = true });
        await cluster.UntilAsync("all agree", () => cluster.Nodes.All(n => n.Replication.Status.Peers.All(p => p.UniqueKeyDifferences.Count == 0)));
        Assert.Equal(HealthStatus.Healthy, (await HealthAsync(a)).Status);
    }

    [Fact]
    public async Task More_keys_than_are_told_are_no_difference()
    {
        string[] columns = [.. Enumerable.Range(0, FrameLimits.MaxUniqueKeys + 1).Select(i => $"c{i}")];
        await using var cluster = await InMemoryCluster.StartAsync(["a", "b"], options => options
            .Table(new TableDefinition("wide", ["id text", .. columns.Select(c => $"{c} integer")]) { UniqueKeys = columns }));
        await cluster.PassAsync(TimeSpan.FromSeconds(30));
        Assert.All(cluster.Nodes, node => Assert.Empty(Assert.Single(node.Replication.Status.Peers).UniqueKeyDifferences));
        cluster[0].Database.ReplaceUniqueKeys(cluster[0].Tables[0], [.. columns.Skip(1).Select((c, i) => new InMemoryUniqueKey(c, [i + 2]))]);
        await cluster.UntilAsync("a difference is told", () => cluster.Nodes.All(n => n.Replication.Status.Peers.Single().UniqueKeyDifferences.Count > 0));
    }

    private static Task<HealthCheckResult> HealthAsync(InMemoryNode node) => new ReplicationHealthCheck(node.Replication).CheckHealthAsync(new HealthCheckContext(), TestContext.Current.CancellationToken);
}
