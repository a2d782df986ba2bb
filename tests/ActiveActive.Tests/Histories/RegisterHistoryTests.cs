using ActiveActive.Diagnostics;
using ActiveActive.Testing;
using ActiveActive.Tests.Cluster;

namespace ActiveActive.Tests.Histories;

/// <summary>Convergence R1: one register per key, a delete is a write.</summary>
[Collection(PinnedHistory.Collection)]
public sealed class RegisterHistoryTests
{
    private static readonly TimeSpan s_second = TimeSpan.FromSeconds(1);

    [Fact]
    [Trait("Story", "36")]
    public Task Insert_that_meets_a_local_delete_before_capture_does_not_resurrect_the_row() => PinnedHistory.AssertAsync(Safeguard.VerifyInserts, 2, async cluster =>
    {
        // A:I a(1); B:{I b, D}(2), B's delete not yet captured: B finds no row and no tombstone.
        var (a, b) = (cluster[0], cluster[1]);
        await a.PutAsync("lww", "1", "a");
        b.Database.HoldsCapture = true;
        await b.TransactAsync(async t =>
        {
            await t.InsertAsync("lww", ("id", "1"), ("v", "b"));
            await t.DeleteAsync("lww", "1");
        });
        await cluster.PassAsync(s_second);
        b.Database.HoldsCapture = false;
        await cluster.ConvergeAsync();
        Assert.Null(a.Text("lww", "1"));
    });

    [Fact]
    [Trait("Story", "36")]
    public Task Row_that_capture_has_not_passed_is_not_taken_for_one_that_everybody_has_seen() => PinnedHistory.AssertAsync(Safeguard.DecideBehindCapture, 2, async cluster =>
    {
        // A:U k(1); B:U k(2), not yet captured: its xmin tells no place in the log.
        var (a, b) = (cluster[0], cluster[1]);
        await a.PutAsync("lww", "1", "old");
        await cluster.ConvergeAsync();
        await a.SetAsync("lww", "1", "a");
        b.Database.HoldsCapture = true;
        await b.SetAsync("lww", "1", "b");
        await cluster.PassAsync(s_second);
        b.Database.HoldsCapture = false;
        await cluster.ConvergeAsync();
        Assert.Equal("b", a.Text("lww", "1"));
    });

    [Fact]
    [Trait("Story", "5")]
    public Task Older_update_does_not_bring_back_a_row_that_was_deleted_here() => PinnedHistory.AssertAsync(Safeguard.LocalTombstones, 2, async cluster =>
    {
        // B:U k(1); A:D k(2).
        var (a, b) = (cluster[0], cluster[1]);
        await a.PutAsync("lww", "1", "old");
        await cluster.ConvergeAsync();
        await b.SetAsync("lww", "1", "b");
        await a.DeleteAsync("lww", "1");
        await cluster.ConvergeAsync();
        Assert.Null(b.Text("lww", "1"));
    });

    [Fact]
    [Trait("Story", "5")]
    public Task Delete_that_finds_no_row_leaves_a_tombstone() => PinnedHistory.AssertAsync(Safeguard.TombstoneWithoutRow, 3, async cluster =>
    {
        // A:D k(1); C:U k(2); B:D k(3). A has B's delete before C's update, which is later than A's own.
        var (a, b, c) = (cluster[0], cluster[1], cluster[2]);
        await a.PutAsync("lww", "1", "old");
        await cluster.ConvergeAsync();
        cluster.Partition(a, c);
        await a.DeleteAsync("lww", "1");
        await c.SetAsync("lww", "1", "c");
        await b.DeleteAsync("lww", "1");
        await cluster.UntilAsync("a has b's delete", () => a.Database.ProgressOf(b.Name) >= b.LastCommit);
        cluster.Heal();
        await cluster.ConvergeAsync();
        Assert.Null(a.Text("lww", "1"));
    });

    [Fact]
    [Trait("Story", "36")]
    public Task Insert_that_capture_has_passed_is_waited_for_until_it_is_visible() => PinnedHistory.AssertAsync(Safeguard.WaitUntilVisible, 2, async cluster =>
    {
        // B:D k(1); B:I k(2), in the log and not visible yet; A:D k(3), which finds no row at B.
        var (a, b) = (cluster[0], cluster[1]);
        await a.PutAsync("lww", "1", "old");
        await cluster.ConvergeAsync();
        cluster.Partition(a, b);
        await b.DeleteAsync("lww", "1");
        var insert = await SteppedCommit.StampAsync(cluster, b, t => t.InsertAsync("lww", ("id", "1"), ("v", "b")));
        await insert.LogAsync();
        await cluster.PassAsync(s_second);
        await a.DeleteAsync("lww", "1");
        cluster.Heal();
        await cluster.PassAsync(5 * s_second);
        await insert.ShowAsync();
        await cluster.ConvergeAsync();
        Assert.Null(b.Text("lww", "1"));
    });

    /// <summary>A delete of A's finds no row at B, and must wait there for the rows of a commit that is in the log.</summary>
    private static async Task<SteppedCommit> WaitForRowsAsync(InMemoryCluster cluster)
    {
        var (a, b) = (cluster[0], cluster[1]);
        await a.PutAsync("lww", "1", "old");
        await cluster.ConvergeAsync();
        cluster.Partition(a, b);
        await b.DeleteAsync("lww", "1");
        var insert = await SteppedCommit.StampAsync(cluster, b, t => t.InsertAsync("lww", ("id", "2"), ("v", "b")));
        await insert.LogAsync();
        await a.DeleteAsync("lww", "1");
        cluster.Heal();
        return insert;
    }

    [Fact]
    public async Task Wait_for_rows_that_are_captured_and_not_visible_is_told_in_the_status()
    {
        await using var cluster = await TestTables.StartAsync("a", "b");
        var (a, b) = (cluster[0], cluster[1]);
        var insert = await WaitForRowsAsync(cluster);
        await cluster.UntilAsync("b says what it waits for", () => b.StatusOf(a).Message is { } message && message.StartsWith("Transaction a ", StringComparison.Ordinal)
            && message.Contains("waits until the rows of local transaction", StringComparison.Ordinal) && message.Contains("synchronous standby", StringComparison.Ordinal));
        await insert.ShowAsync();
        await cluster.ConvergeAsync();
        Assert.Null(b.StatusOf(a).Message);
    }

    [Fact]
    public async Task Wait_for_rows_that_are_captured_and_not_visible_ends_at_once_with_the_node()
    {
        await using var cluster = await TestTables.StartAsync("a", "b");
        var (a, b) = (cluster[0], cluster[1]);
        var insert = await WaitForRowsAsync(cluster);
        await cluster.UntilAsync("b waits", () => b.StatusOf(a).Message?.Contains("waits until the rows of local transaction", StringComparison.Ordinal) == true);
        await cluster.RunAsync("b has stopped", async () =>
        {
            await b.Replication.StopAsync(new CancellationToken(canceled: true));
            return true;
        });
        Assert.Equal(NodeState.Stopped, b.Replication.Status.State);
        await insert.ShowAsync();
    }

    [Fact]
    [Trait("Story", "36")]
    public Task Insert_that_commits_behind_the_marker_is_later_than_what_the_marker_was_written_for() => PinnedHistory.AssertAsync(Safeguard.MarkerFloor, 2, async cluster =>
    {
        // B:D k(1); B:I k(2) has its stamp and is not in the log yet; A:{D k, I y}(3), whose delete finds no row at B. The insert is logged before A's
        // transaction is, which waits for y with its look behind it.
        var (a, b) = (cluster[0], cluster[1]);
        await a.PutAsync("lww", "1", "old");
        await cluster.ConvergeAsync();
        cluster.Partition(a, b);
        await b.DeleteAsync("lww", "1");
        var insert = await SteppedCommit.StampAsync(cluster, b, t => t.InsertAsync("lww", ("id", "1"), ("v", "b")));
        await cluster.PassAsync(s_second);
        await a.TransactAsync(async t =>
        {
            await t.DeleteAsync("lww", "1");
            await t.InsertAsync("lww", ("id", "2"), ("v", "y"));
        });
        cluster.Heal();
        await Assert.ThrowsAsync<OperationCanceledException>(() => b.TransactAsync(async t =>
        {
            await t.InsertAsync("lww", ("id", "2"), ("v", "rolled back"));
            await cluster.PassAsync(5 * s_second);
            await insert.LogAsync();
            await insert.ShowAsync();
            throw new OperationCanceledException();
        }));
        await cluster.ConvergeAsync();
        Assert.Equal("b", a.Text("lww", "1"));
    });

    [Fact]
    public Task Two_peers_transactions_do_not_decide_about_a_missing_row_at_once() => PinnedHistory.AssertAsync(Safeguard.KeyGate, 3, async cluster =>
    {
        // B:D k(1); C:I k(2) had seen it; A:{D k, I y}(3) had seen neither. At B, A's delete has found no row and waits for y when C's insert comes.
        var (a, b, c) = (cluster[0], cluster[1], cluster[2]);
        await a.PutAsync("lww", "1", "old");
        await cluster.ConvergeAsync();
        cluster.Delay(a, b, 2 * s_second);
        cluster.Delay(c, b, 5 * s_second);
        cluster.Delay(a, c, 20 * s_second);
        cluster.Delay(b, a, 20 * s_second);
        cluster.Delay(c, a, 20 * s_second);
        await b.DeleteAsync("lww", "1");
        await cluster.UntilAsync("c has b's delete", () => c.Database.ProgressOf(b.Name) >= b.LastCommit);
        await c.PutAsync("lww", "1", "c");
        await cluster.PassAsync(TimeSpan.FromMilliseconds(10));
        await a.TransactAsync(async t =>
        {
            await t.DeleteAsync("lww", "1");
            await t.InsertAsync("lww", ("id", "2"), ("v", "y"));
        });
        await Assert.ThrowsAsync<OperationCanceledException>(() => b.TransactAsync(async t =>
        {
            await t.InsertAsync("lww", ("id", "2"), ("v", "rolled back"));
            await cluster.PassAsync(8 * s_second);
            throw new OperationCanceledException();
        }));
        cluster.Heal();
        await cluster.ConvergeAsync();
        Assert.Null(b.Text("lww", "1"));
    });

    [Fact]
    [Trait("Story", "37")]
    public Task Tombstone_is_kept_while_an_older_insert_is_on_its_way() => PinnedHistory.AssertAsync(Safeguard.CollectWhenStable, 3, async cluster =>
    {
        // C:I c(2), still on its way to B; B:{I, D}(4), applied and acknowledged by A and C.
        var (a, b, c) = (cluster[0], cluster[1], cluster[2]);
        await cluster.PassAsync((57 * s_second) - cluster.Elapsed);
        cluster.Delay(c, b, 8 * s_second);
        await c.PutAsync("lww", "1", "c");
        await b.TransactAsync(async t =>
        {
            await t.InsertAsync("lww", ("id", "1"), ("v", "b"));
            await t.DeleteAsync("lww", "1");
        });
        await cluster.UntilAsync("a and c have b's delete", () => a.Database.ProgressOf(b.Name) >= b.LastCommit && c.Database.ProgressOf(b.Name) >= b.LastCommit);
        // Nodes collect every minute: now, before c's insert arrives.
        await cluster.ConvergeAsync();
        Assert.Null(b.Text("lww", "1"));
    });
}
