using ActiveActive.Diagnostics;
using ActiveActive.Testing;
using ActiveActive.Tests.Cluster;

namespace ActiveActive.Tests.Histories;

/// <summary>Convergence R2 (rule E), R3 (version override) and R7 in tables with delta columns.</summary>
[Collection(PinnedHistory.Collection)]
public sealed class DeltaHistoryTests
{
    private static readonly TimeSpan s_second = TimeSpan.FromSeconds(1);

    [Fact]
    [Trait("Story", "14")]
    public Task Insert_that_had_not_seen_the_greatest_delete_is_dead_in_every_order() => PinnedHistory.AssertAsync(Safeguard.RuleE, 2, async cluster =>
    {
        // A:I(1); B:{I, D}(2): by a rule "a delete takes what it had seen", present or absent by order of arrival.
        var (a, b) = (cluster[0], cluster[1]);
        await a.PutAsync("delta", "1", "a", "1");
        await b.TransactAsync(async t =>
        {
            await t.InsertAsync("delta", ("id", "1"), ("v", "b"), ("n", "2"));
            await t.DeleteAsync("delta", "1");
        });
        await cluster.ConvergeAsync();
        Assert.Null(a.Text("delta", "1"));
    });

    [Fact]
    public Task Delete_that_finds_no_row_excludes_an_insert_in_flight() => PinnedHistory.AssertAsync(Safeguard.TakePlace, 2, async cluster =>
    {
        // B:D k(1); A:{D k, I y}(2); B:I k(3) is in flight when A's delete looks, and in the log before A's transaction is.
        var (a, b) = (cluster[0], cluster[1]);
        await a.PutAsync("delta", "1", "old", "1");
        await cluster.ConvergeAsync();
        await b.DeleteAsync("delta", "1");
        await a.TransactAsync(async t =>
        {
            await t.DeleteAsync("delta", "1");
            await t.InsertAsync("lww", ("id", "2"), ("v", "y"));
        });
        await CommitUnderTheAppliersHandsAsync(cluster, b);
        Assert.Null(b.Text("delta", "1"));
    });

    [Fact]
    [Trait("Story", "16")]
    public Task Truncate_excludes_an_insert_in_flight() => PinnedHistory.AssertAsync(Safeguard.LockTruncatedTables, 2, async cluster =>
    {
        // A:{T, I y}(1); B:I k(2) is in flight when A's truncate looks, and in the log before A's transaction is.
        var (a, b) = (cluster[0], cluster[1]);
        await a.TransactAsync(async t =>
        {
            await t.TruncateAsync("delta");
            await t.InsertAsync("lww", ("id", "2"), ("v", "y"));
        });
        await CommitUnderTheAppliersHandsAsync(cluster, b);
        Assert.Null(b.Text("delta", "1"));
    });

    [Fact]
    [Trait("Story", "16")]
    public Task Greatest_delete_of_a_key_never_falls_back_to_an_older_truncate() => PinnedHistory.AssertAsync(Safeguard.GreatestDeleteStays, 3, async cluster =>
    {
        // B:D k(2), in B's checkpoint and known to be everywhere; A:T(1), which reaches B behind it and is on its way to C; C:I k(3) had seen the
        // delete and not the truncate.
        var (a, b, c) = (cluster[0], cluster[1], cluster[2]);
        await a.PutAsync("delta", "1", "old", "1");
        await cluster.ConvergeAsync();
        // Nodes collect every minute: while the truncate is on its way.
        await cluster.PassAsync((50 * s_second) - cluster.Elapsed);
        cluster.SkewClock(b, 5 * s_second);
        cluster.Delay(a, c, 13 * s_second);
        cluster.Delay(b, a, 3 * s_second);
        await b.DeleteAsync("delta", "1");
        await cluster.PassAsync(2 * s_second);
        await a.TruncateAsync("delta");
        await cluster.PassAsync(9 * s_second);
        Assert.True(c.Database.ProgressOf(a.Name) < a.LastCommit && c.Database.ProgressOf(b.Name) >= b.LastCommit);
        await c.PutAsync("delta", "1", "again", "5");
        await cluster.ConvergeAsync();
        Assert.Equal("again|5", a.Text("delta", "1"));
    });

    [Fact]
    [Trait("Story", "13")]
    public Task Delta_of_a_losing_update_leaves_the_row_its_version() => PinnedHistory.AssertAsync(Safeguard.VersionOverride, 3, async cluster =>
    {
        // B:U(1); C:U(2); A:U(3). A has B's delta before C's update, which is later than B's.
        var (a, b, c) = (cluster[0], cluster[1], cluster[2]);
        await a.PutAsync("delta", "1", "old", "100");
        await cluster.ConvergeAsync();
        cluster.Partition(a, c);
        await WriteAsync(b, "early", -5);
        await WriteAsync(c, "between", 1);
        await WriteAsync(a, "late", 10);
        await cluster.UntilAsync("a has b's delta", () => a.Text("delta", "1") == "late|105");
        cluster.Heal();
        await cluster.ConvergeAsync();
        Assert.All(cluster.Nodes, node => Assert.Equal("late|106", node.Text("delta", "1")));
    });

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    [Trait("Story", "38")]
    public async Task Override_of_a_row_that_its_transaction_wrote_again_does_not_mask_a_newer_write(bool truncate)
    {
        async Task HistoryAsync(InMemoryCluster cluster)
        {
            // A:I(3); B:{I, D, I}(1), or {I, T, I}; B:U(2). At A the first insert loses and leaves an override, the second one has the same xmin.
            var (a, b) = (cluster[0], cluster[1]);
            await b.TransactAsync(async t =>
            {
                await t.InsertAsync("delta", ("id", "1"), ("v", "first"), ("n", "1"));
                if (truncate) await t.TruncateAsync("delta");
                else await t.DeleteAsync("delta", "1");
                await t.InsertAsync("delta", ("id", "1"), ("v", "second"), ("n", "2"));
            });
            await b.SetAsync("delta", "1", "third");
            await a.PutAsync("delta", "1", "a", "10");
            await cluster.ConvergeAsync();
            Assert.Equal("third|2", a.Text("delta", "1"));
        }

        await PinnedHistory.AssertAsync(Safeguard.DropOwnOverride, 2, HistoryAsync);
    }

    private static Task WriteAsync(InMemoryNode node, string v, int amount) => node.TransactAsync(async t =>
    {
        await t.UpdateAsync("delta", ("id", "1"), ("v", v));
        await t.AddAsync("delta", "n", amount, "1");
    });

    /// <summary>
    /// One open transaction has inserted the delta table's row 1, another the row y that the peer's transaction inserts after it looked at the first: there
    /// it waits, with its look behind it. Then the first commits, the second goes away, and the peer's transaction goes on.
    /// </summary>
    private static async Task CommitUnderTheAppliersHandsAsync(InMemoryCluster cluster, InMemoryNode node)
    {
        await Assert.ThrowsAsync<OperationCanceledException>(() => node.TransactAsync(async outer =>
        {
            await outer.InsertAsync("lww", ("id", "2"), ("v", "rolled back"));
            await node.TransactAsync(async inner =>
            {
                await inner.InsertAsync("delta", ("id", "1"), ("v", "in flight"), ("n", "7"));
                await cluster.PassAsync(s_second);
            });
            throw new OperationCanceledException();
        }));
        await cluster.ConvergeAsync();
    }
}
