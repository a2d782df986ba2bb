using ActiveActive.Diagnostics;
using ActiveActive.Tests.Cluster;

namespace ActiveActive.Tests.Histories;

/// <summary>Convergence R5: several transactions in one local commit; and rows that are written without a look.</summary>
[Collection(PinnedHistory.Collection)]
public sealed class GroupHistoryTests
{
    [Fact]
    public Task Row_of_an_earlier_transaction_of_a_commit_has_that_ones_version() => PinnedHistory.AssertAsync(Safeguard.GroupedVersions, 3, async cluster =>
    {
        // C:I k0(2), C:I k1(4), applied at A in one commit, which shows 4; B:I k0(3).
        var (a, b, c) = (cluster[0], cluster[1], cluster[2]);
        await c.PutAsync("lww", "9", "c");
        await cluster.ConvergeAsync();
        cluster.Partition(a, b);
        await c.SetAsync("lww", "9", "held");
        await c.PutAsync("lww", "0", "c");
        await b.PutAsync("lww", "0", "b");
        await c.PutAsync("lww", "1", "c");
        await a.TransactAsync(async t =>
        {
            // The first one waits for this lock, and the others behind it.
            await t.ReadForUpdateAsync("lww", "9");
            await cluster.UntilAsync("all of c has arrived", () => a.Replication.Status.Peers.Single(p => p.Peer == c.Name).ReceivedPosition >= c.LastCommit);
        });
        await cluster.UntilAsync("a has both of c", () => a.Text("lww", "1") == "c");
        cluster.Heal();
        await cluster.ConvergeAsync();
        Assert.Equal("b", a.Text("lww", "0"));
    });

    [Fact]
    public Task Row_that_the_writer_had_not_seen_is_looked_at() => PinnedHistory.AssertAsync(Safeguard.UnseenStamps, 3, async cluster =>
    {
        // A:U k(1); B:U k(2), before the marker that c's insert has B write.
        var (a, b, c) = (cluster[0], cluster[1], cluster[2]);
        await a.PutAsync("lww", "1", "old");
        await cluster.ConvergeAsync();
        cluster.Partition(a, b);
        await a.SetAsync("lww", "1", "a");
        await b.SetAsync("lww", "1", "b");
        await c.PutAsync("lww", "9", "c");
        await cluster.UntilAsync("b has c's row", () => b.Text("lww", "9") == "c");
        cluster.Heal();
        await cluster.ConvergeAsync();
        Assert.Equal("b", a.Text("lww", "1"));
    });
}
