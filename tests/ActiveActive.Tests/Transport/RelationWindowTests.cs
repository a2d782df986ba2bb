using ActiveActive.Changes;
using ActiveActive.Transport;

namespace ActiveActive.Tests.Transport;

public sealed class RelationWindowTests
{
    private static readonly Relation s_table = FrameSamples.Accounts();
    private static readonly long s_cost = RelationWindow.CostOf(s_table);

    [Fact]
    public void Oldest_relation_is_forgotten_first()
    {
        var window = new RelationWindow(2 * s_cost);
        for (var id = 1; id <= 3; id++) Assert.True(window.TryAdd(id, s_table));
        Assert.Null(window.Find(1));
        Assert.Same(s_table, window.Find(2));
        Assert.Same(s_table, window.Find(3));
    }

    [Fact]
    public void Number_in_use_is_refused()
    {
        var window = new RelationWindow();
        Assert.True(window.TryAdd(1, s_table));
        Assert.False(window.TryAdd(1, FrameSamples.Accounts()));
        Assert.Same(s_table, window.Find(1));
    }

    [Fact]
    public void Relation_larger_than_the_window_is_refused_and_displaces_nothing()
    {
        var window = new RelationWindow(s_cost);
        Assert.True(window.TryAdd(1, s_table));
        var wide = new Relation(s_table.Name, s_table.Root, [.. s_table.Columns, new RelationColumn("one_more", "text", 0)]);
        Assert.False(window.TryAdd(2, wide));
        Assert.Same(s_table, window.Find(1));
    }

    [Fact]
    public void Memory_stays_within_the_window_however_many_are_announced()
    {
        var window = new RelationWindow(10 * s_cost);
        for (var id = 1; id <= 10_000; id++) window.TryAdd(id, s_table);
        Assert.Equal(10, window.Count);
    }
}
