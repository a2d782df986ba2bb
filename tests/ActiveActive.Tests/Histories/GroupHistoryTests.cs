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
        // A:U k(1); B:U k(2), before the marker that c's insert has B write, since somebody else has done something there.
        var (a, b, c) = (cluster[0], cluster[1], cluster[2]);
        await a.PutAsync("lww", "1", "old");
        await cluster.ConvergeAsync();
        cluster.Partition(a, b);
        await a.SetAsync("lww", "1", "a");
        await b.SetAsync("lww", "1", "b");
        await Assert.ThrowsAsync<TimeoutException>(() => b.TransactAsync(static _ => throw new TimeoutException("Rolled back.")));
        await c.PutAsync("lww", "9", "c");
        await cluster.UntilAsync("b has c's row", () => b.Text("lww", "9") == "c");
        cluster.Heal();
        await cluster.ConvergeAsync();
        Assert.Equal("b", a.Text("lww", "1"));
    });

    [Fact]
    public Task Row_that_leaves_the_quarantine_late_does_not_hide_an_unseen_one() => PinnedHistory.AssertAsync(Safeguard.LateTransactions, async () =>
    {
        // A:I x(1), put aside at B; C:U k(2) had seen x; A:U k(3) is at B before x is, and both are before C's update.
        await using var cluster = await TestTables.StartAsync(["a", "b", "c"], static node => node.OnApplyError = ApplyErrorPolicy.Quarantine);
        var (a, b, c) = (cluster[0], cluster[1], cluster[2]);
        await a.PutAsync("lww", "1", "old");
        await cluster.ConvergeAsync();
        b.Refuses = static (_, row) => row[1].Text == "bad" ? "no_bad" : null;
        await a.PutAsync("lww", "7", "bad");
        await cluster.UntilAsync("b has put it aside, and c has it", () => b.Replication.Status.Quarantined == 1 && c.Text("lww", "7") is not null);
        cluster.Partition(a, c);
        cluster.Partition(b, c);
        await c.SetAsync("lww", "1", "c");
        await a.SetAsync("lww", "1", "a");
        await cluster.UntilAsync("b has a's update", () => b.Text("lww", "1") == "a");
        b.Refuses = null;
        var entry = Assert.Single(await b.Replication.Quarantine.ListAsync(TestContext.Current.CancellationToken));
        Assert.Equal(1, await cluster.RunAsync("it is retried", () => b.Replication.Quarantine.RetryAsync(entry.Id, TestContext.Current.CancellationToken)));
        await a.PutAsync("lww", "8", "a");
        await cluster.UntilAsync("b has a's row, and capture has passed what was before", () => b.Text("lww", "8") is not null);
        cluster.Heal();
        await cluster.ConvergeAsync();
        Assert.Equal("a", b.Text("lww", "1"));
    });

    [Fact]
    public async Task Insert_that_does_not_count_leaves_the_next_one_of_its_commit_to_ask_for_the_delete()
    {
        // A:{D k}(1), A:I k(2); B:{D k, I k}(3); A:U k(4) had seen B's row; B:D k(5), not captured when all of A's come in one commit. The update meets 5, not 3.
        await using var cluster = await TestTables.StartAsync("a", "b");
        var (a, b) = (cluster[0], cluster[1]);
        await a.PutAsync("lww", "9", "a");
        await a.PutAsync("delta", "1", "old");
        await cluster.ConvergeAsync();
        await b.TransactAsync(async held =>
        {
            // A's first transaction waits for this lock, and the others behind it.
            await held.ReadForUpdateAsync("lww", "9");
            await a.SetAsync("lww", "9", "held");
            await cluster.UntilAsync("it has arrived", () => b.Replication.Status.Peers.Single(p => p.Peer == a.Name).ReceivedPosition >= a.LastCommit);
            cluster.Delay(a, b, TimeSpan.FromMilliseconds(100));
            await a.DeleteAsync("delta", "1");
            await a.PutAsync("delta", "1", "a");
            await b.TransactAsync(async t =>
            {
                await t.DeleteAsync("delta", "1");
                await t.InsertAsync("delta", ("id", "1"), ("v", "b"), ("n", "1"));
            });
            await cluster.UntilAsync("a has b's row", () => a.Text("delta", "1") == "b|1");
            await a.AddAsync("delta", "n", 5, "1");
            await cluster.UntilAsync("all of a has arrived", () => b.Replication.Status.Peers.Single(p => p.Peer == a.Name).ReceivedPosition >= a.LastCommit);
            b.Database.HoldsCapture = true;
            await b.DeleteAsync("delta", "1");
        });
        await cluster.PassAsync(TimeSpan.FromSeconds(1));
        b.Database.HoldsCapture = false;
        await cluster.ConvergeAsync();
        var met = Assert.Single(b.Conflicts, conflict => conflict.RemoteVersion.Position == a.LastCommit);
        Assert.Equal((b.Name, b.LastCommit), (met.LocalVersion!.Value.Origin, met.LocalVersion.Value.Position));
    }
}
