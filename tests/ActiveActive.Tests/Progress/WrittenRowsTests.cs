using ActiveActive.Changes;
using ActiveActive.Progress;

namespace ActiveActive.Tests.Progress;

public sealed class WrittenRowsTests
{
    private static readonly Relation s_table = new(TableName.Parse("public.t"), TableName.Parse("public.t"), [new RelationColumn("id", "integer", 1)]);

    [Fact]
    public void Rows_of_a_transaction_are_named_and_others_are_not()
    {
        var rows = new WrittenRows();
        rows.Add([Insert(1), Insert(2), Change.Delete(s_table, [ColumnValue.Of("3")], oldIsKeyOnly: true)]);
        Assert.True(rows.Contains(Key(1)) && rows.Contains(Key(2)));
        Assert.False(rows.Contains(Key(3)) || rows.Contains(Key(4)));
    }

    /// <summary>Nothing may become stable for long, and the transaction be of any size.</summary>
    [Fact]
    public void A_transaction_that_left_too_many_rows_to_be_kept_may_have_written_any()
    {
        var rows = new WrittenRows();
        for (var part = 0; part <= WrittenRows.Limit / 1000; part++) rows.Add([.. Enumerable.Range(part * 1000, 1000).Select(Insert)]);
        Assert.True(rows.Contains(Key(0)) && rows.Contains(Key(-1)));
    }

    private static Change Insert(int id) => Change.Insert(s_table, [ColumnValue.Of($"{id}")]);

    private static RowKey Key(int id) => new(s_table.Name, [$"{id}"]);
}
