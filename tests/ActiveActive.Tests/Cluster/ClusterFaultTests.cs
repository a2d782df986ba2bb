using ActiveActive.Testing;

namespace ActiveActive.Tests.Cluster;

/// <summary>Each fault of an <see cref="InMemoryCluster"/> does what it says, and the engine copes with it.</summary>
public sealed class ClusterFaultTests
{
    private static readonly TimeSpan s_second = TimeSpan.FromSeconds(1);

    [Fact]
    [Trait("Story", "19")]
    public async Task Partition_keeps_two_nodes_apart_until_healed()
    {
        // A third node would relay.
        await using var cluster = await TestTables.StartAsync("a", "b");
        var (a, b) = (cluster[0], cluster[1]);
        cluster.Partition(a, b);
        await a.PutAsync("lww", "1", "x");
        await cluster.PassAsync(60 * s_second);
        Assert.Null(b.Text("lww", "1"));
        Assert.Equal(PeerLinkState.Disconnected, b.StatusOf(a).Receiving);
        cluster.Heal();
        await cluster.ConvergeAsync();
        Assert.Equal("x", b.Text("lww", "1"));
    }

    [Fact]
    [Trait("Story", "19")]
    public async Task Delay_lets_all_arrive_so_much_later_in_order_and_only_that_way()
    {
        await using var cluster = await TestTables.StartAsync("a", "b");
        var (a, b) = (cluster[0], cluster[1]);
        cluster.Delay(a, b, 5 * s_second);
        // The delay counts from the first row's commit, so that the clock is read before it.
        var before = cluster.Elapsed;
        for (var i = 0; i < 300; i++) await a.PutAsync("lww", $"{i}", "x");
        await b.PutAsync("lww", "b", "y");
        await cluster.UntilAsync("a has b's row", () => a.Text("lww", "b") is not null);
        Assert.True(cluster.Elapsed - before < s_second);
        await cluster.UntilAsync("b has a's first row", () => b.Text("lww", "0") is not null);
        Assert.InRange(cluster.Elapsed - before, 5 * s_second, 6 * s_second);

        await cluster.ConvergeAsync();
        Assert.InRange(cluster.Elapsed - before, 5 * s_second, 12 * s_second);
        cluster.Heal();
        before = cluster.Elapsed;
        await cluster.PassAsync(6 * s_second);
        await a.PutAsync("lww", "healed", "x");
        before = cluster.Elapsed;
        await cluster.ConvergeAsync();
        Assert.True(cluster.Elapsed - before < s_second);
    }

    [Fact]
    [Trait("Story", "19")]
    public async Task Dropped_transaction_is_lost_with_its_connection_and_sent_again()
    {
        await using var cluster = await TestTables.StartAsync("a", "b");
        var (a, b) = (cluster[0], cluster[1]);
        cluster.Drop(a, b);
        cluster.Drop(a, b);
        await a.PutAsync("delta", "1", "x", "1");
        await cluster.UntilAsync("b has lost a", () => b.StatusOf(a).Receiving == PeerLinkState.Disconnected);
        Assert.Equal((1L, null), (cluster.Faults.Dropped, b.Text("delta", "1")));
        await cluster.ConvergeAsync();
        Assert.Equal((2L, "x|1"), (cluster.Faults.Dropped, b.Text("delta", "1")));
    }

    [Fact]
    [Trait("Story", "20")]
    public async Task Duplicated_transaction_takes_effect_once()
    {
        await using var cluster = await InMemoryCluster.StartAsync(2, options => options
            .Table("counter", "id integer", "n bigint")
            .Node(node => node.Replicate("public.counter", table => table.DeltaColumn("n")).With(o => o.MaxChangesPerPart = 2)));
        var (a, b) = (cluster[0], cluster[1]);
        cluster.Duplicate(a, b);
        await a.TransactAsync(async t =>
        {
            // Several parts: the whole transaction comes again.
            for (var i = 0; i < 5; i++) await t.InsertAsync("counter", ("id", $"{i}"), ("n", "1"));
        });
        for (var i = 0; i < 3; i++) await a.AddAsync("counter", "n", 10, "1");
        await cluster.ConvergeAsync();
        Assert.Equal(4, cluster.Faults.Duplicated);
        Assert.Equal(31, b.Read("counter", "1")!.Get<int>("n"));
        Assert.Equal(4, b.StatusOf(a).AppliedTransactions);
    }

    [Fact]
    [Trait("Story", "18")]
    public async Task Database_that_crashes_loses_and_doubles_nothing()
    {
        await using var cluster = await TestTables.StartAsync("a", "b", "c");
        await cluster[0].PutAsync("delta", "1", "x", "0");
        await cluster.ConvergeAsync();
        for (var i = 0; i < 20; i++)
        {
            await cluster[0].AddAsync("delta", "n", 1, "1");
            await cluster[2].AddAsync("delta", "n", 100, "1");
            // The server of a node that is applying goes down and comes back: sessions and unflushed commits are lost.
            if (i % 5 != 2) continue;
            cluster.CrashDatabase(cluster[1]);
            await cluster.UntilAsync("b notices", () => cluster[1].Replication.Status.State == NodeState.Faulted);
        }

        await cluster.ConvergeAsync();
        Assert.All(cluster.Nodes, node => Assert.Equal("x|2020", node.Text("delta", "1")));
    }

    [Fact]
    [Trait("Story", "17")]
    public async Task Crashed_node_is_down_with_its_database_and_goes_on_where_it_was()
    {
        await using var cluster = await TestTables.StartAsync("a", "b", "c");
        var (a, b, c) = (cluster[0], cluster[1], cluster[2]);
        await a.PutAsync("delta", "1", "x", "0");
        await cluster.ConvergeAsync();
        var engine = b.Replication;
        await b.AddAsync("delta", "n", 1, "1");
        cluster.Crash(b);
        Assert.False(b.IsRunning);
        Assert.Throws<InvalidOperationException>(() => cluster.Crash(b));
        Assert.Equal(ReplicationErrorKind.Transient, (await Assert.ThrowsAsync<ReplicationException>(() => b.AddAsync("delta", "n", 1, "1"))).Kind);
        await c.AddAsync("delta", "n", 10, "1");
        // The running nodes agree without it: its last commit never left.
        await cluster.ConvergeAsync();
        Assert.Equal(("x|10", "x|10"), (a.Text("delta", "1"), c.Text("delta", "1")));
        await cluster.UntilAsync("its engine has ended", () => engine.Status.State == NodeState.Stopped);

        await cluster.RestartAsync(b);
        Assert.True(b.IsRunning);
        await Assert.ThrowsAsync<InvalidOperationException>(() => cluster.RestartAsync(b));
        await cluster.ConvergeAsync();
        Assert.All(cluster.Nodes, node => Assert.Equal("x|11", node.Text("delta", "1")));
    }

    [Fact]
    [Trait("Story", "17")]
    public async Task Crash_takes_commits_of_peers_that_were_not_flushed_and_they_come_again()
    {
        await using var cluster = await TestTables.StartAsync("a", "b");
        var (a, b) = (cluster[0], cluster[1]);
        await a.PutAsync("delta", "1", "x", "0");
        await cluster.ConvergeAsync();
        var durable = b.Database.ProgressOf(a.Name);
        for (var i = 0; i < 5; i++) await a.AddAsync("delta", "n", 1, "1");
        await a.TruncateAsync("lww");
        var crashed = await Assert.ThrowsAsync<ReplicationException>(() => b.TransactAsync(async t =>
        {
            // The applier is stopped by this table's lock, with commits that it has not flushed yet.
            await t.InsertAsync("lww", ("id", "1"), ("v", "x"));
            await cluster.UntilAsync("b has committed five", () => b.Text("delta", "1") == "x|5");
            Assert.True(b.Database.ProgressOf(a.Name) > durable);
            cluster.CrashDatabase(b);
        }));
        Assert.Contains("crashed", crashed.Message, StringComparison.Ordinal);
        Assert.Equal((durable, "x|0"), (b.Database.ProgressOf(a.Name), b.Text("delta", "1")));
        await cluster.ConvergeAsync();
        Assert.Equal(("x|5", null), (b.Text("delta", "1"), b.Text("lww", "1")));
    }

    [Fact]
    [Trait("Story", "1")]
    public async Task Clock_ahead_makes_its_writes_wait_and_win()
    {
        await using var cluster = await TestTables.StartAsync("a", "b");
        var (a, b) = (cluster[0], cluster[1]);
        cluster.SkewClock(a, 10 * s_second);
        await a.PutAsync("lww", "1", "of a");
        await cluster.PassAsync(s_second);
        await b.PutAsync("lww", "1", "of b, later");
        Assert.Equal("of b, later", b.Text("lww", "1"));
        var before = cluster.Elapsed;
        await cluster.ConvergeAsync();
        Assert.InRange(cluster.Elapsed - before, 8 * s_second, 10 * s_second);
        Assert.InRange(b.StatusOf(a).ClockAhead, 9 * s_second, 10 * s_second);
        Assert.Equal("of a", b.Text("lww", "1"));
        Assert.Equal(a.Name, Assert.Single(b.Conflicts).Winner);

        cluster.SkewClock(a, TimeSpan.Zero);
        await cluster.PassAsync(10 * s_second);
        before = cluster.Elapsed;
        await a.PutAsync("lww", "2", "on time");
        await cluster.ConvergeAsync();
        Assert.True(cluster.Elapsed - before < s_second);
    }

    [Fact]
    public async Task Nodes_of_another_cluster_are_refused()
    {
        await using var cluster = await TestTables.StartAsync("a", "b");
        await using var other = await TestTables.StartAsync("a", "b");
        Assert.Throws<ArgumentException>(() => cluster.Partition(cluster[0], other[1]));
        Assert.Throws<ArgumentException>(() => cluster.SkewClock(other[0], s_second));
    }

    [Fact]
    [Trait("Story", "37")]
    public async Task Reading_the_log_again_does_not_bring_back_a_delete_that_a_collected_one_had_replaced()
    {
        await using var cluster = await TestTables.StartAsync("a", "b");
        var (a, b) = (cluster[0], cluster[1]);
        await a.PutAsync("delta", "1", "x", "5");
        await cluster.ConvergeAsync();
        // b's delete does not reach a; a's later one reaches b, and all others have it: there are none.
        cluster.Delay(b, a, TimeSpan.FromHours(1));
        await b.DeleteAsync("delta", "1");
        await cluster.PassAsync(s_second);
        await a.DeleteAsync("delta", "1");
        await cluster.PassAsync(150 * s_second);
        cluster.Crash(b);
        await cluster.RestartAsync(b);
        await cluster.PassAsync(s_second);
        // Written in knowledge of the greatest delete, though not of b's.
        await a.PutAsync("delta", "1", "y", "7");
        await cluster.PassAsync(5 * s_second);
        cluster.Heal();
        await cluster.ConvergeAsync();
        Assert.Equal("y|7", b.Text("delta", "1"));
    }
}
