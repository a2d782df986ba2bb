namespace ActiveActive.Tests.Cluster;

/// <summary>Large values that an update left unchanged, through the whole engine: asked over a connection of their own.</summary>
[Trait("Story", "8")]
public sealed class UnchangedValueClusterTests
{
    private static readonly string[] s_names = ["a", "b"];

    [Fact]
    public async Task Concurrent_winner_re_created_row_and_changed_key_are_whole()
    {
        await using var cluster = await StartAsync();
        await ConcurrentlyAsync(cluster, async a =>
        {
            await a.UpdateAsync("document", "1", "of a", "body of a");
            await a.DeleteAsync("document", "2");
            await a.UpdateAsync("document", "3", "of a", "body of a");
        }, async b =>
        {
            await b.UpdateTitleAsync("1", "of b");
            await b.UpdateTitleAsync("2", "of b");
            await b.UpdateTitleAsync("3", "of b", newKey: "4");
        });
        foreach (var node in cluster.Nodes)
        {
            Assert.Equal("of b|body", node.Row("document", "1"));
            Assert.Equal("of b|body", node.Row("document", "2"));
            Assert.Null(node.Row("document", "3"));
            Assert.Equal("of b|body", node.Row("document", "4"));
        }
    }

    [Fact]
    public async Task Row_changed_again_or_deleted_at_its_origin_ends_as_its_origin_left_it()
    {
        await using var cluster = await StartAsync();
        await ConcurrentlyAsync(cluster, async a =>
        {
            for (var i = 1; i <= 3; i++) await a.UpdateAsync("document", $"{i}", "of a", "body of a");
        }, async b =>
        {
            for (var i = 1; i <= 3; i++) await b.UpdateTitleAsync($"{i}", "of b");
            await b.UpdateTitleAsync("1", "again");
            await b.UpdateAsync("document", "2", "again", "another body");
            await b.DeleteAsync("document", "3");
        });
        foreach (var node in cluster.Nodes)
        {
            Assert.Equal("again|body", node.Row("document", "1"));
            Assert.Equal("again|another body", node.Row("document", "2"));
            Assert.Null(node.Row("document", "3"));
        }
    }

    [Fact]
    public async Task Transaction_waits_for_an_origin_that_cannot_be_reached_and_says_so()
    {
        await using var cluster = await StartAsync();
        var (a, b) = (cluster[0], cluster[1]);
        a.Node.PausePeer(b.Node.Name);
        b.Node.PausePeer(a.Node.Name);
        await cluster.UntilAsync("both links are paused", () => cluster.Nodes.All(n => n.Node.Status.Peers.All(p => p.Receiving == PeerLinkState.Paused)));
        await a.UpdateAsync("document", "1", "of a", "body of a");
        await b.UpdateTitleAsync("1", "of b");
        // The stream gets through, and a second connection beside it does not.
        a.RefusesDial = () => cluster.Network.OpenConnections > 0;
        a.Node.ResumePeer(b.Node.Name);
        await cluster.UntilAsync("a says what it waits for", () => a.StatusOf(b).Message?.Contains("waits for 1 of its rows from node 'b'", StringComparison.Ordinal) == true);
        Assert.Equal("of a|body of a", a.Row("document", "1"));
        // No lock is held meanwhile: local writes go on.
        await a.UpdateAsync("document", "1", "of a once more", "body of a");
        a.RefusesDial = null;
        b.Node.ResumePeer(a.Node.Name);
        await cluster.QuietAsync();
        Assert.Equal("of a once more|body of a", a.Row("document", "1"));
        cluster.AssertIdentical();
    }

    private static async Task<MemoryCluster> StartAsync()
    {
        var cluster = await MemoryCluster.StartAsync(s_names);
        for (var i = 1; i <= 3; i++) await cluster[0].InsertAsync("document", $"{i}", "title", "body");
        await cluster.QuietAsync();
        return cluster;
    }

    /// <summary>Neither node has seen the other's writes; those of node b are the later ones.</summary>
    private static async Task ConcurrentlyAsync(MemoryCluster cluster, Func<MemoryNode, Task> onA, Func<MemoryNode, Task> onB)
    {
        var (a, b) = (cluster[0], cluster[1]);
        a.Node.PausePeer(b.Node.Name);
        b.Node.PausePeer(a.Node.Name);
        await cluster.UntilAsync("both links are paused", () => cluster.Nodes.All(n => n.Node.Status.Peers.All(p => p.Receiving == PeerLinkState.Paused)));
        await onA(a);
        await onB(b);
        a.Node.ResumePeer(b.Node.Name);
        b.Node.ResumePeer(a.Node.Name);
        await cluster.QuietAsync();
        cluster.AssertIdentical();
    }
}
