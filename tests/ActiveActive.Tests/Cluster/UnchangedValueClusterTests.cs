using ActiveActive.Testing;

namespace ActiveActive.Tests.Cluster;

/// <summary>Large values that an update left unchanged, through the whole engine: asked over a connection of their own.</summary>
[Trait("Story", "8")]
public sealed class UnchangedValueClusterTests
{
    [Fact]
    public async Task Concurrent_winner_re_created_row_and_changed_key_are_whole()
    {
        await using var cluster = await StartAsync();
        await ConcurrentlyAsync(cluster, async a =>
        {
            await a.UpdateAsync("document", ("id", "1"), ("v", "of a"), ("body", "body of a"));
            await a.DeleteAsync("document", "2");
            await a.UpdateAsync("document", ("id", "3"), ("body", "body of a"));
        }, async b =>
        {
            await b.SetAsync("document", "1", "of b");
            await b.SetAsync("document", "2", "of b");
            await b.TransactAsync(t => t.UpdateAsync("document", ["3"], Row.Of(("id", "4"), ("v", "of b"))));
        });
        foreach (var node in cluster.Nodes)
        {
            Assert.Equal(["of b|body", "of b|body", null, "of b|body"], Enumerable.Range(1, 4).Select(i => node.Text("document", $"{i}")));
        }
    }

    [Fact]
    public async Task Row_whose_key_moved_there_and_back_does_not_take_the_value_of_the_one_that_stands_there_now()
    {
        await using var cluster = await StartAsync();
        await ConcurrentlyAsync(cluster, a => a.DeleteAsync("document", "1"), b => b.TransactAsync(async t =>
        {
            await t.DeleteAsync("document", "2");
            await t.UpdateAsync("document", ["1"], Row.Of(("id", "2"), ("v", "there")));
            await t.UpdateAsync("document", ["2"], Row.Of(("id", "1"), ("v", "and back")));
            return await t.InsertAsync("document", ("id", "2"), ("v", "new"), ("body", "new body"));
        }));
        foreach (var node in cluster.Nodes) Assert.Equal(("and back|body", "new|new body"), (node.Text("document", "1"), node.Text("document", "2")));
    }

    [Fact]
    public async Task Row_changed_again_or_deleted_at_its_origin_ends_as_its_origin_left_it()
    {
        await using var cluster = await StartAsync();
        await ConcurrentlyAsync(cluster, async a =>
        {
            for (var i = 1; i <= 3; i++) await a.UpdateAsync("document", ("id", $"{i}"), ("body", "body of a"));
        }, async b =>
        {
            for (var i = 1; i <= 3; i++) await b.SetAsync("document", $"{i}", "of b");
            await b.SetAsync("document", "1", "again");
            await b.UpdateAsync("document", ("id", "2"), ("v", "again"), ("body", "another body"));
            await b.DeleteAsync("document", "3");
        });
        foreach (var node in cluster.Nodes)
        {
            Assert.Equal(["again|body", "again|another body", null], Enumerable.Range(1, 3).Select(i => node.Text("document", $"{i}")));
        }
    }

    [Fact]
    public async Task Transaction_waits_for_an_origin_that_cannot_be_reached_and_holds_no_lock()
    {
        await using var cluster = await StartAsync();
        var (a, b) = (cluster[0], cluster[1]);
        // At the same instant: the greater name is the later write.
        await a.UpdateAsync("document", ("id", "1"), ("v", "of a"), ("body", "body of a"));
        await b.SetAsync("document", "1", "of b");
        // The update arrives on the stream that stands; the request for its row is long on its way.
        cluster.Delay(a, b, TimeSpan.FromSeconds(5));
        await cluster.UntilAsync("a has received b's update", () => a.StatusOf(b).ReceivedPosition > a.StatusOf(b).AppliedPosition);
        await cluster.PassAsync(TimeSpan.FromSeconds(1));
        Assert.Equal("of a|body of a", a.Text("document", "1"));
        Assert.True(await a.UpdateAsync("document", ("id", "1"), ("v", "of a once more")));

        cluster.Partition(a, b);
        await cluster.UntilAsync("a says that it can't reach b", () => a.StatusOf(b) is { Receiving: PeerLinkState.Disconnected, Message: not null });
        cluster.Heal();
        await cluster.ConvergeAsync();
        Assert.Equal("of a once more|body of a", b.Text("document", "1"));
    }

    private static async Task<InMemoryCluster> StartAsync()
    {
        var cluster = await InMemoryCluster.StartAsync(["a", "b"], options => options
            .Table(new TableDefinition("document", "id integer", "v text", "body text") { LargeColumns = ["body"] }));
        for (var i = 1; i <= 3; i++) await cluster[0].InsertAsync("document", ("id", $"{i}"), ("v", "title"), ("body", "body"));
        await cluster.ConvergeAsync();
        return cluster;
    }

    /// <summary>Neither node has seen the other's writes; those of node b are the later ones.</summary>
    private static async Task ConcurrentlyAsync(InMemoryCluster cluster, Func<InMemoryNode, Task> onA, Func<InMemoryNode, Task> onB)
    {
        cluster.Partition(cluster[0], cluster[1]);
        await onA(cluster[0]);
        await cluster.PassAsync(TimeSpan.FromMilliseconds(5));
        await onB(cluster[1]);
        cluster.Heal();
        await cluster.ConvergeAsync();
    }
}
