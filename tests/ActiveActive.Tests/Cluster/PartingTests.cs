using ActiveActive.Testing;

namespace ActiveActive.Tests.Cluster;

/// <summary>A node is parted from the cluster: the others agree on what there is of it, and go on without it.</summary>
public sealed class PartingTests
{
    private static readonly TimeSpan s_second = TimeSpan.FromSeconds(1);

    [Fact]
    [Trait("Story", "18")]
    public async Task Survivors_that_differ_in_what_they_have_of_a_dead_node_agree_on_it()
    {
        await using var cluster = await TestTables.StartAsync("a", "b", "c");
        var (a, b, c) = (cluster[0], cluster[1], cluster[2]);
        await c.PutAsync("lww", "all", "x");
        await cluster.ConvergeAsync();
        cluster.Partition(a, c);
        for (var i = 0; i < 100; i++) await c.PutAsync("lww", $"{i}", "b has it");
        await cluster.UntilAsync("b has all of c", () => b.Text("lww", "99") is not null);
        cluster.Crash(c);

        await cluster.PartAsync(a, c);
        Assert.Equal("b has it", a.Text("lww", "99"));
        await cluster.UntilAsync("b is done with c, too", () => b.StatusOf(c).Receiving == PeerLinkState.Parted);
        await cluster.ConvergeAsync();
        Assert.Equal(101, a.ReadAll("lww").Count);
        Assert.Contains("PartAsync on node 'a'", a.StatusOf(c).Message, StringComparison.Ordinal);
        Assert.Contains("node 'a' asked", b.StatusOf(c).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Nothing_is_kept_for_a_parted_node()
    {
        await using var cluster = await TestTables.StartAsync("a", "b", "c");
        var (a, b, c) = (cluster[0], cluster[1], cluster[2]);
        await a.PutAsync("lww", "1", "x");
        await cluster.ConvergeAsync();
        cluster.Crash(c);
        await a.DeleteAsync("lww", "1");
        await cluster.PassAsync(200 * s_second);
        Assert.Equal((1, 1), (a.Database.NoteCount, b.Database.NoteCount));
        await cluster.PartAsync(b, c);
        await cluster.UntilAsync("a has collected the tombstone", () => a.Database.NoteCount + b.Database.NoteCount == 0);
    }

    [Fact]
    public async Task Parted_node_that_comes_back_is_refused_and_nothing_of_it_is_taken()
    {
        await using var cluster = await TestTables.StartAsync("a", "b", "c");
        var (a, b, c) = (cluster[0], cluster[1], cluster[2]);
        cluster.Partition(a, c);
        cluster.Partition(b, c);
        await c.PutAsync("lww", "c", "nobody has it");
        await cluster.PassAsync(s_second);
        await cluster.PartAsync(a, c);
        await cluster.UntilAsync("b is done with c, too", () => b.StatusOf(c).Receiving == PeerLinkState.Parted);
        cluster.Heal();
        await cluster.UntilAsync("c is refused by both", () => c.StatusOf(a).Receiving == PeerLinkState.Refused && c.StatusOf(b).Receiving == PeerLinkState.Refused);
        Assert.Contains("AA3085", c.StatusOf(a).Message, StringComparison.Ordinal);
        await a.PutAsync("lww", "a", "x");
        await cluster.ConvergeAsync();
        await cluster.PassAsync(60 * s_second);
        Assert.Null(a.Text("lww", "c"));
        Assert.Null(b.Text("lww", "c"));
        Assert.Null(c.Text("lww", "a"));
    }

    [Fact]
    [Trait("Story", "23")]
    public async Task Parted_node_gets_the_data_of_another_and_records_what_nobody_else_had()
    {
        await using var cluster = await TestTables.StartAsync("a", "b", "c");
        var (a, b, c) = (cluster[0], cluster[1], cluster[2]);
        await c.PutAsync("lww", "old", "x");
        await c.PutAsync("lww", "gone", "x");
        await c.PutAsync("delta", "1", "x", "10");
        await cluster.ConvergeAsync();
        cluster.Partition(a, c);
        cluster.Partition(b, c);
        await c.SetAsync("lww", "old", "nobody has it");
        await c.DeleteAsync("lww", "gone");
        await c.PutAsync("lww", "new", "nobody has it");
        await c.AddAsync("delta", "n", 5, "1");
        await a.AddAsync("delta", "n", 1, "1");
        await b.DeleteAsync("lww", "old");
        await cluster.PartAsync(a, c);
        await cluster.UntilAsync("b is done with c, too", () => b.StatusOf(c).Receiving == PeerLinkState.Parted);
        await cluster.UntilAsync("nothing is kept for c", () => a.Database.NoteCount + b.Database.NoteCount == 0);
        cluster.Heal();
        await cluster.ResyncAsync(c, a);
        await cluster.UntilAsync("c is a member again", () => a.StatusOf(c).Receiving == PeerLinkState.Streaming && b.StatusOf(c).Receiving == PeerLinkState.Streaming);
        await cluster.ConvergeAsync();
        Assert.Equal(("x", null, null, "x|11"), (c.Text("lww", "gone"), c.Text("lww", "new"), c.Text("lww", "old"), c.Text("delta", "1")));
        Assert.Equal(["lww old nobody has it", "lww gone ", "lww new nobody has it", "delta 1 x"], c.Conflicts.Where(r => r.Resolver == "resync").Select(r => $"{r.Table.Name} {r.Key[0]} {r.RemoteRow?["v"]}"));

        // A member like the others: what it writes arrives, and is compared.
        await c.PutAsync("lww", "back", "c's");
        await c.AddAsync("delta", "n", 100, "1");
        await b.AddAsync("delta", "n", 1000, "1");
        await cluster.ConvergeAsync();
        Assert.Equal(("c's", "x|1111"), (a.Text("lww", "back"), b.Text("delta", "1")));
        await b.DeleteAsync("lww", "back");
        await cluster.UntilAsync("all is collected", () => cluster.Nodes.All(n => n.Database.NoteCount == 0));
    }

    [Fact]
    [Trait("Story", "23")]
    public async Task Peer_that_is_away_past_the_budget_is_parted_and_its_log_let_go()
    {
        await using var cluster = await TestTables.StartAsync(["a", "b", "c"], static options => options.WalBudget = 4000);
        var (a, b, c) = (cluster[0], cluster[1], cluster[2]);
        await a.PutAsync("lww", "1", "x");
        await cluster.ConvergeAsync();
        cluster.Partition(a, c);
        cluster.Partition(b, c);
        await c.PutAsync("lww", "c", "nobody has it");
        for (var i = 0; i < 20; i++) await a.PutAsync("lww", $"before {i}", "x");
        await cluster.PassAsync(60 * s_second);
        // Below it all is kept, and status tells how long that will do.
        Assert.Equal(PeerLinkState.Disconnected, a.StatusOf(c).Receiving);
        Assert.InRange(a.StatusOf(c).RetainedBytes, 500, 4000);
        Assert.InRange(a.StatusOf(c).TimeToWalBudget!.Value, s_second, 300 * s_second);
        Assert.Equal(0, a.StatusOf(b).RetainedBytes);
        for (var i = 0; i < 100; i++) await a.PutAsync("lww", $"after {i}", "x");
        await cluster.UntilAsync("c is parted", () => a.StatusOf(c).Receiving == PeerLinkState.Parted && b.StatusOf(c).Receiving == PeerLinkState.Parted);
        Assert.Contains("WalBudget", a.StatusOf(c).Message, StringComparison.Ordinal);
        await cluster.UntilAsync("the log is let go", () => a.Replication.Status.RetainedBytes < 1000);
        // The side that is alone kept what it has: it parts nobody.
        Assert.Equal(PeerLinkState.Disconnected, c.StatusOf(a).Receiving);
        cluster.Heal();
        await cluster.UntilAsync("c is told", () => c.StatusOf(a).Message?.Contains("AA3085", StringComparison.Ordinal) == true);
        await cluster.ResyncAsync(c, b);
        await cluster.UntilAsync("c is a member again", () => a.StatusOf(c).Receiving == PeerLinkState.Streaming);
        await cluster.ConvergeAsync();
        Assert.Equal(["c"], c.Conflicts.Select(r => r.Key[0]));
        Assert.Null(c.Text("lww", "c"));
        Assert.Equal(121, c.ReadAll("lww").Count);
    }

    [Fact]
    public async Task Peer_that_is_not_heard_of_is_parted_by_the_majority_only()
    {
        await using var cluster = await TestTables.StartAsync(["a", "b", "c"], static options => options.PartAfter = 60 * s_second);
        var (a, b, c) = (cluster[0], cluster[1], cluster[2]);
        await cluster.PassAsync(120 * s_second);
        Assert.All(cluster.Nodes, n => Assert.All(n.Replication.Status.Peers, p => Assert.Equal(PeerLinkState.Streaming, p.Receiving)));
        cluster.Partition(a, c);
        cluster.Partition(a, b);
        await cluster.PassAsync(55 * s_second);
        await cluster.UntilAsync("b and c part a", () => b.StatusOf(a).Receiving == PeerLinkState.Parted && c.StatusOf(a).Receiving == PeerLinkState.Parted);
        await cluster.PassAsync(300 * s_second);
        Assert.All(a.Replication.Status.Peers, p => Assert.Equal(PeerLinkState.Disconnected, p.Receiving));
    }

    [Fact]
    public async Task Of_two_nodes_the_first_parts_the_other()
    {
        await using var cluster = await TestTables.StartAsync(["a", "b"], static options => options.PartAfter = 60 * s_second);
        var (a, b) = (cluster[0], cluster[1]);
        cluster.Partition(a, b);
        await cluster.PassAsync(55 * s_second);
        await cluster.UntilAsync("a parts b", () => a.StatusOf(b).Receiving == PeerLinkState.Parted);
        await cluster.PassAsync(300 * s_second);
        Assert.Equal(PeerLinkState.Disconnected, b.StatusOf(a).Receiving);
    }

    [Fact]
    public async Task Member_that_is_not_parted_keeps_its_data()
    {
        await using var cluster = await TestTables.StartAsync("a", "b");
        var (a, b) = (cluster[0], cluster[1]);
        await a.PutAsync("lww", "1", "x");
        await cluster.ConvergeAsync();
        await cluster.ResyncAsync(b, a);
        await cluster.UntilAsync("b is refused", () => b.Replication.Status.Message?.Contains("AA3088", StringComparison.Ordinal) == true);
        Assert.Equal("x", b.Text("lww", "1"));
        await cluster.PartAsync(a, b);
        await cluster.ConvergeAsync();
        await cluster.UntilAsync("b is a member again", () => a.StatusOf(b).Receiving == PeerLinkState.Streaming);
        await b.PutAsync("lww", "2", "y");
        await cluster.ConvergeAsync();
        Assert.Equal("y", a.Text("lww", "2"));
    }

    [Fact]
    public async Task Node_that_is_parted_while_it_lives_is_heard_by_nobody_from_then_on()
    {
        await using var cluster = await TestTables.StartAsync("a", "b", "c");
        var (a, b, c) = (cluster[0], cluster[1], cluster[2]);
        for (var i = 0; i < 50; i++)
        {
            await c.PutAsync("lww", $"{i}", "c's");
            if (i == 20) cluster.Partition(a, c);
            if (i == 30) await cluster.PartAsync(a, c);
            await cluster.PassAsync(s_second / 1000);
        }

        await cluster.UntilAsync("b is done with c, too", () => b.StatusOf(c).Receiving == PeerLinkState.Parted);
        await cluster.ConvergeAsync();
        // What b had of it when it was told, a has.
        Assert.Equal(b.ReadAll("lww"), a.ReadAll("lww"));
        Assert.InRange(a.ReadAll("lww").Count, 21, 49);
    }

    [Fact]
    public async Task Parting_waits_for_every_survivor_and_outlasts_restarts()
    {
        await using var cluster = await TestTables.StartAsync("a", "b", "c", "d");
        var (a, b, c, d) = (cluster[0], cluster[1], cluster[2], cluster[3]);
        cluster.Partition(a, c);
        cluster.Partition(d, c);
        await c.PutAsync("lww", "1", "b has it");
        await cluster.UntilAsync("b has it", () => b.Text("lww", "1") is not null);
        cluster.Crash(c);
        cluster.Partition(a, b);
        cluster.Partition(d, b);
        await BeginAsync(cluster, a, c);
        await cluster.UntilAsync("a waits for b", () => a.StatusOf(c) is { Receiving: PeerLinkState.Parting, Message: { } message } && message.Contains("node 'b'", StringComparison.Ordinal));
        cluster.Crash(a);
        await cluster.PassAsync(s_second);
        await cluster.RestartAsync(a);
        await cluster.UntilAsync("a waits again", () => a.StatusOf(c).Receiving == PeerLinkState.Parting);
        Assert.Null(a.Text("lww", "1"));
        cluster.Heal();
        await cluster.UntilAsync("all are done with c", () => new[] { a, b, d }.All(n => n.StatusOf(c).Receiving == PeerLinkState.Parted));
        await cluster.ConvergeAsync();
        Assert.Equal("b has it", d.Text("lww", "1"));
    }

    [Fact]
    public async Task Two_dead_nodes_are_parted_by_the_one_that_is_left()
    {
        await using var cluster = await TestTables.StartAsync("a", "b", "c");
        var (a, b, c) = (cluster[0], cluster[1], cluster[2]);
        cluster.Crash(b);
        cluster.Crash(c);
        await BeginAsync(cluster, a, b);
        await cluster.UntilAsync("a waits for c", () => a.StatusOf(b).Message?.Contains("node 'c'", StringComparison.Ordinal) == true);
        await cluster.PartAsync(a, c);
        await cluster.UntilAsync("a is done with both", () => a.StatusOf(b).Receiving == PeerLinkState.Parted);
        await a.PutAsync("lww", "1", "alone");
        await a.DeleteAsync("lww", "1");
        await cluster.UntilAsync("nothing is kept", () => a.Database.NoteCount == 0);
    }

    private static Task<bool> BeginAsync(InMemoryCluster cluster, InMemoryNode on, InMemoryNode leaving) => cluster.RunAsync("the parting has begun", () =>
    {
        // It can't end yet, and its own wait ends with the node.
        _ = on.Replication.PartAsync(leaving.Name);
        return Task.FromResult(true);
    });
}
