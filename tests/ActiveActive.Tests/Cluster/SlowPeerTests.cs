using ActiveActive.Testing;
using ActiveActive.Transport;

namespace ActiveActive.Tests.Cluster;

/// <summary>Peers that are slow or come and go leave the others alone.</summary>
public sealed class SlowPeerTests
{
    [Fact]
    [Trait("Story", "22")]
    public async Task Slow_peer_among_fast_ones_delays_nobody_and_catches_up()
    {
        const int Rows = 800;
        const int RowCharacters = 10_000;
        const int LogBytes = 1 << 20;
        await using var cluster = await TestTables.StartAsync(["a", "b", "c"], options => options.ChangeLogBytes = LogBytes);
        var (a, b, c) = (cluster[0], cluster[1], cluster[2]);
        await a.PutAsync("lww", "slow", "x");
        await cluster.ConvergeAsync();
        await c.TransactAsync(async t =>
        {
            // An application's lock stops the applier on c.
            await t.ReadForUpdateAsync("lww", "slow");
            await a.SetAsync("lww", "slow", "y");
            for (var i = 0; i < Rows; i++) await a.PutAsync("lww", $"{i}", new string('v', RowCharacters));
            await cluster.UntilAsync("b has all of a's rows", () => b.ReadAll("lww").Count == Rows + 1);
            Assert.Single(c.ReadAll("lww"));
            // Of 8 MB, a's log keeps what it may. On c the queue is full, beside what is being applied and what waits to get in; the rest is still in a's log.
            Assert.InRange(a.Replication.Run!.Capture.Log.Bytes, 1, LogBytes);
            var received = c.StatusOf(a);
            Assert.InRange((received.ReceivedTransactions - received.AppliedTransactions - 2) * RowCharacters, 1, PeerLink.QueuedCharacters + PeerLink.GroupedCharacters);
        });
        await cluster.ConvergeAsync();
        Assert.Equal(Rows + 1, c.ReadAll("lww").Count);
    }

    /// <summary>A sender hears of a peer only what that says by itself, and nothing is written here for far longer than silence is borne.</summary>
    [Fact]
    [Trait("Story", "19")]
    public async Task Idle_connection_is_kept()
    {
        var log = new LogLines();
        await using var cluster = await TestTables.StartAsync(["a", "b"], static _ => { }, log);
        await cluster.PassAsync(TimeSpan.FromMinutes(2));
        // AA3020: once for each of the two that dial.
        Assert.Equal(2, log.Lines.Count(l => l.Contains("AA3020", StringComparison.Ordinal)));
        Assert.DoesNotContain(log.Lines, l => l.Contains("AA3012", StringComparison.Ordinal));
    }

    [Fact]
    [Trait("Story", "17")]
    public async Task Crash_at_any_moment_neither_loses_nor_doubles_a_step()
    {
        await using var cluster = await TestTables.StartAsync("a", "b");
        var (a, b) = (cluster[0], cluster[1]);
        await a.PutAsync("delta", "1", "x", "0");
        await cluster.ConvergeAsync();
        const int Rounds = 12;
        for (var round = 0; round < Rounds; round++)
        {
            await a.AddAsync("delta", "n", 1, "1");
            await b.AddAsync("delta", "n", 100, "1");
            // A look at a clock takes a microsecond and the log is flushed every 200 ms: captured, sent, applied, flushed, acknowledged.
            await cluster.PassAsync(TimeSpan.FromMicroseconds(1 << (round * 3 / 2)));
            var victim = cluster[round % 2];
            cluster.Crash(victim);
            await cluster.RestartAsync(victim);
        }

        await cluster.ConvergeAsync();
        Assert.All(cluster.Nodes, node => Assert.Equal($"x|{Rounds * 101}", node.Text("delta", "1")));
    }

    [Fact]
    [Trait("Story", "19")]
    public async Task Links_that_flap_delay_and_double_stop_no_local_write_and_converge_when_healed()
    {
        await using var cluster = await TestTables.StartAsync("a", "b", "c");
        var (a, b, c) = (cluster[0], cluster[1], cluster[2]);
        await a.PutAsync("delta", "1", "x", "0");
        await cluster.ConvergeAsync();
        for (var round = 0; round < 8; round++)
        {
            cluster.Partition(a, b);
            cluster.Duplicate(b, c);
            cluster.Delay(c, a, TimeSpan.FromMilliseconds(30 * round));
            cluster.Drop(a, c);
            foreach (var node in cluster.Nodes) Assert.True(await node.AddAsync("delta", "n", 1, "1"));
            await cluster.PassAsync(TimeSpan.FromMilliseconds(50));
            if (round % 2 == 1) cluster.Heal();
        }

        await cluster.ConvergeAsync();
        Assert.All(cluster.Nodes, node => Assert.Equal("x|24", node.Text("delta", "1")));
    }
}
