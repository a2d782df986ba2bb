using ActiveActive.Diagnostics;
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
