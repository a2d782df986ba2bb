using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using ActiveActive.Diagnostics;
using ActiveActive.Testing;
using ActiveActive.Testing.Database;
using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace ActiveActive.Tests.Cluster;

/// <summary>Foreign keys in memory: what applications may write, and what becomes of orphans.</summary>
public sealed class OrphanTests
{
    [Fact]
    [Trait("Story", "10")]
    public async Task Local_writes_satisfy_foreign_keys_and_applied_ones_need_not()
    {
        await using var cluster = await StartAsync(OrphanPolicy.Keep, "a", "b");
        var (a, b) = (cluster[0], cluster[1]);
        await RefusedAsync(() => a.InsertAsync("pets", ("id", "1"), ("owner", "p")));
        await a.InsertAsync("owners", ("id", "p"));
        await a.InsertAsync("pets", ("id", "1"), ("owner", "p"), ("friend", "1"));
        await a.InsertAsync("pets", ("id", "2"));
        await RefusedAsync(() => a.UpdateAsync("pets", ("id", "2"), ("owner", "nobody")));
        await RefusedAsync(() => a.DeleteAsync("owners", "p"));
        await RefusedAsync(() => a.TransactAsync(t => t.UpdateAsync("owners", ["p"], Row.Of(("id", "q")))));
        await RefusedAsync(() => a.TruncateAsync("owners"));
        await cluster.ConvergeAsync();
        await a.DeleteAsync("pets", "1");
        await a.DeleteAsync("owners", "p");
        await b.InsertAsync("pets", ("id", "3"), ("owner", "p"));
        await cluster.ConvergeAsync();
        foreach (var node in cluster.Nodes)
        {
            Assert.Equal(["2", "3"], node.ReadAll("pets").Select(r => r["id"]));
            Assert.Equal(["public.pets 3 pets_owner_fkey p Keep"], await OrphansAsync(node));
        }
    }

    [Fact]
    [Trait("Story", "10")]
    public async Task Kept_orphan_stays_and_the_status_of_every_node_tells_it()
    {
        await using var cluster = await OrphanAsync(OrphanPolicy.Keep);
        await cluster.UntilAsync("all report it", () => cluster.Nodes.All(n => StatusOf(n) is { Orphans: 1, Quarantined: 0, Message: null }));
        await cluster.PassAsync(TimeSpan.FromSeconds(10));
        Assert.All(cluster.Nodes, node => Assert.Equal("p", node.Read("pets", "1")!["owner"]));
    }

    [Theory]
    [InlineData(OrphanPolicy.Keep, 1, 0)]
    [InlineData(OrphanPolicy.Quarantine, 0, 1)]
    [Trait("Story", "10")]
    public async Task Meter_and_health_tell_of_orphans_and_of_rows_out_of_sight(OrphanPolicy policy, int orphans, int quarantined)
    {
        // The meter is the process's: the nodes have names of their own.
        var measured = new ConcurrentBag<(string Instrument, int Value, string Tags)>();
        using var meters = new MeterListener { InstrumentPublished = (instrument, listener) => { if (instrument.Meter.Name == "ActiveActive") listener.EnableMeasurementEvents(instrument); } };
        meters.SetMeasurementEventCallback<int>((instrument, value, tags, _) => measured.Add((instrument.Name, value, string.Join(",", tags.ToArray().Select(t => $"{t.Key}={t.Value}")))));
        meters.Start();
        var name = $"orphans-{policy}".ToLowerInvariant();
        await using var cluster = await StartAsync(policy, name, "b", "c");
        await OrphanAsync(cluster);
        var node = cluster[0];
        await cluster.UntilAsync("it is found or out of sight", () => StatusOf(node) is { } status && status.Orphans == orphans && status.Quarantined == quarantined);
        meters.RecordObservableInstruments();
        var tags = $"node={name},table=public.pets,constraint=pets_owner_fkey";
        Assert.Contains(("active_active.orphans", orphans, tags), measured);
        Assert.Contains(("active_active.orphans.quarantined", quarantined, tags), measured);
        var health = await new ReplicationHealthCheck(node.Replication).CheckHealthAsync(new HealthCheckContext());
        Assert.Equal(HealthStatus.Healthy, health.Status);
        Assert.Equal($"{orphans} orphans ({policy}), {quarantined} out of sight", health.Data["public.pets pets_owner_fkey"]);
        Assert.DoesNotContain("public.pets pets_friend_fkey", health.Data.Keys);
    }

    [Fact]
    [Trait("Story", "10")]
    public async Task Orphan_is_set_to_null_by_one_node_and_all_have_it()
    {
        await using var cluster = await OrphanAsync(OrphanPolicy.SetNull);
        await cluster.UntilAsync("no orphan is left", () => cluster.Nodes.All(n => StatusOf(n)?.Orphans == 0 && n.Read("pets", "1")!["owner"] is null));
        await cluster.ConvergeAsync();
        Assert.All(cluster.Nodes, node => Assert.Equal("of b", node.Read("pets", "1")!["name"]));
        await cluster.PassAsync(TimeSpan.FromSeconds(10));
        Assert.All(cluster.Nodes, node => Assert.Empty(node.Conflicts));
        // The first by name wrote it, after its own parents; nobody else wrote anything.
        Assert.Equal([3, 1, 0], cluster.Nodes.Select(n => n.Replication.Status.PublishedTransactions));
    }

    [Fact]
    [Trait("Story", "10")]
    public async Task Another_node_treats_an_orphan_where_the_first_does_not()
    {
        // Called for one node after the other: only b checks.
        var nodes = 0;
        await using var cluster = await InMemoryCluster.StartAsync(["a", "b", "c"], options => Tables(options)
            .Node(node => node.Replicate("public.pets", table => table.OnOrphan(OrphanPolicy.SetNull)).With(o => o.OrphanCheckInterval = nodes++ == 1 ? TimeSpan.FromSeconds(1) : TimeSpan.Zero)));
        await OrphanAsync(cluster);
        await cluster.UntilAsync("b has set it to null everywhere", () => cluster.Nodes.All(n => n.Read("pets", "1")!["owner"] is null));
    }

    [Fact]
    [Trait("Story", "10")]
    public async Task Nothing_is_written_while_a_node_is_away_that_may_have_the_parent()
    {
        await using var cluster = await OrphanAsync(OrphanPolicy.SetNull, beforeChecks: c => c.Crash(c[2]));
        await cluster.PassAsync(TimeSpan.FromSeconds(30));
        Assert.Equal(("p", 1), (cluster[0].Read("pets", "1")!["owner"], StatusOf(cluster[0])!.Orphans));
        await cluster.RestartAsync(cluster[2]);
        await cluster.UntilAsync("it is set to null everywhere", () => cluster.Nodes.All(n => n.Read("pets", "1")!["owner"] is null));
    }

    [Fact]
    [Trait("Story", "10")]
    public async Task Quarantined_child_is_whole_on_every_node_and_back_with_its_parent()
    {
        await using var cluster = await OrphanAsync(OrphanPolicy.Quarantine);
        await cluster.UntilAsync("it is out of sight", () => cluster.Nodes.All(n => n.Read("pets", "1") is null && StatusOf(n) is { Orphans: 0, Quarantined: 1 }));
        await cluster.ConvergeAsync();
        foreach (var node in cluster.Nodes)
        {
            var orphan = Assert.Single(await node.Replication.ReadQuarantinedOrphansAsync());
            Assert.Equal(("public.pets", "1", "pets_owner_fkey", "p", "of b", false),
                (orphan.Table.ToString(), orphan.Key[0], orphan.Constraint, orphan.Row["owner"], orphan.Row["name"], orphan.IsReplaced));
        }

        Assert.False(await cluster[1].Replication.ReturnOrphanAsync(TableName.Parse("public.pets"), ["1"]));
        await cluster[2].InsertAsync("owners", ("id", "p"));
        await cluster.UntilAsync("it is back", () => cluster.Nodes.All(n => n.Read("pets", "1") is { } row && row["name"] == "of b" && row["owner"] == "p"));
        await cluster.ConvergeAsync();
        foreach (var node in cluster.Nodes) Assert.Empty(await node.Replication.ReadQuarantinedOrphansAsync());
    }

    [Fact]
    [Trait("Story", "10")]
    public async Task Quarantined_child_whose_key_is_taken_is_kept_until_it_is_discarded()
    {
        await using var cluster = await OrphanAsync(OrphanPolicy.Quarantine);
        await cluster.UntilAsync("it is out of sight", () => cluster.Nodes.All(n => n.Read("pets", "1") is null));
        await cluster[1].InsertAsync("pets", ("id", "1"), ("name", "another"));
        await cluster.UntilAsync("that is noted", () => cluster.Nodes.All(n => n.Database.ReadRows(n.Database.OrphanTable!).Any(row => InMemoryOrphans.Read(row).IsReplaced)));
        await cluster[1].DeleteAsync("pets", "1");
        await cluster[1].InsertAsync("owners", ("id", "p"));
        await cluster.ConvergeAsync();
        await cluster.PassAsync(TimeSpan.FromSeconds(10));
        Assert.Null(cluster[0].Read("pets", "1"));
        Assert.True(await cluster[2].Replication.DiscardOrphanAsync(TableName.Parse("public.pets"), ["1"]));
        await cluster.ConvergeAsync();
        Assert.Empty(await cluster[0].Replication.ReadQuarantinedOrphansAsync());
    }

    [Fact]
    [Trait("Story", "10")]
    public async Task Update_that_is_later_than_the_quarantine_brings_the_child_back_until_it_is_treated_again()
    {
        await using var cluster = await OrphanAsync(OrphanPolicy.Quarantine);
        var (a, b) = (cluster[0], cluster[1]);
        await cluster.UntilAsync("a has moved it out of sight, and b does not know yet", () => a.Read("pets", "1") is null && b.Read("pets", "1") is not null);
        await b.UpdateAsync("pets", ("id", "1"), ("name", "newer"));
        await cluster.UntilAsync("the newer row is out of sight", () => cluster.Nodes.All(n => n.Read("pets", "1") is null
            && n.Database.ReadRows(n.Database.OrphanTable!).Any(row => InMemoryOrphans.Read(row) is { IsReplaced: false } orphan && orphan.Row["name"] == "newer")));
        await cluster.ConvergeAsync();
        await b.InsertAsync("owners", ("id", "p"));
        await cluster.UntilAsync("the newer row is back", () => cluster.Nodes.All(n => n.Read("pets", "1")?["name"] == "newer"));
    }

    [Fact]
    public async Task Policy_of_a_foreign_key_is_found_by_its_name_or_its_columns_and_must_fit()
    {
        await Assert.ThrowsAsync<ArgumentException>(() => InMemoryCluster.StartAsync(["a"], o => Tables(o).Node(n => n.Replicate("public.pets", t => t.OnOrphan("nothing", OrphanPolicy.SetNull)))));
        await Assert.ThrowsAsync<ArgumentException>(() => InMemoryCluster.StartAsync(["a"], o => o.Table("owners", "id text")
            .Table(new TableDefinition("cards", "owner text") { ForeignKeys = ["owner REFERENCES owners"] }).Node(n => n.Replicate("public.*", t => t.OnOrphan(OrphanPolicy.SetNull)))));
        await using var cluster = await InMemoryCluster.StartAsync(["a"], o => Tables(o).Node(n => n.Replicate("public.pets",
            t => t.OnOrphan(OrphanPolicy.Quarantine).OnOrphan("pets_friend_fkey", OrphanPolicy.Keep).OnOrphan("owner", OrphanPolicy.SetNull)).With(o => o.OrphanCheckInterval = TimeSpan.FromSeconds(1))));
        await cluster.UntilAsync("there was a check", () => cluster[0].Replication.Status.ForeignKeys.Count == 2);
        Assert.Equal([OrphanPolicy.Keep, OrphanPolicy.SetNull], cluster[0].Replication.Status.ForeignKeys.Select(k => k.Policy));
    }

    private static InMemoryClusterOptions Tables(InMemoryClusterOptions options) => options
        .Table("owners", "id text", "name text")
        .Table(new TableDefinition("pets", "id integer", "owner text", "name text", "friend integer") { ForeignKeys = ["owner REFERENCES owners", "friend REFERENCES pets (id)"] });

    private static Task<InMemoryCluster> StartAsync(OrphanPolicy policy, params string[] names) => InMemoryCluster.StartAsync(names, options => Tables(options)
        .Node(node => node.Replicate("public.pets", table => table.OnOrphan("owner", policy)).With(o => o.OrphanCheckInterval = TimeSpan.FromSeconds(1))));

    private static async Task<InMemoryCluster> OrphanAsync(OrphanPolicy policy, Action<InMemoryCluster>? beforeChecks = null)
    {
        var cluster = await StartAsync(policy, "a", "b", "c");
        await OrphanAsync(cluster, beforeChecks);
        return cluster;
    }

    /// <summary>A deletes the parent of a child that B inserts.</summary>
    private static async Task OrphanAsync(InMemoryCluster cluster, Action<InMemoryCluster>? beforeChecks = null)
    {
        await cluster[0].InsertAsync("owners", ("id", "p"));
        await cluster.ConvergeAsync();
        await cluster[0].DeleteAsync("owners", "p");
        await cluster[1].InsertAsync("pets", ("id", "1"), ("owner", "p"), ("name", "of b"));
        beforeChecks?.Invoke(cluster);
        if (beforeChecks is null) await cluster.ConvergeAsync();
    }

    private static ForeignKeyStatus? StatusOf(InMemoryNode node) => node.Replication.Status.ForeignKeys.FirstOrDefault(k => k.Constraint == "pets_owner_fkey");

    private static async Task RefusedAsync(Func<Task> write) =>
        Assert.Equal(ReplicationErrorKind.ApplyRefused, (await Assert.ThrowsAsync<ReplicationException>(write)).Kind);

    private static async Task<List<string>> OrphansAsync(InMemoryNode node)
    {
        var found = new List<string>();
        await foreach (var orphan in node.Replication.FindOrphansAsync()) found.Add($"{orphan.Table} {orphan.Key[0]} {orphan.Constraint} {orphan.Values[0]} {orphan.Policy}");
        return found;
    }
}
