using ActiveActive.Diagnostics;
using ActiveActive.Testing;
using ActiveActive.Tests.Cluster;

namespace ActiveActive.Tests.Histories;

/// <summary>What a node that joins must be told beside the rows (convergence R3).</summary>
[Collection(PinnedHistory.Collection)]
public sealed class JoinHistoryTests
{
    private static readonly TimeSpan s_second = TimeSpan.FromSeconds(1);

    [Fact]
    public Task Copied_row_loses_to_a_later_write_that_its_donor_had_not_seen_and_wins_over_an_earlier_one() => PinnedHistory.AssertAsync(Safeguard.CopyVersions, 3, async cluster =>
    {
        var (a, b, c) = (cluster[0], cluster[1], cluster[2]);
        foreach (var key in (string[])["1", "2", "3"]) await a.PutAsync("lww", key, "first");
        await cluster.ConvergeAsync();
        // What c writes reaches nobody until the node has its copy; nor does c hear of b's.
        foreach (var peer in (InMemoryNode[])[a, b])
        {
            cluster.Delay(c, peer, 3 * s_second);
            cluster.Delay(peer, c, 3 * s_second);
        }

        await c.SetAsync("lww", "1", "c, earlier");
        await c.DeleteAsync("lww", "3");
        await cluster.PassAsync(s_second);
        foreach (var key in (string[])["1", "2"]) await b.SetAsync("lww", key, "b");
        await b.SetAsync("lww", "3", "b, later than the delete");
        await b.PutAsync("lww", "4", "b");
        await b.DeleteAsync("lww", "4");
        await cluster.PassAsync(s_second);
        await c.SetAsync("lww", "2", "c, later");
        var d = await cluster.JoinAsync("d", b);
        await cluster.UntilAsync("d is a member", () => d.Replication.Status.State == NodeState.Running);
        await cluster.ConvergeAsync();
        Assert.Equal("b", d.Text("lww", "1"));
        Assert.Equal("c, later", d.Text("lww", "2"));
        Assert.Equal("b, later than the delete", d.Text("lww", "3"));
        Assert.Null(d.Text("lww", "4"));
    });
}
