using ActiveActive.Postgres.Tests.Cluster;
using ActiveActive.Testing;

namespace ActiveActive.Postgres.Tests.Stories;

/// <summary>Stories of the network between real nodes: black holes, lines that stall and flap, peers that take nothing.</summary>
[Collection(nameof(ClusterServers))]
public sealed class NetworkStories(ClusterServers servers)
{
    private const string Schema = "CREATE TABLE notes (id int PRIMARY KEY, body text); CREATE TABLE counters (id int PRIMARY KEY, n bigint NOT NULL);";

    private static void Configure(ReplicationNodeBuilder node) => node.Replicate("public.*").Replicate("public.counters", table => table.DeltaColumn("n"));

    /// <summary>Bytes vanish and nobody is told, as when a firewall has forgotten a connection: neither side may wait for ever.</summary>
    [Fact]
    [Trait("Story", "19")]
    public async Task Black_hole_is_noticed_on_both_sides_and_what_was_written_meanwhile_arrives()
    {
        await using var cluster = await TestCluster.StartAsync(await servers.GetAsync(18, 15), Schema, Configure);
        var (a, b) = (cluster[0], cluster[1]);
        await using var toA = FaultProxy.Start(a.Port);
        await using var toB = FaultProxy.Start(b.Port);
        foreach (var (node, peer, line) in new[] { (a, "b", toB), (b, "a", toA) })
        {
            await node.StopAsync();
            await node.StartAsync(n => n.AddPeer(peer, line.Address).With(o => o.ReadTimeout = TimeSpan.FromSeconds(2)));
        }

        await a.ExecuteAsync("INSERT INTO counters VALUES (1, 0)");
        await cluster.QuietAsync();
        toA.BlackHole();
        toB.BlackHole();
        foreach (var node in cluster.Nodes) await node.ExecuteAsync("UPDATE counters SET n = n + 1");
        await cluster.UntilAsync("both nodes know, receiving and sending, that the other is gone", () => Task.FromResult(cluster.Nodes.All(n =>
            n.Node.Status.Peers.All(p => p is { Receiving: not PeerLinkState.Streaming, Sending: PeerFeedState.Disconnected }))));
        foreach (var node in cluster.Nodes) await node.ExecuteAsync("UPDATE counters SET n = n + 1");

        foreach (var line in new[] { toA, toB })
        {
            line.Heal();
            line.Cut();
        }

        await cluster.QuietAsync();
        await cluster.AssertEverywhereAsync("(1,4)", "SELECT * FROM counters");
    }

    /// <summary>The sender gets no byte through to one peer, and no answer: the rest of the mesh must not notice, and its memory must not grow.</summary>
    [Fact]
    [Trait("Story", "22")]
    public async Task Peer_that_takes_nothing_holds_up_nobody()
    {
        await using var cluster = await TestCluster.StartAsync(await servers.GetAsync(18, 15, 18), Schema, node => { Configure(node); node.With(o => o.ChangeLogBytes = 1 << 20); });
        var (a, c) = (cluster[0], cluster[2]);
        await using var line = FaultProxy.Start(a.Port);
        await c.StopAsync();
        // It would ask b for a's transactions otherwise.
        await c.StartAsync(node => node.AddPeer("a", line.Address).With(o => o.RelayAfter = TimeSpan.FromHours(1)));
        await cluster.QuietAsync();
        line.Upstream.IsStalled = line.Downstream.IsStalled = true;
        for (var i = 0; i < 40; i++) await a.ExecuteAsync($"INSERT INTO notes SELECT {i} * 100 + g, repeat('x', 2000) FROM generate_series(1, 100) g");
        await cluster.UntilAsync("b has all of a's rows", async () => await cluster[1].ScalarAsync<long>("SELECT count(*) FROM notes") == 4000);
        Assert.InRange(a.Node.Run!.Capture.Log.Bytes, 1, 1 << 20);
        Assert.True(await c.ScalarAsync<long>("SELECT count(*) FROM notes") < 4000, "The line to c was not stalled.");
        line.Heal();
        await cluster.QuietAsync();
        await cluster.AssertIdenticalAsync("notes");
    }

    /// <summary>Connections are reset wherever they stand, again and again, while all nodes write: each step counts once.</summary>
    [Fact]
    [Trait("Story", "19")]
    [Trait("Story", "20")]
    public async Task Lines_that_flap_lose_and_double_nothing()
    {
        await using var cluster = await TestCluster.StartAsync(await servers.GetAsync(15, 18), Schema, Configure);
        var (a, b) = (cluster[0], cluster[1]);
        await using var toA = FaultProxy.Start(a.Port);
        await using var toB = FaultProxy.Start(b.Port);
        foreach (var (node, peer, line) in new[] { (a, "b", toB), (b, "a", toA) })
        {
            await node.StopAsync();
            await node.StartAsync(n => n.AddPeer(peer, line.Address).With(o => o.MaxReconnectDelay = TimeSpan.FromMilliseconds(50)));
        }

        await a.ExecuteAsync("INSERT INTO counters VALUES (1, 0)");
        await cluster.QuietAsync();
        for (var round = 1; round <= 10; round++)
        {
            foreach (var node in cluster.Nodes)
            {
                for (var i = 0; i < 20; i++) await node.ExecuteAsync("UPDATE counters SET n = n + 1");
            }

            // Not at rest: some of what was written is on its way.
            var (passedA, passedB) = (toA.Downstream.PassedBytes, toB.Downstream.PassedBytes);
            toA.Cut();
            toB.Close();
            await cluster.UntilAsync("both are connected again", () => Task.FromResult(toA.Downstream.PassedBytes > passedA && toB.Downstream.PassedBytes > passedB));
        }

        await cluster.QuietAsync();
        await cluster.AssertEverywhereAsync("(1,400)", "SELECT * FROM counters");
    }
}
