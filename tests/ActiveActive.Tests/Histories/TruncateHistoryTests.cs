using ActiveActive.Diagnostics;
using ActiveActive.Tests.Cluster;

namespace ActiveActive.Tests.Histories;

/// <summary>Convergence R7 in last-update-wins tables: a truncate is a delete of all that is older.</summary>
[Collection(PinnedHistory.Collection)]
[Trait("Story", "16")]
public sealed class TruncateHistoryTests
{
    private static readonly TimeSpan s_second = TimeSpan.FromSeconds(1);

    [Fact]
    public Task Older_insert_that_arrives_after_a_local_truncate_is_dead() => PinnedHistory.AssertAsync(Safeguard.LocalTombstones, 2, async cluster =>
    {
        // A:I k(1); B:T(2).
        var (a, b) = (cluster[0], cluster[1]);
        await a.PutAsync("lww", "1", "a");
        await b.PutAsync("lww", "2", "b");
        await b.TruncateAsync("lww");
        await cluster.ConvergeAsync();
        Assert.All(cluster.Nodes, node => Assert.Empty(node.ReadAll("lww")));
    });

    [Fact]
    public Task Older_insert_that_arrives_after_a_peers_truncate_is_dead() => PinnedHistory.AssertAsync(Safeguard.TableTombstone, 3, async cluster =>
    {
        // A:I k(1), on its way to C; B:T(2).
        var (a, b, c) = (cluster[0], cluster[1], cluster[2]);
        cluster.Delay(a, c, s_second);
        await a.PutAsync("lww", "1", "a");
        await b.PutAsync("lww", "2", "b");
        await b.TruncateAsync("lww");
        await cluster.ConvergeAsync();
        Assert.Empty(c.ReadAll("lww"));
    });

    [Theory]
    [InlineData("lww", false, 5000)]
    [InlineData("merged", false, 5000)]
    [InlineData("lww", true, 5000)]
    [InlineData("merged", true, 5000)]
    [InlineData("lww", true, 1)]
    [InlineData("merged", true, 1)]
    [InlineData("merged", true, 3)]
    public async Task Row_that_stays_is_recorded_once_however_often_a_transaction_truncates_its_table(string table, bool insertsBetween, int changesPerPart)
    {
        // A:{U k, T, T}(1) or A:{U k, T, I k, T}(1); B:U k(2). What was inserted between goes with the second one, also where that comes in another part and the row was folded into B's.
        await using var cluster = await TestTables.StartAsync(["a", "b"], options => options.MaxChangesPerPart = changesPerPart);
        var (a, b) = (cluster[0], cluster[1]);
        await a.PutAsync(table, "1", "old");
        await cluster.ConvergeAsync();
        cluster.Partition(a, b);
        await a.TransactAsync(async t =>
        {
            await t.UpdateAsync(table, ("id", "1"), ("v", "a"));
            await t.TruncateAsync(table);
            if (insertsBetween) await t.InsertAsync(table, ("id", "1"), ("v", "again"));
            await t.TruncateAsync(table);
        });
        await b.SetAsync(table, "1", "b");
        cluster.Heal();
        await cluster.ConvergeAsync();
        Assert.All(cluster.Nodes, node => Assert.Equal("b", node.Text(table, "1")));
        Assert.Single(b.Conflicts, c => c.Type == ConflictType.TruncateOriginDiffers);
    }

    [Fact]
    public Task Rows_that_are_later_than_a_truncate_stay() => PinnedHistory.AssertAsync(Safeguard.LaterRowsStay, 2, async cluster =>
    {
        // B:T(1); A:I k(2).
        var (a, b) = (cluster[0], cluster[1]);
        await b.TruncateAsync("lww");
        await a.PutAsync("lww", "1", "a");
        await cluster.ConvergeAsync();
        Assert.All(cluster.Nodes, node => Assert.Equal("a", node.Text("lww", "1")));
    });

    [Fact]
    public Task Later_of_a_row_tombstone_and_a_table_tombstone_counts() => PinnedHistory.AssertAsync(Safeguard.TableTombstone, 3, async cluster =>
    {
        // B:D k(1); A:U k(2), on its way to C; B:T(3).
        var (a, b, c) = (cluster[0], cluster[1], cluster[2]);
        await a.PutAsync("lww", "1", "old");
        await cluster.ConvergeAsync();
        cluster.Delay(a, c, s_second);
        await b.DeleteAsync("lww", "1");
        await a.SetAsync("lww", "1", "a");
        await b.TruncateAsync("lww");
        await cluster.ConvergeAsync();
        Assert.Null(c.Text("lww", "1"));
    });

    [Fact]
    public async Task Row_inserted_and_truncated_in_one_transaction_goes_and_one_inserted_after_it_stays()
    {
        await using var cluster = await TestTables.StartAsync("a", "b");
        await cluster[0].TransactAsync(async t =>
        {
            await t.InsertAsync("lww", ("id", "1"), ("v", "before"));
            await t.TruncateAsync("lww");
            await t.InsertAsync("lww", ("id", "2"), ("v", "after"));
        });
        await cluster.ConvergeAsync();
        Assert.Equal((null, "after"), (cluster[1].Text("lww", "1"), cluster[1].Text("lww", "2")));
    }
}
