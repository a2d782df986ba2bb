using ActiveActive.Database;
using ActiveActive.Diagnostics;
using ActiveActive.Testing;

namespace ActiveActive.Tests.Histories;

/// <summary>An orphan is treated only when it is there to stay.</summary>
[Collection(PinnedHistory.Collection)]
public sealed class OrphanHistoryTests
{
    [Fact]
    [Trait("Story", "10")]
    public Task Orphan_whose_parent_is_on_its_way_is_left_alone() => PinnedHistory.AssertAsync(Safeguard.RepairStableOrphans, async () =>
    {
        // A:D p@1, B:I child of p@2, C:U p@3, which nobody gets for a while: p is deleted and comes back.
        await using var cluster = await StartAsync(OrphanPolicy.SetNull, "a", "b", "c");
        var (a, b, c) = (cluster[0], cluster[1], cluster[2]);
        await a.InsertAsync("owners", ("id", "p"), ("name", "old"));
        await cluster.ConvergeAsync();
        cluster.Delay(c, a, TimeSpan.FromSeconds(30));
        cluster.Delay(c, b, TimeSpan.FromSeconds(30));
        await a.DeleteAsync("owners", "p");
        await b.InsertAsync("pets", ("id", "1"), ("owner", "p"));
        await c.UpdateAsync("owners", ("id", "p"), ("name", "new"));
        await cluster.PassAsync(TimeSpan.FromSeconds(20));
        Assert.Null(a.Read("owners", "p"));
        cluster.Heal();
        await cluster.ConvergeAsync();
        await cluster.PassAsync(TimeSpan.FromSeconds(10));
        await cluster.ConvergeAsync();
        Assert.All(cluster.Nodes, node => Assert.Equal(("new", "p"), (node.Read("owners", "p")?["name"], node.Read("pets", "1")?["owner"])));
    });

    [Theory]
    [InlineData(OrphanPolicy.SetNull)]
    [InlineData(OrphanPolicy.Quarantine)]
    [Trait("Story", "10")]
    public Task Orphan_that_is_none_any_more_when_it_is_written_is_left_alone(OrphanPolicy policy) => PinnedHistory.AssertAsync(Safeguard.RepairWhatIsStillOrphaned, async () =>
    {
        // Found, and then, before it is written: the parent is back; or the child names another one.
        await using var cluster = await StartAsync(policy, "a", "b");
        var (a, b) = (cluster[0], cluster[1]);
        await a.InsertAsync("owners", ("id", "p"));
        await a.InsertAsync("owners", ("id", "q"));
        await cluster.ConvergeAsync();
        await a.DeleteAsync("owners", "p");
        await b.InsertAsync("pets", ("id", "1"), ("owner", "p"));
        await b.InsertAsync("pets", ("id", "2"), ("owner", "p"));
        await cluster.ConvergeAsync();
        await using var session = await ((ILocalDatabase)a.Database).OpenOrphanSessionAsync(TimeSpan.Zero, TestContext.Current.CancellationToken);
        var key = Assert.Single(await session.ReadForeignKeysAsync(TestContext.Current.CancellationToken));
        var orphans = await session.ReadOrphansAsync(key, 10, TestContext.Current.CancellationToken);
        Assert.Equal(2, orphans.Count);
        await a.UpdateAsync("pets", ("id", "2"), ("owner", "q"));
        await a.InsertAsync("owners", ("id", "p"));
        foreach (var orphan in orphans) Assert.False(await session.RepairAsync(key, orphan, TestContext.Current.CancellationToken));
        Assert.Equal(("p", "q"), (a.Read("pets", "1")?["owner"], a.Read("pets", "2")?["owner"]));
    });

    [Fact]
    [Trait("Story", "10")]
    public Task Orphan_is_treated_by_the_first_node_alone() => PinnedHistory.AssertAsync(Safeguard.RepairByOneNode, async () =>
    {
        await using var cluster = await StartAsync(OrphanPolicy.SetNull, "a", "b", "c");
        await cluster[0].InsertAsync("owners", ("id", "p"));
        await cluster.ConvergeAsync();
        // All check at the same time, and what a writes is not there at once.
        cluster.Delay(cluster[0], cluster[1], TimeSpan.FromMilliseconds(200));
        cluster.Delay(cluster[0], cluster[2], TimeSpan.FromMilliseconds(200));
        await cluster[0].DeleteAsync("owners", "p");
        await cluster[1].InsertAsync("pets", ("id", "1"), ("owner", "p"));
        await cluster.UntilAsync("it is set to null everywhere", () => cluster.Nodes.All(n => n.Read("pets", "1") is { } row && row["owner"] is null));
        await cluster.ConvergeAsync();
        Assert.Equal([3, 1, 0], cluster.Nodes.Select(n => n.Replication.Status.PublishedTransactions));
    });

    private static Task<InMemoryCluster> StartAsync(OrphanPolicy policy, params string[] names) => InMemoryCluster.StartAsync(names, options => options
        .Table("owners", "id text", "name text")
        .Table(new TableDefinition("pets", "id integer", "owner text") { ForeignKeys = ["owner REFERENCES owners"] })
        .Node(node => node.Replicate("public.pets", table => table.OnOrphan(policy)).With(o => o.OrphanCheckInterval = TimeSpan.FromSeconds(1))));
}
