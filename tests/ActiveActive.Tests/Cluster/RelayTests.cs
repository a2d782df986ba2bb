namespace ActiveActive.Tests.Cluster;

/// <summary>A node that died, or can't be reached, after some have its transactions: the others get them there (convergence R10).</summary>
public sealed class RelayTests
{
    private static readonly string[] s_names = ["a", "b", "c"];

    [Fact]
    [Trait("Story", "21")]
    public async Task Transactions_of_a_dead_node_come_from_one_that_has_them()
    {
        await using var cluster = await MemoryCluster.StartAsync(s_names, o => o.RelayAfter = TimeSpan.Zero);
        var (a, b, c) = (cluster[0], cluster[1], cluster[2]);
        cluster.Network.Cut(a.Node.Name, c.Node.Name);
        for (var i = 0; i < 50; i++) await a.InsertAsync("delta", $"{i}", $"from a {i}", "5");
        await cluster.UntilAsync("b has a's rows", () => b.Row("delta", "49") is not null);
        await cluster.KillAsync(a);

        await cluster.UntilAsync("c has them, too", () => c.Row("delta", "49") is not null);
        Assert.Equal(b.Dump(), c.Dump());
        Assert.Equal(50, c.StatusOf(a).AppliedTransactions);
        Assert.Equal(b.Node.Name, c.StatusOf(a).RelayedBy);
        Assert.Contains("can't be reached", c.StatusOf(a).Message, StringComparison.Ordinal);
        Assert.NotEqual(PeerLinkState.Streaming, c.StatusOf(a).Receiving);
    }

    [Fact]
    [Trait("Story", "21")]
    public async Task Transaction_that_depends_on_a_dead_node_asks_at_once()
    {
        await using var cluster = await MemoryCluster.StartAsync(s_names, o => o.RelayAfter = TimeSpan.FromHours(1));
        var (a, b, c) = (cluster[0], cluster[1], cluster[2]);
        cluster.Network.Cut(a.Node.Name, c.Node.Name);
        await a.InsertAsync("lww", "1", "inserted");
        await cluster.UntilAsync("b has a's row", () => b.Row("lww", "1") is not null);
        await cluster.KillAsync(a);
        await cluster.UntilAsync("c has noticed", () => c.StatusOf(a).Receiving == PeerLinkState.Disconnected);
        Assert.Null(c.Row("lww", "1"));

        await b.UpdateAsync("lww", "1", "updated");
        await cluster.UntilAsync("c has b's update", () => c.Row("lww", "1") == "updated");
        Assert.Equal(0, c.Node.Status.Conflicts);
    }

    [Fact]
    [Trait("Story", "21")]
    public async Task Node_that_comes_back_with_more_is_taken_up_where_the_relay_stopped()
    {
        await using var cluster = await MemoryCluster.StartAsync(s_names, o => o.RelayAfter = TimeSpan.Zero);
        var (a, b, c) = (cluster[0], cluster[1], cluster[2]);
        await a.InsertAsync("delta", "1", "x", "0");
        await cluster.QuietAsync();
        for (var round = 0; round < 3; round++)
        {
            cluster.Network.Cut(a.Node.Name, c.Node.Name);
            for (var i = 0; i < 20; i++)
            {
                await a.AddAsync("1", 1);
                // Its server loses what was applied and not flushed, be it from a or by relay.
                if (i % 8 == 3) c.Database.Crash();
                if (i != 15) continue;
                var soFar = $"x|{(round * 20) + 16}";
                await cluster.UntilAsync("b has what a wrote so far", () => b.Row("delta", "1") == soFar);
                cluster.Network.Cut(a.Node.Name, b.Node.Name);
            }

            await cluster.UntilAsync("c has what b has", () => b.Row("delta", "1") is { } row && row == c.Row("delta", "1") && c.StatusOf(a).RelayedBy == b.Node.Name);
            cluster.Network.Heal(a.Node.Name, c.Node.Name);
            cluster.Network.Heal(a.Node.Name, b.Node.Name);
            await cluster.UntilAsync("all have all", () => cluster.Nodes.All(n => n.Row("delta", "1") == a.Row("delta", "1")));
        }

        await cluster.UntilAsync("a's transactions come from a again", () => c.StatusOf(a) is { RelayedBy: null, Receiving: PeerLinkState.Streaming });
        Assert.Equal("x|60", a.Row("delta", "1"));
        cluster.AssertIdentical();
    }

    /// <summary>
    /// The relayer's own log lacks what lost there, and its order overstates what the writer had seen: b deleted the delta row before it met
    /// a's insert, which by that order would look aware of the delete, and come alive on c.
    /// </summary>
    [Fact]
    [Trait("Story", "41")]
    public async Task Relayed_transaction_keeps_its_vector_and_what_the_relayer_skipped()
    {
        await using var cluster = await MemoryCluster.StartAsync(s_names, o => o.RelayAfter = TimeSpan.Zero);
        var (a, b, c) = (cluster[0], cluster[1], cluster[2]);
        await a.InsertAsync("lww", "1", "base");
        await a.InsertAsync("lww", "2", "base");
        await a.InsertAsync("merged", "1", "base");
        await cluster.QuietAsync();
        cluster.Network.Cut(a.Node.Name, b.Node.Name);
        cluster.Network.Cut(a.Node.Name, c.Node.Name);
        cluster.Network.Cut(b.Node.Name, c.Node.Name);

        await a.InsertAsync("delta", "1", "a", "5");
        await a.UpdateAsync("lww", "1", "a's, older");
        await a.DeleteAsync("lww", "2");
        await a.UpdateAsync("merged", "1", "a");
        await a.InsertAsync("lww", "3", "only a's");
        await b.InsertAsync("delta", "1", "b", "7");
        await b.DeleteAsync("delta", "1");
        await b.UpdateAsync("lww", "1", "b's, later");
        await b.UpdateAsync("lww", "2", "b's, later");
        await b.UpdateAsync("merged", "1", "b");
        cluster.Network.Heal(a.Node.Name, b.Node.Name);
        await cluster.UntilAsync("b has decided about all of a's", () => b.Row("lww", "3") is not null);
        Assert.Null(b.Row("delta", "1"));
        await cluster.KillAsync(a);

        cluster.Network.Heal(b.Node.Name, c.Node.Name);
        await cluster.UntilAsync("c has all", () => c.Row("lww", "3") is not null && c.StatusOf(b).AppliedPosition >= b.Node.Status.PublishedPosition);
        Assert.Equal(b.Dump(), c.Dump());
        Assert.Null(c.Row("delta", "1"));
        Assert.Equal(b.Node.Status.Conflicts, c.Node.Status.Conflicts);
    }

    [Fact]
    [Trait("Story", "34")]
    public async Task Each_change_travels_once_in_a_full_mesh()
    {
        await using var cluster = await MemoryCluster.StartAsync(["a", "b", "c", "d"]);
        for (var i = 0; i < 25; i++)
        {
            foreach (var node in cluster.Nodes) await node.InsertAsync("lww", $"{node.Name}{i}", "x");
        }

        await cluster.QuietAsync();
        foreach (var to in cluster.Nodes)
        {
            foreach (var status in to.Node.Status.Peers) Assert.Equal((25, 25, null), (status.ReceivedTransactions, status.AppliedTransactions, status.RelayedBy));
        }
    }
}
