using ActiveActive.Changes;
using Npgsql;

namespace ActiveActive.Database.Postgres;

/// <summary>The SQL of <c>active_active.orphan</c>: rows that the orphan policy has moved out of sight. It replicates as any table does.</summary>
internal static class OrphanTable
{
    public static NpgsqlBatchCommand Set(RowKey key, string constraint, string row) => SqlParameters.Command(
        """
        INSERT INTO active_active.orphan (table_name, key, constraint_name, "row") VALUES ($1, $2, $3, $4)
        ON CONFLICT (table_name, key) DO UPDATE SET constraint_name = excluded.constraint_name, "row" = excluded."row", is_replaced = false
        """,
        [.. Key(key), SqlParameters.Text(constraint), SqlParameters.Text(row)]);

    public static NpgsqlBatchCommand NoteReplaced(RowKey key) =>
        SqlParameters.Command("UPDATE active_active.orphan SET is_replaced = true WHERE table_name = $1 AND key = $2", Key(key));

    public static NpgsqlBatchCommand Drop(RowKey key) => SqlParameters.Command("DELETE FROM active_active.orphan WHERE table_name = $1 AND key = $2", Key(key));

    /// <summary>The row of one that waits; locked, so that one session alone brings it back.</summary>
    public static NpgsqlBatchCommand Lock(RowKey key) => SqlParameters.Command(
        """SELECT "row"::text FROM active_active.orphan WHERE table_name = $1 AND key = $2 AND NOT is_replaced FOR UPDATE""", Key(key));

    public static NpgsqlBatchCommand Read(TableName? table, int limit) => SqlParameters.Command(
        """
        SELECT table_name, key, constraint_name, "row"::text, is_replaced FROM active_active.orphan
        WHERE $1 = '' OR table_name = $1 ORDER BY table_name COLLATE "C", key COLLATE "C" LIMIT $2
        """,
        SqlParameters.TypedText(table?.ToString() ?? ""), SqlParameters.Number(limit));

    public static QuarantinedOrphan ReadEntry(NpgsqlDataReader reader) => new(
        TableName.Parse(reader.GetString(0)), KeyText.Read(reader.GetString(1)), reader.GetString(2), RowText.Read(reader.GetString(3)), reader.GetBoolean(4));

    private static NpgsqlParameter[] Key(RowKey key) => [SqlParameters.Text(key.Table.ToString()), SqlParameters.Text(key.ToText())];
}
