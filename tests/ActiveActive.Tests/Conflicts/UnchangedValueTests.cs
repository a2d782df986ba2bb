using ActiveActive.Apply;
using ActiveActive.Changes;
using ActiveActive.Database;

namespace ActiveActive.Tests.Conflicts;

/// <summary>Updates that leave a large value unchanged, in tables where the last update wins: the second column is the large one.</summary>
[Trait("Story", "8")]
public sealed class UnchangedValueTests
{
    private static readonly LocalTable s_table = RuleNode.Table(TableSettings.Default, ("v", "text"), ("large", "text"));

    private ChangeTransaction? _created;

    [Fact]
    public void Random_histories_converge() => RuleHistory.AssertAllConverge(s_table, 20_000, withTruncate: true, NewValues);

    [Fact]
    public void Mixing_in_the_local_value_diverges() => Assert.ThrowsAny<Xunit.Sdk.XunitException>(() =>
        RuleHistory.AssertAllConverge(s_table, 2_000, withTruncate: false, NewValues, (asker, _, transaction, row) => AsIfExact(asker, transaction, row)));

    /// <summary>Why the origin's row counts only if it shows the very write that is applied.</summary>
    [Fact]
    public void Taking_the_origins_later_row_for_the_earlier_one_diverges()
    {
        var (a, b) = Pair();
        var c = new RuleNode("c", s_table, "1");
        var (first, second) = (b.Commit(11, LocalWrite.Update("1", "first", "~")), b.Commit(12, LocalWrite.Update("1", "second", "larger")));
        var local = a.Commit(10, LocalWrite.Update("1", "of a", "large of a"));
        a.Fetch = (transaction, row) => AsIfExact(b, transaction, row);
        a.Apply(first);
        var over = a.Commit(20, LocalWrite.Update("1", "over it", "~"));
        foreach (var transaction in new[] { _created, first, local, over, second }) c.Apply(transaction!);
        a.Apply(second);
        Assert.Equal("over it|large", c["1"]);
        Assert.Equal("over it|larger", a["1"]);
    }

    [Fact]
    public void Concurrent_winner_takes_its_large_value_from_its_origin()
    {
        var (a, b) = Pair();
        var (fromA, fromB) = (a.Commit(10, LocalWrite.Update("1", "of a", "large of a")), b.Commit(11, LocalWrite.Update("1", "of b", "~")));
        a.Apply(fromB);
        b.Apply(fromA);
        Assert.Equal("of b|large", a["1"]);
        Assert.Equal("of b|large", b["1"]);
        Assert.Equal("large", Assert.Single(a.Conflicts).RemoteRow!["large"]);
    }

    [Fact]
    public void Update_later_than_a_delete_re_creates_the_whole_row()
    {
        var (a, b) = Pair();
        var (fromA, fromB) = (a.Commit(10, LocalWrite.Delete("1")), b.Commit(11, LocalWrite.Update("1", "of b", "~")));
        a.Apply(fromB);
        b.Apply(fromA);
        Assert.Equal("of b|large", a["1"]);
        Assert.Equal("of b|large", b["1"]);
    }

    [Fact]
    public void Update_that_saw_the_local_row_asks_nobody()
    {
        var (a, b) = Pair();
        a.Fetch = null;
        a.Apply(b.Commit(11, LocalWrite.Update("1", "of b", "~")));
        Assert.Equal("of b|large", a["1"]);
    }

    [Fact]
    public void Row_written_again_at_its_origin_is_absent_until_that_write_arrives()
    {
        var (a, b) = Pair();
        a.Commit(10, LocalWrite.Update("1", "of a", "large of a"));
        var (first, second) = (b.Commit(11, LocalWrite.Update("1", "first", "~")), b.Commit(12, LocalWrite.Update("1", "second", "larger")));
        a.Apply(first);
        Assert.Null(a["1"]);
        Assert.Equal("large of a", Assert.Single(a.Conflicts).LocalRow!["large"]);
        a.Apply(second);
        Assert.Equal("second|larger", a["1"]);
        Assert.Single(a.Conflicts);
    }

    [Fact]
    public void Row_that_its_origin_keeps_writing_is_whole_again_at_the_write_that_was_fetched()
    {
        var (a, b) = Pair();
        a.Commit(10, LocalWrite.Update("1", "of a", "large of a"));
        var writes = Enumerable.Range(11, 3).Select(stamp => b.Commit(stamp, LocalWrite.Update("1", $"{stamp}", "~"))).ToList();
        a.Apply(writes[0]);
        // Written further all the time, so that asking again would never find the row as one of its transactions left it.
        a.Fetch = (_, _) => throw new InvalidOperationException("Asked again.");
        a.Apply(writes[1]);
        Assert.Null(a["1"]);
        a.Apply(writes[2]);
        Assert.Equal("13|large", a["1"]);
        Assert.Single(a.Conflicts);
    }

    /// <summary>
    /// Why no older row may stand in for the missing one: an update of it, which leaves the large value unchanged, has seen the newer
    /// version, so every other node would lay it over that one.
    /// </summary>
    [Fact]
    public void What_is_written_while_the_row_is_absent_is_whole()
    {
        var (a, b) = Pair();
        a.Commit(10, LocalWrite.Update("1", "of a", "large of a"));
        var (first, second) = (b.Commit(11, LocalWrite.Update("1", "first", "~")), b.Commit(12, LocalWrite.Delete("1")));
        a.Apply(first);
        Assert.False(a.Has("1"));
        var inserted = a.Commit(20, LocalWrite.Insert("1", "anew", "large anew"));
        a.Apply(second);
        b.Apply(inserted);
        Assert.Equal("anew|large anew", a["1"]);
        Assert.Equal("anew|large anew", b["1"]);
    }

    [Fact]
    public void Row_deleted_at_its_origin_before_it_is_fetched_goes()
    {
        var (a, b) = Pair();
        a.Commit(10, LocalWrite.Update("1", "of a", "large of a"));
        var (update, delete) = (b.Commit(11, LocalWrite.Update("1", "of b", "~")), b.Commit(12, LocalWrite.Delete("1")));
        a.Apply(update);
        Assert.Null(a["1"]);
        a.Apply(delete);
        Assert.Null(a["1"]);
        Assert.Single(a.Conflicts);
    }

    /// <summary>Two nodes that have the row.</summary>
    private (RuleNode A, RuleNode B) Pair()
    {
        var (a, b) = (new RuleNode("a", s_table, "1"), new RuleNode("b", s_table, "1"));
        (a.Fetch, b.Fetch) = (b.Answer, a.Answer);
        b.Apply(_created = a.Commit(1, LocalWrite.Insert("1", "x", "large")));
        return (a, b);
    }

    private static FetchedRow AsIfExact(RuleNode node, ChangeTransaction transaction, RowToFetch row) =>
        node.RowOf(row) is { } there ? new FetchedRow(transaction.Position, there) : new FetchedRow(default, null);

    private static string[] NewValues(Random random, string[]? old) =>
        [random.Next(100).ToString(System.Globalization.CultureInfo.InvariantCulture), old is not null && random.Next(3) > 0 ? "~" : $"large {random.Next(100)}"];
}
