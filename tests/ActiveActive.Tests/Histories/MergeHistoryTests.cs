using ActiveActive.Diagnostics;
using ActiveActive.Testing;

namespace ActiveActive.Tests.Histories;

/// <summary>Convergence R8: concurrent versions stay siblings until stable.</summary>
[Collection(PinnedHistory.Collection)]
public sealed class MergeHistoryTests
{
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

    private sealed class Union : IConflictResolver
    {
        public ConflictResolution Resolve(Conflict conflict) => ConflictResolution.Merge(conflict.Remote.With(
            "v", conflict.Local.GetArray("v")!.Union(conflict.Remote.GetArray("v")!).Order(StringComparer.Ordinal)));
    }
}
