using System.Globalization;
using ActiveActive.Testing;

namespace ActiveActive.Tests.Resolvers;

public sealed class ResolverLawsTests
{
    /// <summary>Names, tags, a number and an instant under one key.</summary>
    private static Row AnyRow(Random random) => Row.Of(
        ("id", "1"), ("name", $"n{random.Next(100)}"), ("tags", $"{{{string.Join(",", Enumerable.Range(0, random.Next(6)).Select(_ => $"t{random.Next(50)}").Distinct().Order(StringComparer.Ordinal))}}}"),
        ("n", $"{random.Next(1, 9)}.{random.Next(1, 9)}"), ("at", $"2026-01-0{random.Next(1, 9)} 0{random.Next(9)}:00:00+00"));

    [Fact]
    public void Union_has_every_law()
    {
        var report = ResolverLaws.Check<TagsOnly>(AnyRow).EnsureConverges();
        Assert.All(report.Laws, law => Assert.True(law.Holds, $"{report}"));
        Assert.Equal(6, report.Laws.Count);
        Assert.Contains("converges, as far as was tried", report.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Deterministic_resolver_converges_without_the_other_laws_and_examples_are_small()
    {
        var report = ResolverLaws.Check<Chain>(AnyRow).EnsureConverges();
        Assert.Equal((true, true, true), (report.Answers.Holds, report.Determinism.Holds, report.ConvergesUnderFold.Holds));
        Assert.Equal((false, false, false), (report.Commutativity.Holds, report.Associativity.Holds, report.Idempotence.Holds));
        Assert.Contains("does not hold: Commutativity", report.ToString(), StringComparison.Ordinal);
        // All but the one column that matters is equal, and as short as the generator makes it.
        var versions = report.Commutativity.CounterExample!.Split('\n').Where(line => line.Contains("version", StringComparison.Ordinal)).Select(line => line[(line.IndexOf(':', StringComparison.Ordinal) + 2)..]).Distinct().ToList();
        Assert.Equal(2, versions.Count);
        Assert.All(versions, version => Assert.Matches(@"^id=1, name=n\d, tags=\{\}, n=1\.1, at=2026-01-01 0\d:00:00\+00$", version));
        Assert.Contains("made small", report.Commutativity.CounterExample, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(typeof(Random1), "asked again")]
    [InlineData(typeof(Counts), "asked again")]
    [InlineData(typeof(OwnName), "asked of another instance")]
    [InlineData(typeof(ByCulture), "asked in a culture")]
    public void Resolver_that_looks_beyond_its_question_is_not_deterministic(Type resolver, string how)
    {
        var report = ResolverLaws.Check(() => (IConflictResolver)Activator.CreateInstance(resolver)!, AnyRow, new ResolverLawOptions { VaryTimeZone = false });
        Assert.False(report.Determinism.Holds);
        Assert.Contains(how, report.Determinism.CounterExample, StringComparison.Ordinal);
        Assert.False(report.Converges);
        Assert.Contains("BROKEN: Determinism", Assert.Throws<ResolverLawException>(report.EnsureConverges).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Resolver_that_reads_the_local_time_zone_is_not_deterministic_and_the_zone_is_put_back()
    {
        if (OperatingSystem.IsWindows()) return;
        var before = TimeZoneInfo.Local;
        var report = ResolverLaws.Check(() => new ByTimeZone(), AnyRow);
        Assert.Contains("asked in time zone", report.Determinism.CounterExample, StringComparison.Ordinal);
        Assert.Equal(before, TimeZoneInfo.Local);
        Assert.True(ResolverLaws.Check(() => new ByTimeZone(), AnyRow, new ResolverLawOptions { VaryTimeZone = false }).Converges);
    }

    [Fact]
    public void Fold_of_a_resolver_that_keeps_state_depends_on_the_order_of_arrival()
    {
        var report = ResolverLaws.Check<Counts>(AnyRow);
        Assert.Contains("arrived as 1, 2, 3", report.ConvergesUnderFold.CounterExample, StringComparison.Ordinal);
    }

    [Fact]
    public void Answer_that_is_missing_or_does_not_fit_the_table_is_found()
    {
        var throws = ResolverLaws.Check<ThrowsOnManyTags>(AnyRow);
        Assert.Contains("NotSupportedException: too many", throws.Answers.CounterExample, StringComparison.Ordinal);
        // Equal rows with two tags each are the smallest that have more than two.
        Assert.Matches(@"version 1: (.*tags=\{t\d+,t\d+\}.*)\n    version 2: \1\n    version 3: \1\n", throws.Answers.CounterExample);
        Assert.True(throws.Determinism.Holds, $"{throws}");

        var rekeys = ResolverLaws.Check(() => new Rekeys(), AnyRow, new ResolverLawOptions { Key = ["id"] });
        Assert.Contains("changed the primary key column 'id'", rekeys.Answers.CounterExample, StringComparison.Ordinal);
        var invents = ResolverLaws.Check(() => new Invents(), AnyRow);
        Assert.Contains("a column 'other'", invents.Answers.CounterExample, StringComparison.Ordinal);
    }

    [Fact]
    public void Seed_repeats_the_rows_and_the_key_is_the_same_within_a_case()
    {
        var options = new ResolverLawOptions { Cases = 5, Seed = 7, Key = ["id"] };
        var first = ResolverLaws.Check(() => new Chain(), r => AnyRow(r).With("id", $"{r.Next(1000)}"), options);
        var second = ResolverLaws.Check(() => new Chain(), r => AnyRow(r).With("id", $"{r.Next(1000)}"), options);
        Assert.Equal($"{first}", $"{second}");
        var ids = System.Text.RegularExpressions.Regex.Matches(first.Commutativity.CounterExample!, "version [0-9]: id=([0-9]+)").Select(m => m.Groups[1].Value).ToList();
        Assert.Equal(3, ids.Count);
        Assert.Single(ids.Distinct());
        Assert.True(first.Answers.Holds, $"{first}");
    }

    private sealed class TagsOnly : IConflictResolver
    {
        public ConflictResolution Resolve(Conflict conflict)
        {
            // The other columns go by their content, so that the law does not depend on the order.
            var row = conflict.Remote;
            foreach (var column in row.Keys) row = row.With(column, string.CompareOrdinal(conflict.Local[column], row[column]) > 0 ? conflict.Local[column] : row[column]);
            return ConflictResolution.Merge(row.With("tags", conflict.Local.GetArray("tags")!.Union(conflict.Remote.GetArray("tags")!).Order(StringComparer.Ordinal)));
        }
    }

    private class Chain : IConflictResolver
    {
        public virtual ConflictResolution Resolve(Conflict conflict) => Name(conflict, $"({conflict.Local["name"]}>{conflict.Remote["name"]})");

        protected static ConflictResolution Name(Conflict conflict, string name) => ConflictResolution.Merge(conflict.Remote.With("name", name));
    }

    private sealed class Random1 : Chain
    {
        public override ConflictResolution Resolve(Conflict conflict) => Name(conflict, $"{Random.Shared.Next()}");
    }

    private sealed class Counts : Chain
    {
        private int _count;

        public override ConflictResolution Resolve(Conflict conflict) => Name(conflict, $"{_count++}");
    }

    private sealed class OwnName : Chain
    {
        private readonly string _name = Guid.NewGuid().ToString();

        public override ConflictResolution Resolve(Conflict conflict) => Name(conflict, _name);
    }

    private sealed class ByCulture : Chain
    {
        public override ConflictResolution Resolve(Conflict conflict) => Name(conflict, (conflict.Local.Get<decimal>("n")!.Value / 4).ToString(CultureInfo.CurrentCulture));
    }

    private sealed class ByTimeZone : Chain
    {
        public override ConflictResolution Resolve(Conflict conflict) =>
            Name(conflict, DateTimeOffset.Parse(conflict.Remote["at"]!, CultureInfo.InvariantCulture).ToLocalTime().ToString("dd HH", CultureInfo.InvariantCulture));
    }

    private sealed class ThrowsOnManyTags : IConflictResolver
    {
        public ConflictResolution Resolve(Conflict conflict) =>
            conflict.Local.GetArray("tags")!.Count + conflict.Remote.GetArray("tags")!.Count > 2 ? throw new NotSupportedException("too many") : ConflictResolution.ApplyRemote;
    }

    private sealed class Rekeys : IConflictResolver
    {
        public ConflictResolution Resolve(Conflict conflict) => ConflictResolution.Merge(conflict.Remote.With("id", "2"));
    }

    private sealed class Invents : IConflictResolver
    {
        public ConflictResolution Resolve(Conflict conflict) => ConflictResolution.Merge(Row.Of(("id", "1"), ("other", "x")));
    }
}
