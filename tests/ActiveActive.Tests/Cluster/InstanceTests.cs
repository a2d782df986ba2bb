using ActiveActive.Testing;
using ActiveActive.Transport;

namespace ActiveActive.Tests.Cluster;

/// <summary>Two instances of one application over one database in memory: one leads, the other stands by.</summary>
public sealed class InstanceTests
{
    [Fact]
    [Trait("Story", "31")]
    public async Task Second_instance_of_an_application_waits_until_the_first_is_gone()
    {
        await using var cluster = await TestTables.StartAsync("a", "b");
        var a = cluster[0];
        await a.PutAsync("delta", "1", "x", "0");
        await cluster.ConvergeAsync();
        var twin = await StartTwinAsync(cluster, a);
        foreach (var node in cluster.Nodes) await node.AddAsync("delta", "n", 1, "1");
        await cluster.PassAsync(TimeSpan.FromSeconds(10));
        await cluster.ConvergeAsync();
        Assert.All(cluster.Nodes, node => Assert.Equal("x|2", node.Text("delta", "1")));
        Assert.Equal((0, NodeState.Running), (twin.Status.PublishedTransactions, a.Replication.Status.State));

        await cluster.RunAsync("the first instance has ended", async () =>
        {
            await a.TakeOverAsync(twin);
            return true;
        });
        foreach (var node in cluster.Nodes) await node.AddAsync("delta", "n", 10, "1");
        await cluster.ConvergeAsync();
        Assert.All(cluster.Nodes, node => Assert.Equal("x|22", node.Text("delta", "1")));
        Assert.Equal(NodeState.Running, twin.Status.State);
    }

    [Fact]
    [Trait("Story", "31")]
    public async Task Leader_that_is_frozen_is_replaced_and_when_it_wakes_nothing_is_applied_twice()
    {
        await using var cluster = await TestTables.StartAsync("a", "b");
        var a = cluster[0];
        await a.PutAsync("delta", "1", "x", "0");
        await cluster.ConvergeAsync();
        var twin = await StartTwinAsync(cluster, a);
        using var registration = a.Register(twin);
        // The peers' streams still come from the frozen one's memory, and it does not know.
        var wake = a.Database.EndLead();
        await cluster.UntilAsync("the second instance leads", () => twin.Status.State == NodeState.Running);
        foreach (var node in cluster.Nodes) await node.AddAsync("delta", "n", 1, "1");
        await cluster.PassAsync(TimeSpan.FromSeconds(5));
        await cluster.RunAsync("the first wakes", () =>
        {
            wake();
            return Task.FromResult(true);
        });
        foreach (var node in cluster.Nodes) await node.AddAsync("delta", "n", 10, "1");
        await cluster.UntilAsync("the first stands by", () => a.Replication.Status is { State: NodeState.Standby });
        await cluster.UntilAsync("b is connected with the one that leads", () => twin.Status.Peers[0] is { Receiving: PeerLinkState.Streaming, Sending: PeerFeedState.Streaming });
        await cluster.UntilAsync("both have all", () => cluster.Nodes.All(node => node.Text("delta", "1") == "x|22"));
        await cluster.PassAsync(TimeSpan.FromSeconds(10));
        Assert.All(cluster.Nodes, node => Assert.Equal("x|22", node.Text("delta", "1")));

        await EndAsync(cluster, twin);
        await cluster.UntilAsync("the first leads again", () => a.Replication.Status.State == NodeState.Running);
        foreach (var node in cluster.Nodes) await node.AddAsync("delta", "n", 100, "1");
        await cluster.UntilAsync("both have all again", () => cluster.Nodes.All(node => node.Text("delta", "1") == "x|222"));
    }

    [Fact]
    [Trait("Story", "31")]
    public async Task Peer_that_reaches_an_instance_that_stands_by_dials_on_until_it_reaches_the_leader()
    {
        await using var cluster = await TestTables.StartAsync(["a", "b"], options => options.ReconnectDelay = options.MaxReconnectDelay = TimeSpan.FromMinutes(1));
        var (a, b) = (cluster[0], cluster[1]);
        var twin = await StartTwinAsync(cluster, a);
        using var registration = a.Register(twin);
        // The next dial reaches the twin, and without a wake-up by an inbound connection.
        await cluster.RunAsync("b has turned to the twin", async () =>
        {
            await a.Replication.StopAsync(new CancellationToken(canceled: true));
            return true;
        });
        await cluster.UntilAsync("the twin leads and b receives from it", () => twin.Status.State == NodeState.Running && b.StatusOf(a).Receiving == PeerLinkState.Streaming);
        await a.PutAsync("lww", "1", "x");
        await cluster.UntilAsync("b has it", () => b.Text("lww", "1") == "x");
        await EndAsync(cluster, twin);
    }

    private static async Task<ReplicationNode> StartTwinAsync(InMemoryCluster cluster, InMemoryNode node)
    {
        var twin = node.CreateTwin();
        await cluster.RunAsync("the second instance has started", () =>
        {
            twin.Start();
            return Task.FromResult(true);
        });
        await cluster.UntilAsync("the second instance stands by", () => twin.Status is { State: NodeState.Standby, Message: null });
        return twin;
    }

    private static Task<bool> EndAsync(InMemoryCluster cluster, ReplicationNode twin) => cluster.RunAsync("the second instance has ended", async () =>
    {
        await twin.DisposeAsync();
        return true;
    });
}
