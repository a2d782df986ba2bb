namespace ActiveActive.Tests.Conflicts;

public sealed class RowTests
{
    private static readonly Row s_row = Row.Of(("id", "1"), ("tags", "{a,b}"), ("note", null));

    [Fact]
    public void Copy_differs_in_one_column_and_leaves_the_row_alone()
    {
        var copy = s_row.With("tags", ["b", "c d"]);
        Assert.Equal("{b,\"c d\"}", copy["tags"]);
        Assert.Equal("{a,b}", s_row["tags"]);
        Assert.NotEqual(s_row, copy);
        Assert.Equal(s_row, copy.With("tags", "{a,b}"));
        Assert.Equal(s_row.GetHashCode(), Row.Of(("note", null), ("tags", "{a,b}"), ("id", "1")).GetHashCode());
    }

    [Fact]
    public void Null_reads_as_null_in_every_form()
    {
        Assert.Null(s_row["note"]);
        Assert.Null(s_row.Get<int>("note"));
        Assert.Null(s_row.GetArray("note"));
        Assert.Equal(1, s_row.Get<int>("id"));
    }

    [Fact]
    public void Unknown_column_is_named_together_with_the_known_ones()
    {
        var fault = Assert.Throws<KeyNotFoundException>(() => s_row["tag"]);
        Assert.Contains("'tag'", fault.Message, StringComparison.Ordinal);
        Assert.Contains("id, tags, note", fault.Message, StringComparison.Ordinal);
        Assert.Throws<KeyNotFoundException>(() => s_row.With("tag", "x"));
        Assert.Throws<ArgumentException>(() => Row.Of(("a", "1"), ("a", "2")));
    }

    [Fact]
    public void Text_of_a_row_holds_no_value() => Assert.Equal("Row(id, tags, note)", s_row.ToString());
}
