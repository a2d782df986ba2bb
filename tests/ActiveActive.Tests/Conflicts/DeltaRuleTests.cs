using System.Globalization;
using ActiveActive.Changes;
using ActiveActive.Database;

namespace ActiveActive.Tests.Conflicts;

/// <summary>Rule E (convergence R2): deltas add up; after the greatest delete only what had seen it counts.</summary>
public sealed class DeltaRuleTests
{
    private static readonly LocalTable s_table = RuleNode.Table(new TableSettings([new DeltaColumn("n")], null), ("v", "text"), ("n", "bigint"));

    [Fact]
    [Trait("Story", "14")]
    public void Random_histories_converge() =>
        RuleHistory.AssertAllConverge(s_table, 20_000, withTruncate: true, (random, old) =>
            [$"v{random.Next(9)}", ((old is null ? 0 : long.Parse(old[1]!, CultureInfo.InvariantCulture)) + random.Next(-9, 10)).ToString(CultureInfo.InvariantCulture)]);

    [Fact]
    public void Concurrent_first_inserts_add_up_in_every_order()
    {
        ChangeTransaction[] inserts = [.. new[] { "a", "b", "c" }.Select((name, i) => new RuleNode(name, s_table, "1").Commit(5 + i, LocalWrite.Insert("1", name, "10")))];
        foreach (var order in RuleHistory.Orders(inserts)) Assert.Equal("c|30", Apply(order)["1"]);
    }

    [Fact]
    [Trait("Story", "13")]
    public void Delta_of_a_losing_update_counts_and_the_row_keeps_the_winners_version()
    {
        var a = new RuleNode("a", s_table, "1");
        var b = new RuleNode("b", s_table, "1");
        var c = new RuleNode("c", s_table, "1");
        var first = a.Commit(1, LocalWrite.Insert("1", "x", "100"));
        b.Apply(first);
        c.Apply(first);
        var late = a.Commit(20, LocalWrite.Update("1", "late", "110"));
        var early = b.Commit(10, LocalWrite.Update("1", "early", "95"));
        a.Apply(early);
        Assert.Equal("late|105", a["1"]);

        // Between the two stamps: it must lose against the row's true version and not win over the stamp of the delta applied last.
        var between = c.Commit(15, LocalWrite.Update("1", "between", "101"));
        a.Apply(between);
        b.Apply(late);
        b.Apply(between);
        c.Apply(early);
        c.Apply(late);
        foreach (var node in new[] { a, b, c }) Assert.Equal("late|106", node["1"]);
        Assert.Equal(a.Describe(), b.Describe());
        Assert.Equal(a.Describe(), c.Describe());
    }

    [Fact]
    public void Insert_concurrent_with_the_greatest_delete_is_dead_in_every_order()
    {
        // A:I(1), B:{I, D}(2): present or absent by order of arrival, where a delete only removes what it had seen.
        var insert = new RuleNode("a", s_table, "1").Commit(1, LocalWrite.Insert("1", "a", "1"));
        var both = new RuleNode("b", s_table, "1").Commit(2, LocalWrite.Insert("1", "b", "2"), LocalWrite.Delete("1"));
        foreach (var order in RuleHistory.Orders([insert, both])) Assert.False(Apply(order).Has("1"));
    }

    [Fact]
    [Trait("Story", "14")]
    public void Insert_that_saw_the_delete_starts_afresh_and_a_late_delta_of_the_old_row_is_recorded_dead()
    {
        var a = new RuleNode("a", s_table, "1");
        var b = new RuleNode("b", s_table, "1");
        b.Apply(a.Commit(1, LocalWrite.Insert("1", "old", "100")));
        var late = b.Commit(50, LocalWrite.Update("1", "old", "103"));
        var delete = a.Commit(2, LocalWrite.Delete("1"));
        var again = a.Commit(3, LocalWrite.Insert("1", "new", "7"));
        a.Apply(late);
        b.Apply(delete);
        b.Apply(again);
        Assert.Equal("new|7", a["1"]);
        Assert.Equal(a.Describe(), b.Describe());
        Assert.Equal(ConflictOutcome.Skip, Assert.Single(a.Conflicts).Outcome);
    }

    [Fact]
    public void Truncate_and_insert_in_one_transaction_over_a_later_concurrent_row_start_afresh()
    {
        var a = new RuleNode("a", s_table, "1");
        var b = new RuleNode("b", s_table, "1");
        var truncate = a.Commit(5, LocalWrite.Truncate(), LocalWrite.Insert("1", "a", "1"));
        var insert = b.Commit(9, LocalWrite.Insert("1", "b", "100"));
        a.Apply(insert);
        b.Apply(truncate);
        Assert.Equal("a|1", a["1"]);
        Assert.Equal(a.Describe(), b.Describe());
    }

    [Fact]
    public void Sum_that_does_not_fit_is_refused_with_table_column_and_node()
    {
        var a = new RuleNode("a", s_table, "1");
        var b = new RuleNode("b", s_table, "1");
        var big = a.Commit(5, LocalWrite.Insert("1", "a", long.MaxValue.ToString(CultureInfo.InvariantCulture)));
        b.Commit(6, LocalWrite.Insert("1", "b", "1"));
        var fault = Assert.Throws<ReplicationException>(() => b.Apply(big));
        Assert.Equal(ReplicationErrorKind.ApplyRefused, fault.Kind);
        Assert.Contains("column 'n' (bigint) of public.t from node 'a'", fault.Message, StringComparison.Ordinal);
        Assert.Contains("out of range", fault.Message, StringComparison.Ordinal);
    }

    private static RuleNode Apply(IReadOnlyList<ChangeTransaction> transactions)
    {
        var node = new RuleNode("d", s_table, "1");
        foreach (var transaction in transactions) node.Apply(transaction);
        return node;
    }
}
