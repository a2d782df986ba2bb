using ActiveActive.Testing;

namespace ActiveActive.Tests.Cluster;

/// <summary>An update of a node that died left a large value unchanged, and came to one of the others only.</summary>
[Trait("Story", "8")]
[Trait("Story", "21")]
public sealed class RelayedValueTests
{
    [Fact]
    public async Task Relayed_update_takes_its_unchanged_value_from_the_relayer()
    {
        await using var cluster = await StartAsync();
        var (a, b, c) = (cluster[0], cluster[1], cluster[2]);
        await c.UpdateAsync("documents", ("id", "1"), ("title", "of c"), ("body", "y"));
        await a.UpdateAsync("documents", ("id", "1"), ("title", "of a"));
        await DieAsync(cluster, a, b);
        Assert.All([b, c], node => Assert.Equal("1|of a|x", Text(node)));
    }

    [Fact]
    public async Task Relayed_update_that_the_relayer_has_seen_deleted_gives_way_to_the_delete()
    {
        await using var cluster = await StartAsync();
        var (a, b, c) = (cluster[0], cluster[1], cluster[2]);
        await c.UpdateAsync("documents", ("id", "1"), ("title", "of c"), ("body", "y"));
        await a.UpdateAsync("documents", ("id", "1"), ("title", "of a"));
        await cluster.UntilAsync("b has a's update", () => b.Database.ProgressOf(a.Name) >= a.LastCommit);
        await b.DeleteAsync("documents", "1");
        await DieAsync(cluster, a, b);
        Assert.All([b, c], node => Assert.Null(Text(node)));
        Assert.True(c.Database.ProgressOf(a.Name) >= a.LastCommit);
    }

    private static async Task<InMemoryCluster> StartAsync()
    {
        var cluster = await InMemoryCluster.StartAsync(3, options => options
            .Table(new TableDefinition("documents", "id integer", "title text", "body text") { LargeColumns = ["body"] }));
        await cluster[0].InsertAsync("documents", ("id", "1"), ("title", "t"), ("body", "x"));
        await cluster.ConvergeAsync();
        cluster.Partition(cluster[0], cluster[2]);
        return cluster;
    }

    private static async Task DieAsync(InMemoryCluster cluster, InMemoryNode dying, InMemoryNode relayer)
    {
        await cluster.UntilAsync($"{relayer} has all of {dying}", () => relayer.Database.ProgressOf(dying.Name) >= dying.LastCommit);
        cluster.Crash(dying);
        await cluster.UntilAsync("the others have it, too", () => cluster.Nodes.Where(n => n != dying).All(n => n.Database.ProgressOf(dying.Name) >= dying.LastCommit));
        await cluster.ConvergeAsync();
    }

    private static string? Text(InMemoryNode node) => node.Read("documents", "1") is { } row ? string.Join("|", row.Values) : null;
}
