using ActiveActive.Changes;
using ActiveActive.Database.Postgres;

namespace ActiveActive.Tests.Database.Postgres;

public sealed class PartitionTruncatesTests
{
    private static readonly RelationColumn[] s_columns = [new("id", "integer", 1)];
    private static readonly TableName s_root = TableName.Parse("public.p");

    private static readonly Dictionary<TableName, HashSet<TableName>> s_leaves = new()
    {
        [s_root] = new HashSet<TableName> { TableName.Parse("public.p_low"), TableName.Parse("public.p_high") },
        [TableName.Parse("public.gone")] = new HashSet<TableName>(),
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

    private static string Gather(string changes) =>
        string.Join(", ", PartitionTruncates.Gather([.. changes.Split(", ").Select(Of)], s_leaves).Select(c => $"{c.Kind.ToString()[0]} {c.Relation.Name.Name}"));

    private static Change Of(string text)
    {
        var (name, root) = (text[2..], text[2..].Split('_')[0]);
        var relation = new Relation(TableName.Parse($"public.{name}"), TableName.Parse($"public.{root}"), s_columns);
        return text[0] == 'T' ? Change.Truncate(relation) : Change.Insert(relation, [ColumnValue.Of("1")]);
    }
}
