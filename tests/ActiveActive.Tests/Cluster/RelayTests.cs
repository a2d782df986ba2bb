using ActiveActive.Testing;

namespace ActiveActive.Tests.Cluster;

/// <summary>A node that died, or can't be reached, after some have its transactions: the others get them there (convergence R10).</summary>
public sealed class RelayTests
{
    private static readonly string[] s_names = ["a", "b", "c"];

    [Fact]
    [Trait("Story", "21")]
    public async Task Transactions_of_a_dead_node_come_from_one_that_has_them()
    {
        await using var cluster = await TestTables.StartAsync(s_names, o => o.MaxChangesPerPart = 10);
        var (a, b, c) = (cluster[0], cluster[1], cluster[2]);
        cluster.Partition(a, c);
        await a.TransactAsync(async t =>
        {
            for (var i = 0; i < 35; i++) await t.InsertAsync("delta", ("id", $"{i}"), ("v", $"from a {i}"), ("n", "5"));
        });
        for (var i = 0; i < 9; i++) await a.AddAsync("delta", "n", 1, "0");
        await cluster.UntilAsync("b has a's rows", () => b.Text("delta", "0") == "from a 0|14");
        cluster.Crash(a);
        Assert.Null(c.Text("delta", "0"));

        await cluster.ConvergeAsync();
        Assert.Equal("from a 0|14", c.Text("delta", "0"));
        Assert.Equal(10, c.StatusOf(a).AppliedTransactions);
        Assert.Equal(b.Name, c.StatusOf(a).RelayedBy);
        Assert.NotEqual(PeerLinkState.Streaming, c.StatusOf(a).Receiving);
    }

    [Fact]
    [Trait("Story", "21")]
    public async Task Stream_that_waits_for_a_dead_node_asks_at_once()
    {
        await using var cluster = await TestTables.StartAsync(s_names, o => o.RelayAfter = TimeSpan.FromHours(1));
        var (a, b, c) = (cluster[0], cluster[1], cluster[2]);
        cluster.Partition(a, c);
        cluster.Partition(b, c);
        await a.PutAsync("lww", "1", "inserted");
        await cluster.UntilAsync("b has a's row", () => b.Text("lww", "1") is not null);
        await b.SetAsync("lww", "1", "updated");
        cluster.Crash(a);
        await cluster.PassAsync(TimeSpan.FromMinutes(1));
        Assert.Null(c.Text("lww", "1"));

        cluster.Heal();
        await cluster.ConvergeAsync();
        Assert.Equal("updated", c.Text("lww", "1"));
        Assert.Equal(b.Name, c.StatusOf(a).RelayedBy);
        Assert.Empty(c.Conflicts);
    }

    [Fact]
    [Trait("Story", "21")]
    public async Task Node_that_comes_back_with_more_is_taken_up_where_the_relay_stopped()
    {
        await using var cluster = await TestTables.StartAsync(s_names, o => o.RelayAfter = TimeSpan.Zero);
        var (a, b, c) = (cluster[0], cluster[1], cluster[2]);
        await a.PutAsync("delta", "1", "x");
        await cluster.ConvergeAsync();
        for (var round = 0; round < 4; round++)
        {
            cluster.Partition(a, c);
            for (var i = 0; i < 20; i++)
            {
                await a.AddAsync("delta", "n", 1, "1");
                // Its server loses what was applied and not flushed, be it from a or by relay.
                if (i % 8 == 3) cluster.CrashDatabase(c);
                if (i != 15) continue;
                var soFar = $"x|{(round * 20) + 16}";
                await cluster.UntilAsync("b has what a wrote so far", () => b.Text("delta", "1") == soFar);
                cluster.Partition(a, b);
                await cluster.UntilAsync("c has what b has", () => c.Text("delta", "1") == soFar && c.StatusOf(a).RelayedBy == b.Name);
            }

            // Be it a partition, or a's own death for a while.
            if (round % 2 == 1)
            {
                cluster.Crash(a);
                await cluster.RestartAsync(a);
            }

            cluster.Heal();
            await cluster.ConvergeAsync();
            Assert.All(cluster.Nodes, node => Assert.Equal($"x|{(round + 1) * 20}", node.Text("delta", "1")));
        }

        await cluster.UntilAsync("a's transactions come from a again", () => c.StatusOf(a) is { RelayedBy: null, Receiving: PeerLinkState.Streaming });
    }

    /// <summary>
    /// The relayer's own log lacks what lost there, and its order overstates what the writer had seen: b deleted the delta row before it met
    /// a's insert, which by that order would look aware of the delete, and come alive on c.
    /// </summary>
    [Fact]
    [Trait("Story", "41")]
    public async Task Relayed_transaction_keeps_its_vector_and_what_the_relayer_skipped()
    {
        await using var cluster = await TestTables.StartAsync(s_names, o => o.RelayAfter = TimeSpan.Zero);
        var (a, b, c) = (cluster[0], cluster[1], cluster[2]);
        foreach (var (table, key) in new[] { ("lww", "1"), ("lww", "2"), ("merged", "1") }) await a.PutAsync(table, key, "base");
        await cluster.ConvergeAsync();
        cluster.Partition(a, b);
        cluster.Partition(a, c);
        cluster.Partition(b, c);

        await a.PutAsync("delta", "1", "a", "5");
        await a.SetAsync("lww", "1", "a's, older");
        await a.DeleteAsync("lww", "2");
        await a.SetAsync("merged", "1", "a");
        await a.PutAsync("lww", "3", "only a's");
        await cluster.PassAsync(TimeSpan.FromSeconds(1));
        await b.PutAsync("delta", "1", "b", "7");
        await b.DeleteAsync("delta", "1");
        await b.SetAsync("lww", "1", "b's, later");
        await b.SetAsync("lww", "2", "b's, later");
        await b.SetAsync("merged", "1", "b");
        cluster.Network.Heal(a.Name, b.Name);
        await cluster.UntilAsync("b has decided about all of a's", () => b.Text("lww", "3") is not null);
        Assert.Null(b.Text("delta", "1"));
        cluster.Crash(a);

        cluster.Heal();
        await cluster.UntilAsync("c has all", () => c.Text("lww", "3") is not null && c.StatusOf(b).AppliedPosition >= b.Replication.Status.PublishedPosition);
        await cluster.ConvergeAsync();
        Assert.Equal((null, "b's, later", "b's, later", "(a>b)"), (c.Text("delta", "1"), c.Text("lww", "1"), c.Text("lww", "2"), c.Text("merged", "1")));
        Assert.Contains(c.Conflicts, r => r.Table.Name == "lww" && r.Winner == b.Name);
    }

    [Fact]
    [Trait("Story", "34")]
    public async Task Each_change_travels_once_in_a_full_mesh()
    {
        await using var cluster = await TestTables.StartAsync("a", "b", "c", "d");
        for (var i = 0; i < 25; i++)
        {
            foreach (var node in cluster.Nodes) await node.PutAsync("lww", $"{node.Name}{i}", "x");
        }

        await cluster.ConvergeAsync();
        await cluster.PassAsync(TimeSpan.FromMinutes(1));
        foreach (var to in cluster.Nodes)
        {
            foreach (var status in to.Replication.Status.Peers) Assert.Equal((25, 25, null), (status.ReceivedTransactions, status.AppliedTransactions, status.RelayedBy));
        }
    }
}
