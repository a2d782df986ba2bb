using ActiveActive.Changes;
using ActiveActive.Database;

namespace ActiveActive.Tests.Conflicts;

/// <summary>Convergence R8: siblings until stable, folded in version order.</summary>
public sealed class MergeRuleTests
{
    private static readonly LocalTable s_union = RuleNode.Table(new TableSettings([], new Union()), ("v", "text[]"));
    private static readonly LocalTable s_chain = RuleNode.Table(new TableSettings([], new Chain()), ("v", "text"));

    [Fact]
    public void Random_histories_converge_even_with_a_resolver_that_is_neither_commutative_nor_associative() =>
        RuleHistory.AssertAllConverge(s_chain, 10_000, withTruncate: true, (random, _) => [$"{(char)('a' + random.Next(26))}"]);

    [Fact]
    [Trait("Story", "40")]
    public void Three_writes_on_two_nodes_merge_to_the_same_set_in_every_order()
    {
        // B:9; A:7, A:{7,3}: a merged row that takes the greater stamp would hide the other parent.
        var a = new RuleNode("a", s_union, "1");
        var b = new RuleNode("b", s_union, "1");
        ChangeTransaction[] transactions =
        [
            a.Commit(1, LocalWrite.Insert("1", "{7}")), a.Commit(3, LocalWrite.Update("1", "{7,3}")), b.Commit(2, LocalWrite.Insert("1", "{9}")),
        ];
        var orders = RuleHistory.Orders(transactions).ToList();
        Assert.Equal(3, orders.Count);
        foreach (var order in orders)
        {
            var c = new RuleNode("c", s_union, "1");
            foreach (var transaction in order) c.Apply(transaction);
            Assert.Equal("{3,7,9}", c["1"]);
        }

        a.Apply(transactions[2]);
        b.Apply(transactions[0]);
        b.Apply(transactions[1]);
        Assert.Equal("{3,7,9}", a["1"]);
        Assert.Equal("{3,7,9}", b["1"]);
    }

    [Fact]
    public void A_write_that_saw_the_merge_replaces_it_without_a_record()
    {
        var a = new RuleNode("a", s_union, "1");
        var b = new RuleNode("b", s_union, "1");
        var (fromA, fromB) = (a.Commit(1, LocalWrite.Insert("1", "{1}")), b.Commit(2, LocalWrite.Insert("1", "{2}")));
        a.Apply(fromB);
        b.Apply(fromA);
        var records = b.Conflicts.Count;
        b.Apply(a.Commit(5, LocalWrite.Update("1", "{5}")));
        Assert.Equal("{5}", b["1"]);
        Assert.Equal(records, b.Conflicts.Count);
    }

    [Fact]
    public void Resolver_that_throws_refuses_the_change_and_is_named()
    {
        var table = RuleNode.Table(new TableSettings([], new Broken()), ("v", "text"));
        var a = new RuleNode("a", table, "1");
        var b = new RuleNode("b", table, "1");
        var insert = a.Commit(1, LocalWrite.Insert("1", "secret"));
        b.Commit(2, LocalWrite.Insert("1", "b"));
        var fault = Assert.Throws<ReplicationException>(() => b.Apply(insert));
        Assert.Equal(ReplicationErrorKind.ApplyRefused, fault.Kind);
        Assert.Contains(typeof(Broken).FullName!, fault.Message, StringComparison.Ordinal);
        Assert.Contains("public.t", fault.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("secret", fault.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Resolver_may_not_change_the_key_or_invent_a_column()
    {
        foreach (var (resolver, said) in new (IConflictResolver, string)[] { (new Rekey(), "primary key column 'id'"), (new Invent(), "column 'other'") })
        {
            var table = RuleNode.Table(new TableSettings([], resolver), ("v", "text"));
            var b = new RuleNode("b", table, "1");
            b.Commit(2, LocalWrite.Insert("1", "b"));
            var insert = new RuleNode("a", table, "1").Commit(1, LocalWrite.Insert("1", "a"));
            var fault = Assert.Throws<ReplicationException>(() => b.Apply(insert));
            Assert.Contains(said, fault.Message, StringComparison.Ordinal);
        }
    }

    private sealed class Union : IConflictResolver
    {
        public ConflictResolution Resolve(Conflict conflict) => ConflictResolution.Merge(conflict.Remote.With(
            "v", conflict.Local.GetArray("v")!.Union(conflict.Remote.GetArray("v")!).Order(StringComparer.Ordinal)));
    }

    private sealed class Chain : IConflictResolver
    {
        public ConflictResolution Resolve(Conflict conflict) => ConflictResolution.Merge(conflict.Local.With("v", $"({conflict.Local["v"]}>{conflict.Remote["v"]})"));
    }

    private sealed class Broken : IConflictResolver
    {
        public ConflictResolution Resolve(Conflict conflict) => throw new InvalidOperationException(conflict.Remote["v"]);
    }

    private sealed class Rekey : IConflictResolver
    {
        public ConflictResolution Resolve(Conflict conflict) => ConflictResolution.Merge(conflict.Remote.With("id", "2"));
    }

    private sealed class Invent : IConflictResolver
    {
        public ConflictResolution Resolve(Conflict conflict) => ConflictResolution.Merge(Row.Of(("id", "1"), ("other", "x")));
    }
}
