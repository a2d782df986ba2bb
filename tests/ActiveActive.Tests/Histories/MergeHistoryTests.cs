using ActiveActive.Diagnostics;
using ActiveActive.Testing;

namespace ActiveActive.Tests.Histories;

/// <summary>Convergence R8: concurrent versions stay siblings until stable.</summary>
[Collection(PinnedHistory.Collection)]
public sealed class MergeHistoryTests
{
    private static readonly TimeSpan s_second = TimeSpan.FromSeconds(1);

    [Fact]
    [Trait("Story", "40")]
    public Task Three_writes_on_two_nodes_merge_without_hiding_a_parent() => PinnedHistory.AssertAsync(Safeguard.Siblings, async () =>
    {
        // A:7, B:9, A:{7,3}: a merged row with the greater stamp hides its other parent, and A has {3,7,9}, B {3,7}.
        await using var cluster = await InMemoryCluster.StartAsync(2, options => options
            .Table("tags", "id integer", "v text[]")
            .Node(node => node.Replicate("public.tags", table => table.ResolveConflictsWith(new Union()))));
        var (a, b) = (cluster[0], cluster[1]);
        await a.InsertAsync("tags", ("id", "1"), ("v", "{7}"));
        await b.InsertAsync("tags", ("id", "1"), ("v", "{9}"));
        await a.UpdateAsync("tags", ("id", "1"), ("v", "{7,3}"));
        await cluster.ConvergeAsync();
        Assert.Equal("{3,7,9}", b.Read("tags", "1")!["v"]);
    });

    [Fact]
    [Trait("Story", "40")]
    public Task Version_that_a_truncate_left_is_not_taken_for_the_truncate() => PinnedHistory.AssertAsync(Safeguard.NotesOutlastTheirWriter, async () =>
    {
        // B:U k(1) and C:U k(6) are siblings at C; A:T(2) reaches C and takes B's, so that the row shows A's transaction; it is on its way to B. All have C's, which is collected
        // at C. B:U k(11) had seen C's and not the truncate. Simulator, seed 5057020.
        await using var cluster = await InMemoryCluster.StartAsync(3, options => options
            .Table("tags", "id integer", "v text[]")
            .Node(node => node.Replicate("public.tags", table => table.ResolveConflictsWith(new Union()))));
        var (a, b, c) = (cluster[0], cluster[1], cluster[2]);
        await a.InsertAsync("tags", ("id", "1"), ("v", "{1}"));
        await cluster.ConvergeAsync();
        // Nodes collect every minute.
        await cluster.PassAsync((50 * s_second) - cluster.Elapsed);
        cluster.SkewClock(c, 5 * s_second);
        cluster.Delay(a, b, 14 * s_second);
        cluster.Delay(a, c, s_second);
        await b.UpdateAsync("tags", ("id", "1"), ("v", "{1,2}"));
        await c.UpdateAsync("tags", ("id", "1"), ("v", "{1,3}"));
        await a.TruncateAsync("tags");
        await cluster.PassAsync(11 * s_second);
        Assert.True(b.Database.ProgressOf(a.Name) < a.LastCommit && c.Database.ProgressOf(a.Name) >= a.LastCommit);
        Assert.Equal(("{1,2,3}", "{1,3}"), (b.Read("tags", "1")!["v"], c.Read("tags", "1")!["v"]));
        await b.UpdateAsync("tags", ("id", "1"), ("v", "{1,2}"));
        await cluster.ConvergeAsync();
        Assert.Equal("{1,2}", c.Read("tags", "1")!["v"]);
    });

    private sealed class Union : IConflictResolver
    {
        public ConflictResolution Resolve(Conflict conflict) => ConflictResolution.Merge(conflict.Remote.With(
            "v", conflict.Local.GetArray("v")!.Union(conflict.Remote.GetArray("v")!).Order(StringComparer.Ordinal)));
    }
}
