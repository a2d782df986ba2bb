using ActiveActive.Changes;
using ActiveActive.Database;

namespace ActiveActive.Testing.Database;

/// <summary>The rows of <c>active_active.orphan</c> in memory.</summary>
internal static class InMemoryOrphans
{
    private static readonly string[] s_columns = ["table_name text", "key text", "constraint_name text", "row json", "is_replaced boolean"];

    public static InMemoryTableDefinition Define() => new(new LocalTable(
        ReplicatedTables.Orphans, [.. s_columns.Select(c => new LocalColumn(c.Split(' ')[0], c.Split(' ')[1]))], [0, 1], TableSettings.Default));

    public static RowKey KeyOf(RowKey key) => new(ReplicatedTables.Orphans, [key.Table.ToString(), key.ToText()]);

    public static ColumnValue[] Write(RowKey key, string constraint, string row) =>
        [ColumnValue.Of(key.Table.ToString()), ColumnValue.Of(key.ToText()), ColumnValue.Of(constraint), ColumnValue.Of(row), ColumnValue.Of("f")];

    public static ColumnValue[] Replaced() =>
        [ColumnValue.Unchanged, ColumnValue.Unchanged, ColumnValue.Unchanged, ColumnValue.Unchanged, ColumnValue.Of("t")];

    public static string RowOf(ColumnValue[] values) => values[3].Text!;

    public static QuarantinedOrphan Read(ColumnValue[] values) => new(
        TableName.Parse(values[0].Text!), KeyText.Read(values[1].Text!), values[2].Text!, RowText.Read(RowOf(values)), values[4].Text == "t");
}
