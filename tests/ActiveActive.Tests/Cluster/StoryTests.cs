using ActiveActive.Testing;

namespace ActiveActive.Tests.Cluster;

/// <summary>Ways in which rows of one table are written on several nodes at once, each a way in which others lose data or split.</summary>
public sealed class StoryTests
{
    [Fact]
    [Trait("Story", "4")]
    public async Task Concurrent_updates_leave_the_later_row_and_one_record_on_each_node()
    {
        await using var cluster = await TestTables.StartAsync("a", "b");
        var (a, b) = (cluster[0], cluster[1]);
        await a.PutAsync("lww", "1", "old");
        await cluster.ConvergeAsync();
        await a.SetAsync("lww", "1", "of a");
        await b.SetAsync("lww", "1", "of b");
        await cluster.ConvergeAsync();
        Assert.Equal(("of b", "of b"), (a.Text("lww", "1"), b.Text("lww", "1")));
        Assert.Equal((ConflictOutcome.ApplyRemote, b.Name), Outcome(a));
        Assert.Equal((ConflictOutcome.KeepLocal, b.Name), Outcome(b));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    [Trait("Story", "5")]
    public async Task Later_of_a_delete_and_an_update_stays(bool deleteIsLater)
    {
        await using var cluster = await TestTables.StartAsync("a", "b", "c");
        var (a, b) = (cluster[0], cluster[1]);
        await a.PutAsync("lww", "1", "old");
        await cluster.ConvergeAsync();
        if (!deleteIsLater) await a.DeleteAsync("lww", "1");
        await b.SetAsync("lww", "1", "updated");
        if (deleteIsLater) await a.DeleteAsync("lww", "1");
        await cluster.ConvergeAsync();
        Assert.All(cluster.Nodes, node => Assert.Equal(deleteIsLater ? null : "updated", node.Text("lww", "1")));
        Assert.All(cluster.Nodes, node => Assert.Single(node.Conflicts));
    }

    [Theory]
    [InlineData(true, "updated")]
    [InlineData(false, "again")]
    [Trait("Story", "6")]
    public async Task Late_update_of_a_row_that_was_deleted_and_inserted_again_wins_only_if_it_is_newer(bool updateIsNewer, string winner)
    {
        await using var cluster = await TestTables.StartAsync("a", "b");
        var (a, b) = (cluster[0], cluster[1]);
        await a.PutAsync("lww", "1", "old");
        await cluster.ConvergeAsync();
        if (!updateIsNewer) await b.SetAsync("lww", "1", "updated");
        await a.DeleteAsync("lww", "1");
        await a.PutAsync("lww", "1", "again");
        if (updateIsNewer) await b.SetAsync("lww", "1", "updated");
        await cluster.ConvergeAsync();
        Assert.All(cluster.Nodes, node => Assert.Equal(winner, node.Text("lww", "1")));
    }

    [Fact]
    [Trait("Story", "6")]
    [Trait("Story", "14")]
    public async Task Late_delta_of_a_row_that_was_deleted_and_inserted_again_is_dead_and_recorded()
    {
        await using var cluster = await TestTables.StartAsync("a", "b", "c");
        var (a, b) = (cluster[0], cluster[1]);
        await a.PutAsync("delta", "1", "old", "100");
        await cluster.ConvergeAsync();
        await a.DeleteAsync("delta", "1");
        await a.PutAsync("delta", "1", "again", "7");
        await b.AddAsync("delta", "n", 3, "1");
        await cluster.ConvergeAsync();
        Assert.All(cluster.Nodes, node => Assert.Equal("again|7", node.Text("delta", "1")));
        Assert.Equal((ConflictOutcome.Skip, a.Name), Outcome(a));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    [Trait("Story", "11")]
    public async Task Changed_primary_key_is_a_delete_and_an_insert_to_a_concurrent_update(bool updateIsLater)
    {
        await using var cluster = await TestTables.StartAsync("a", "b", "c");
        var (a, b) = (cluster[0], cluster[1]);
        await a.PutAsync("lww", "1", "old");
        await cluster.ConvergeAsync();
        if (!updateIsLater) await b.SetAsync("lww", "1", "updated");
        await a.TransactAsync(t => t.UpdateAsync("lww", ["1"], Row.Of(("id", "2"))));
        if (updateIsLater) await b.SetAsync("lww", "1", "updated");
        await cluster.ConvergeAsync();
        Assert.All(cluster.Nodes, node => Assert.Equal((updateIsLater ? "updated" : null, "old"), (node.Text("lww", "1"), node.Text("lww", "2"))));
    }

    [Fact]
    [Trait("Story", "12")]
    public async Task Counter_that_two_nodes_move_at_once_loses_no_step()
    {
        await using var cluster = await TestTables.StartAsync("a", "b", "c");
        await cluster[2].PutAsync("delta", "1", "x", "42");
        await cluster.ConvergeAsync();
        for (var left = 10_001; left > 0; left -= 100)
        {
            await AddManyAsync(cluster[0], 1, Math.Min(left, 100));
            if (left > 1) await AddManyAsync(cluster[1], -1, Math.Min(left - 1, 100));
            if (left % 3 == 0) await cluster.PassAsync(TimeSpan.FromMilliseconds(1));
        }

        await cluster.ConvergeAsync();
        Assert.All(cluster.Nodes, node => Assert.Equal("x|43", node.Text("delta", "1")));
    }

    [Fact]
    [Trait("Story", "15")]
    public async Task Sum_that_does_not_fit_holds_its_peer_alone_and_goes_on_when_there_is_room()
    {
        await using var cluster = await TestTables.StartAsync("a", "b", "c");
        var (a, b, c) = (cluster[0], cluster[1], cluster[2]);
        await a.PutAsync("delta", "1", "a", $"{long.MaxValue}");
        await b.PutAsync("delta", "1", "b", "5");
        await c.PutAsync("lww", "2", "of c");
        await cluster.UntilAsync("a holds b's row and b holds a's", () => a.StatusOf(b).Receiving == PeerLinkState.Holding && b.StatusOf(a).Receiving == PeerLinkState.Holding);
        Assert.Contains("column 'n' (bigint) of public.delta from node 'b'", a.StatusOf(b).Message, StringComparison.Ordinal);
        await cluster.UntilAsync("c's row is on a and b", () => a.Text("lww", "2") is not null && b.Text("lww", "2") is not null);

        await a.AddAsync("delta", "n", -10, "1");
        await b.AddAsync("delta", "n", -10, "1");
        await cluster.UntilAsync("c has a's second write or holds", () => c.Text("delta", "1") is not null);
        await cluster.ConvergeAsync();
        Assert.All(cluster.Nodes, node => Assert.Equal($"b|{long.MaxValue - 15}", node.Text("delta", "1")));
    }

    [Fact]
    [Trait("Story", "34")]
    public async Task Change_travels_once_and_does_not_come_back()
    {
        await using var cluster = await TestTables.StartAsync("a", "b", "c", "d");
        foreach (var node in cluster.Nodes)
        {
            for (var i = 0; i < 5; i++) await node.PutAsync("delta", $"{i}", node.Name.Value, "1");
        }

        await cluster.ConvergeAsync();
        await cluster.PassAsync(TimeSpan.FromSeconds(30));
        Assert.All(cluster.Nodes, node => Assert.Equal(5, node.Replication.Status.PublishedTransactions));
        Assert.All(cluster.Nodes.SelectMany(node => node.Replication.Status.Peers), peer => Assert.Equal(5, peer.AppliedTransactions));
        Assert.All(cluster.Nodes, node => Assert.Equal("d|4", node.Text("delta", "0")));
    }

    [Fact]
    [Trait("Story", "35")]
    public async Task Rows_whose_commit_timestamps_the_servers_have_forgotten_converge()
    {
        await using var cluster = await TestTables.StartAsync("a", "b");
        var (a, b) = (cluster[0], cluster[1]);
        foreach (var table in new[] { "lww", "delta", "merged" }) await a.PutAsync(table, "1", "old");
        await cluster.ConvergeAsync();
        await cluster.PassAsync(TimeSpan.FromSeconds(5));
        foreach (var node in cluster.Nodes) node.Database.ForgetCommitTimestamps();
        foreach (var table in new[] { "lww", "delta", "merged" })
        {
            await a.SetAsync(table, "1", "of a");
            await b.SetAsync(table, "1", "of b");
        }

        await cluster.ConvergeAsync();
        Assert.Equal(("of b", "of b|0", "(of a>of b)"), (a.Text("lww", "1"), a.Text("delta", "1"), a.Text("merged", "1")));
    }

    [Fact]
    [Trait("Story", "35")]
    public async Task Row_that_has_lost_its_commit_timestamp_before_everyone_has_it_is_not_taken_for_seen()
    {
        await using var cluster = await TestTables.StartAsync("a", "b");
        var (a, b) = (cluster[0], cluster[1]);
        await a.PutAsync("lww", "1", "old");
        await cluster.ConvergeAsync();
        cluster.Partition(a, b);
        await b.SetAsync("lww", "1", "of b");
        await a.SetAsync("lww", "1", "of a");
        // Long enough for a marker to be passed.
        await cluster.PassAsync(TimeSpan.FromSeconds(90));
        a.Database.ForgetCommitTimestamps();
        cluster.Heal();
        await cluster.ConvergeAsync();
        Assert.Equal(("of a", "of a"), (a.Text("lww", "1"), b.Text("lww", "1")));
        Assert.Equal((ConflictOutcome.KeepLocal, a.Name), Outcome(a));
    }

    private static (ConflictOutcome, NodeName) Outcome(InMemoryNode node)
    {
        var record = Assert.Single(node.Conflicts);
        return (record.Outcome, record.Winner);
    }

    private static Task AddManyAsync(InMemoryNode node, int step, int times) => node.TransactAsync(async t =>
    {
        for (var i = 0; i < times; i++) await t.AddAsync("delta", "n", step, "1");
    });
}
