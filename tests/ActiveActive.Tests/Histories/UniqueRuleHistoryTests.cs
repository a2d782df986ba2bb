using ActiveActive.Diagnostics;
using ActiveActive.Testing;

namespace ActiveActive.Tests.Histories;

/// <summary>Convergence R6 together with R2 and R8: unique keys of tables whose rows add up or are folded.</summary>
[Collection(PinnedHistory.Collection)]
public sealed class UniqueRuleHistoryTests
{
    [Fact]
    [Trait("Story", "39")]
    public Task Row_that_a_local_writer_inserts_adds_to_the_hidden_one_of_its_key() => SumAsync(Safeguard.AddHiddenRow, 3, async cluster =>
    {
        // A:I r0(e=3, 10)@1; B:I r2(e=3, 5)@2; when r0 is out of sight everywhere, A:I r0(e=1, 7)@3: two inserts of a key add up, wherever they meet.
        var (a, b) = (cluster[0], cluster[1]);
        await a.InsertAsync("sums", ("id", "r0"), ("e", "3"), ("n", "10"));
        await b.InsertAsync("sums", ("id", "r2"), ("e", "3"), ("n", "5"));
        await cluster.ConvergeAsync();
        Assert.Equal(["r2=3 5"], Rows(a, "sums"));
        await a.InsertAsync("sums", ("id", "r0"), ("e", "1"), ("n", "7"));
        await cluster.ConvergeAsync();
        Assert.Equal(["r0=1 17", "r2=3 5"], Rows(a, "sums"));
    });

    [Fact]
    [Trait("Story", "39")]
    public Task Delta_of_another_node_reaches_a_hidden_row() => SumAsync(Safeguard.LosersAreVersions, 3, async cluster =>
    {
        // A:I r0(e=1, 10); C:U r0(+5)@1, A:U r0(e=3)@2, B:I r2(e=3)@3. A has hidden r0 when C's delta comes.
        var (a, b, c) = (cluster[0], cluster[1], cluster[2]);
        await a.InsertAsync("sums", ("id", "r0"), ("e", "1"), ("n", "10"));
        await cluster.ConvergeAsync();
        cluster.Delay(c, a, TimeSpan.FromSeconds(5));
        await c.AddAsync("sums", "n", 5, "r0");
        await a.UpdateAsync("sums", ("id", "r0"), ("e", "3"));
        await b.InsertAsync("sums", ("id", "r2"), ("e", "3"), ("n", "1"));
        await cluster.ConvergeAsync();
        Assert.Equal(["r2=3 1"], Rows(a, "sums"));
        await b.DeleteAsync("sums", "r2");
        await cluster.ConvergeAsync();
        Assert.Equal(["r0=3 15"], Rows(a, "sums"));
    });

    [Fact]
    [Trait("Story", "16")]
    public Task Truncate_that_had_not_seen_a_hidden_row_takes_it_from_a_sum() => SumAsync(Safeguard.TruncateLosers, 3, async cluster =>
    {
        // C:T@1; A:I r0(e=3)@2; B:I r2(e=3)@3. In a table with delta columns a truncate is the greatest delete of all keys (R2), also where r0 is hidden and later.
        var (a, b, c) = (cluster[0], cluster[1], cluster[2]);
        cluster.Delay(c, a, TimeSpan.FromSeconds(5));
        await c.InsertAsync("sums", ("id", "gone"), ("e", "9"), ("n", "1"));
        await c.TruncateAsync("sums");
        await a.InsertAsync("sums", ("id", "r0"), ("e", "3"), ("n", "10"));
        await b.InsertAsync("sums", ("id", "r2"), ("e", "3"), ("n", "5"));
        await cluster.ConvergeAsync();
        Assert.Empty(Rows(a, "sums"));
    });

    [Fact]
    [Trait("Story", "9")]
    public Task Fold_counts_as_its_greatest_version_among_rows_of_other_keys() => FoldAsync(Safeguard.FoldVersion, 3, async cluster =>
    {
        // A:U r0(e=3)@1; C:I r2(e=3)@2; B:U r0(e=3)@3. Of A and B one gets the other's write last, and its row shows that version.
        var (a, b, c) = (cluster[0], cluster[1], cluster[2]);
        await a.InsertAsync("folds", ("id", "r0"), ("e", "1"), ("n", ""));
        await cluster.ConvergeAsync();
        await a.UpdateAsync("folds", ("id", "r0"), ("e", "3"), ("n", "a"));
        await c.InsertAsync("folds", ("id", "r2"), ("e", "3"), ("n", "c"));
        await b.UpdateAsync("folds", ("id", "r0"), ("e", "3"), ("n", "b"));
        await cluster.ConvergeAsync();
        Assert.Equal(["r0=3 ab"], Rows(a, "folds"));
        await a.DeleteAsync("folds", "r0");
        await cluster.ConvergeAsync();
        Assert.Equal(["r2=3 c"], Rows(b, "folds"));
    });

    [Fact]
    [Trait("Story", "39")]
    public Task Siblings_of_a_hidden_row_are_folded_again_with_a_write_between_them() => FoldAsync(Safeguard.SiblingsOfLosers, 4, async cluster =>
    {
        // A:U r0@1, C:U r0@2, B:U r0(e=3)@3; D:I r2(e=3)@4 hides r0 at A, which has folded A's and B's, before C's comes.
        var (a, b, c, d) = (cluster[0], cluster[1], cluster[2], cluster[3]);
        await a.InsertAsync("folds", ("id", "r0"), ("e", "1"), ("n", ""));
        await cluster.ConvergeAsync();
        cluster.Delay(c, a, TimeSpan.FromSeconds(5));
        await a.UpdateAsync("folds", ("id", "r0"), ("n", "a"));
        await c.UpdateAsync("folds", ("id", "r0"), ("n", "c"));
        await b.UpdateAsync("folds", ("id", "r0"), ("e", "3"), ("n", "b"));
        await d.InsertAsync("folds", ("id", "r2"), ("e", "3"), ("n", "d"));
        await cluster.ConvergeAsync();
        Assert.Equal(["r2=3 d"], Rows(a, "folds"));
        await d.DeleteAsync("folds", "r2");
        await cluster.ConvergeAsync();
        Assert.Equal(["r0=3 acb"], Rows(b, "folds"));
    });

    [Fact]
    [Trait("Story", "39")]
    public Task Delete_of_a_hidden_row_excludes_an_insert_of_its_key_in_flight() => SumAsync(Safeguard.ExcludeLocalWriters, 3, async cluster =>
    {
        // A:I r0(e=3)@1, C:I r2(e=3)@2, which A does not have yet; A:{D r0, I y}@3. B has hidden r0, and B:I r0(e=1) is in flight when A's delete looks, and in the log before A's transaction is.
        var (a, b, c) = (cluster[0], cluster[1], cluster[2]);
        cluster.Delay(c, a, TimeSpan.FromSeconds(20));
        await a.InsertAsync("sums", ("id", "r0"), ("e", "3"), ("n", "10"));
        await c.InsertAsync("sums", ("id", "r2"), ("e", "3"), ("n", "5"));
        await cluster.UntilAsync("b has hidden r0", () => Rows(b, "sums") is ["r2=3 5"]);
        await a.TransactAsync(async t =>
        {
            Assert.True(await t.DeleteAsync("sums", "r0"));
            await t.InsertAsync("lww", ("id", "y"));
        });
        await Assert.ThrowsAsync<OperationCanceledException>(() => b.TransactAsync(async outer =>
        {
            // A's transaction waits here, after its look at r0.
            await outer.InsertAsync("lww", ("id", "y"));
            await b.TransactAsync(async inner =>
            {
                await inner.InsertAsync("sums", ("id", "r0"), ("e", "1"), ("n", "7"));
                await cluster.PassAsync(TimeSpan.FromSeconds(1));
            });
            throw new OperationCanceledException();
        }));
        await cluster.ConvergeAsync();
        Assert.Equal(["r2=3 5"], Rows(a, "sums"));
    });

    [Fact]
    [Trait("Story", "39")]
    public Task Version_that_a_lost_delta_left_is_kept_once_a_loser_is_compared_with_it() => SumAsync(Safeguard.KeepComparedVersions, 3, async cluster =>
    {
        // A:U r0(+1)@1, C:I r2(e=3)@2, B:U r0(e=3)@3. At B the delta comes first, and an override says that r0 is B's; then r2 loses against it. When all is stable, only what the loser is compared with stays.
        var (a, b, c) = (cluster[0], cluster[1], cluster[2]);
        await a.InsertAsync("sums", ("id", "r0"), ("e", "1"), ("n", "10"));
        await cluster.ConvergeAsync();
        cluster.Delay(c, b, TimeSpan.FromSeconds(5));
        await a.AddAsync("sums", "n", 1, "r0");
        await c.InsertAsync("sums", ("id", "r2"), ("e", "3"), ("n", "5"));
        await b.UpdateAsync("sums", ("id", "r0"), ("e", "3"));
        await cluster.ConvergeAsync();
        Assert.Equal(["r0=3 11"], Rows(b, "sums"));
        // Nodes collect every minute.
        await cluster.PassAsync(TimeSpan.FromSeconds(130));
        await b.InsertAsync("sums", ("id", "r9"), ("e", "9"), ("n", "0"));
        await cluster.ConvergeAsync();
        Assert.Equal(["r0=3 11", "r9=9 0"], Rows(b, "sums"));
    });

    private static string[] Rows(InMemoryNode node, string table) => [.. node.ReadAll(table).Select(r => $"{r["id"]}={r["e"]} {r["n"]}").Order(StringComparer.Ordinal)];

    private static Task SumAsync(Safeguard safeguard, int nodes, Func<InMemoryCluster, Task> history) => PinnedHistory.AssertAsync(safeguard, async () =>
    {
        await using var cluster = await InMemoryCluster.StartAsync(nodes, options => options
            .Table(new TableDefinition("sums", "id text", "e integer", "n bigint") { UniqueKeys = ["e"] })
            .Table(new TableDefinition("lww", "id text"))
            .Node(node => node.Replicate("public.sums", table => table.DeltaColumn("n"))));
        await history(cluster);
    });

    private static Task FoldAsync(Safeguard safeguard, int nodes, Func<InMemoryCluster, Task> history) => PinnedHistory.AssertAsync(safeguard, async () =>
    {
        await using var cluster = await InMemoryCluster.StartAsync(nodes, options => options
            .Table(new TableDefinition("folds", "id text", "e integer", "n text") { UniqueKeys = ["e"] })
            .Node(node => node.ResolveConflictsWith<Append>("public.folds")));
        await history(cluster);
    });

    /// <summary>Neither commutative nor associative with itself: what is folded, and in which order, can be read.</summary>
    private sealed class Append : IConflictResolver
    {
        public ConflictResolution Resolve(Conflict conflict) => ConflictResolution.Merge(conflict.Remote.With("n", conflict.Local["n"] + conflict.Remote["n"]));
    }
}
