using ActiveActive.Changes;
using ActiveActive.Database;

namespace ActiveActive.Tests.Conflicts;

public sealed class LastUpdateWinsRuleTests
{
    private static readonly LocalTable s_table = RuleNode.Table(TableSettings.Default, ("v", "text"));

    [Fact]
    public void Random_histories_converge() =>
        RuleHistory.AssertAllConverge(s_table, 20_000, withTruncate: true, (random, _) => [random.Next(100).ToString(System.Globalization.CultureInfo.InvariantCulture)]);

    [Fact]
    [Trait("Story", "3")]
    public void Equal_stamps_have_one_winner_in_every_order_of_arrival()
    {
        ChangeTransaction[] inserts = [.. new[] { "a", "b", "c" }.Select(name => new RuleNode(name, s_table, "1").Commit(5, LocalWrite.Insert("1", name)))];
        var orders = RuleHistory.Orders(inserts).ToList();
        Assert.Equal(6, orders.Count);
        foreach (var order in orders)
        {
            var node = new RuleNode("d", s_table, "1");
            foreach (var transaction in order) node.Apply(transaction);
            Assert.Equal("c", node["1"]);
        }
    }

    [Fact]
    [Trait("Story", "4")]
    public void Concurrent_updates_leave_one_row_and_one_record_on_each_node()
    {
        var (a, b) = Pair();
        var (fromA, fromB) = (a.Commit(10, LocalWrite.Update("1", "of a")), b.Commit(11, LocalWrite.Update("1", "of b")));
        a.Apply(fromB);
        b.Apply(fromA);
        Assert.Equal("of b", a["1"]);
        Assert.Equal("of b", b["1"]);
        var (onA, onB) = (Assert.Single(a.Conflicts), Assert.Single(b.Conflicts));
        Assert.Equal((ConflictType.UpdateOriginDiffers, ConflictOutcome.ApplyRemote, b.Name), (onA.Type, onA.Outcome, onA.Winner));
        Assert.Equal((ConflictType.UpdateOriginDiffers, ConflictOutcome.KeepLocal, b.Name), (onB.Type, onB.Outcome, onB.Winner));
        Assert.Equal("of a", onB.RemoteRow!["v"]);
    }

    [Theory]
    [InlineData(10, 11, true)]
    [InlineData(11, 10, false)]
    [Trait("Story", "5")]
    public void Later_of_a_delete_and_an_update_stays(long deleted, long updated, bool survives)
    {
        var (a, b) = Pair();
        var (delete, update) = (a.Commit(deleted, LocalWrite.Delete("1")), b.Commit(updated, LocalWrite.Update("1", "updated")));
        a.Apply(update);
        b.Apply(delete);
        foreach (var node in new[] { a, b })
        {
            Assert.Equal(survives, node.Has("1"));
            Assert.Single(node.Conflicts);
        }
    }

    [Fact]
    public void Writes_that_saw_each_other_are_no_conflict_whatever_their_stamps()
    {
        var (a, b) = Pair();
        for (var stamp = 10; stamp < 20; stamp += 2)
        {
            b.Apply(a.Commit(stamp, LocalWrite.Update("1", $"a{stamp}")));
            a.Apply(b.Commit(stamp + 1, LocalWrite.Update("1", $"b{stamp}")));
        }

        a.Apply(b.Commit(30, LocalWrite.Delete("1")));
        b.Apply(a.Commit(31, LocalWrite.Insert("1", "again")));
        Assert.Empty(a.Conflicts);
        Assert.Empty(b.Conflicts);
        Assert.Equal(a.Describe(), b.Describe());
    }

    [Fact]
    public void Equal_rows_are_no_conflict_but_take_the_later_version()
    {
        var (a, b) = Pair();
        var (fromA, fromB) = (a.Commit(10, LocalWrite.Update("1", "same")), b.Commit(12, LocalWrite.Update("1", "same")));
        a.Apply(fromB);
        b.Apply(fromA);
        Assert.Empty(a.Conflicts.Concat(b.Conflicts));
        Assert.Equal(a.Describe(), b.Describe());
    }

    private static (RuleNode A, RuleNode B) Pair()
    {
        var (a, b) = (new RuleNode("a", s_table, "1"), new RuleNode("b", s_table, "1"));
        b.Apply(a.Commit(1, LocalWrite.Insert("1", "first")));
        return (a, b);
    }
}
