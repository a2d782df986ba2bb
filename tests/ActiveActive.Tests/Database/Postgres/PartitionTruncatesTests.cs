using ActiveActive.Changes;
using ActiveActive.Database.Postgres;

namespace ActiveActive.Tests.Database.Postgres;

public sealed class PartitionTruncatesTests
{
    private static readonly RelationColumn[] s_columns = [new("id", "integer", 1)];
    private static readonly TableName s_root = TableName.Parse("public.p");

    private static readonly List<string> s_names = ["p_low", "p_high", "p_dropped", "gone_1", "other"];

    private static readonly Dictionary<TableName, HashSet<uint>> s_leaves = new()
    {
        [s_root] = [OidOf("p_low"), OidOf("p_high")],
        [TableName.Parse("public.gone")] = [],
    };

    [Theory]
    [InlineData("T p_low, T p_high", "T p")]
    [InlineData("T p_high, T other, T p_low", "T p, T other")]
    [InlineData("I p_low, T p_low, T p_high, I p_high", "I p_low, T p, I p_high")]
    [InlineData("T p_low, T p_high, I p_high, T p_high, T p_low", "T p, I p_high, T p")]
    public void Truncates_of_all_leaves_become_one_of_the_root(string changes, string expected) => Assert.Equal(expected, Gather(changes));

    [Theory]
    [InlineData("T p_low")]
    [InlineData("T p_low, T p_low")]
    [InlineData("T gone_1")]
    public void Truncates_of_fewer_leaves_stay(string changes) => Assert.Equal(changes, Gather(changes));

    /// <summary>The row in p_high is gone in the end, that in p_low stays: a truncate of the root at either place would be wrong about one.</summary>
    [Theory]
    [InlineData("T p_low, I p_high, T p_high")]
    [InlineData("T p_low, I p_low, T p_high")]
    public void A_change_between_them_keeps_them_where_they_are(string changes) => Assert.Equal(changes, Gather(changes));

    [Fact]
    public void A_leaf_that_was_dropped_since_goes_with_the_root() => Assert.Equal("T p", Gather("T p_dropped, T p_low, T p_high"));

    /// <summary>Two leaves exchange their names between two truncates: the log names one of them twice.</summary>
    [Fact]
    public void A_name_that_goes_from_one_leaf_to_another_does_not_make_two_of_one()
    {
        var low = TableName.Parse("public.p_low");
        Change[] both = [Truncate(low, OidOf("p_low")), Truncate(low, OidOf("p_high"))];
        Assert.Equal(s_root, Assert.Single(PartitionTruncates.Gather(both, s_leaves)).Relation.Name);
        Change[] one = [Truncate(low, OidOf("p_low")), Truncate(TableName.Parse("public.p_high"), OidOf("p_low"))];
        Assert.Equal(one, PartitionTruncates.Gather(one, s_leaves));
    }

    private static Change Truncate(TableName name, uint oid) => Change.Truncate(new Relation(name, s_root, s_columns) { Oid = oid });

    private static uint OidOf(string name) => (uint)s_names.IndexOf(name) + 1;

    private static string Gather(string changes) =>
        string.Join(", ", PartitionTruncates.Gather([.. changes.Split(", ").Select(Of)], s_leaves).Select(c => $"{c.Kind.ToString()[0]} {c.Relation.Name.Name}"));

    private static Change Of(string text)
    {
        var (name, root) = (text[2..], text[2..].Split('_')[0]);
        var relation = new Relation(TableName.Parse($"public.{name}"), TableName.Parse($"public.{root}"), s_columns) { Oid = OidOf(name) };
        return text[0] == 'T' ? Change.Truncate(relation) : Change.Insert(relation, [ColumnValue.Of("1")]);
    }
}
