using System.Buffers;
using System.Text;
using System.Text.Json;
using ActiveActive.Apply;
using ActiveActive.Changes;
using Npgsql;

namespace ActiveActive.Database.Postgres;

/// <summary>
/// The SQL and JSON of <c>active_active.unique_loser</c>: rows that lost a unique value (convergence R6). An entry counts while its key has no
/// visible row and no newer tombstone.
/// </summary>
internal static class LoserTable
{
    public const string TablesSql = "SELECT DISTINCT table_name FROM active_active.unique_loser";

    private const string SetSql =
        """
        INSERT INTO active_active.unique_loser (table_name, key, "row", stamp, origin, position, winner)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        ON CONFLICT (table_name, key) DO UPDATE
        SET "row" = excluded."row", stamp = excluded.stamp, origin = excluded.origin, position = excluded.position, winner = excluded.winner
        """;

    private const string DropSql = "DELETE FROM active_active.unique_loser WHERE table_name = $1 AND key = $2";

    private static readonly string s_truncate =
        $"""
        DELETE FROM active_active.unique_loser l USING (SELECT $2::bigint AS stamp, $3::text AS origin, $4::pg_lsn AS position) AS v
        WHERE l.table_name = $1 AND NOT ({VersionSql.IsNewer("l", "v")})
        """;

    /// <summary>BEFORE the tombstones that replaced them: without those they would count again.</summary>
    private static readonly string s_collect =
        $"""
        DELETE FROM active_active.unique_loser l USING active_active.tombstone m
        WHERE m.table_name = l.table_name AND m.key IN (l.key, '') AND {VersionSql.IsNewer("m", "l")}
        """;

    public static NpgsqlBatchCommand Set(SetLoser set)
    {
        var loser = set.Loser!;
        return SqlParameters.Command(SetSql, SqlParameters.Text(set.Table.Name.ToString()), SqlParameters.Text(set.Key.ToText()),
            SqlParameters.Text(WriteRow(set.Table, loser.Values)), SqlParameters.Number(loser.Version.Stamp.Microseconds),
            SqlParameters.Text(loser.Version.Origin.Value), SqlParameters.Text(loser.Version.Position.ToString()), SqlParameters.Text(set.Winner?.ToText()));
    }

    public static NpgsqlBatchCommand Drop(TableName table, string key) => SqlParameters.Command(DropSql, SqlParameters.Text(table.ToString()), SqlParameters.Text(key));

    public static NpgsqlBatchCommand Truncate(TableName table, in RowVersion version) => SqlParameters.Command(s_truncate,
        SqlParameters.Text(table.ToString()), SqlParameters.Number(version.Stamp.Microseconds), SqlParameters.Text(version.Origin.Value), SqlParameters.Text(version.Position.ToString()));

    public static NpgsqlBatchCommand Collect() => new(s_collect);

    public static NpgsqlBatchCommand ReadKeys(TableName table, RowKey? after, int limit) => SqlParameters.Command(
        """SELECT key FROM active_active.unique_loser WHERE table_name = $1 AND key COLLATE "C" > $2 ORDER BY key COLLATE "C" LIMIT $3""",
        SqlParameters.Text(table.ToString()), SqlParameters.Text(after?.ToText() ?? ""), SqlParameters.Number(limit));

    public static NpgsqlBatchCommand Read(TableName? table, int limit) => SqlParameters.Command(
        """SELECT table_name, key, "row"::text, stamp, origin, position, winner FROM active_active.unique_loser WHERE $1 = '' OR table_name = $1 ORDER BY stamp, origin, key LIMIT $2""",
        SqlParameters.TypedText(table?.ToString() ?? ""), SqlParameters.Number(limit));

    public static HiddenRow ReadEntry(NpgsqlDataReader reader)
    {
        using var row = JsonDocument.Parse(reader.GetString(2));
        return new HiddenRow(
            TableName.Parse(reader.GetString(0)), KeyText.Read(reader.GetString(1)),
            new Row(row.RootElement.EnumerateObject().Select(c => KeyValuePair.Create(c.Name, c.Value.GetString())).ToList()),
            new RowVersion(new CommitTimestamp(reader.GetInt64(3)), new NodeName(reader.GetString(4)), reader.GetFieldValue<NpgsqlTypes.NpgsqlLogSequenceNumber>(5)),
            reader.IsDBNull(6) ? null : KeyText.Read(reader.GetString(6)));
    }

    /// <summary>A column that the stored row does not name reads as unchanged: it takes its default.</summary>
    public static ColumnValue[] ReadRow(LocalTable table, string json)
    {
        using var document = JsonDocument.Parse(json);
        var values = new ColumnValue[table.Columns.Count];
        for (var i = 0; i < values.Length; i++)
        {
            values[i] = !document.RootElement.TryGetProperty(table.Columns[i].Name, out var value) ? ColumnValue.Unchanged
                : value.ValueKind == JsonValueKind.Null ? ColumnValue.Null : ColumnValue.Of(value.GetString()!);
        }

        return values;
    }

    /// <summary>An array of rows, each an object of texts by column name.</summary>
    public static string WriteRows(LocalTable table, IReadOnlyList<ColumnValue[]> rows) => Write(writer =>
    {
        writer.WriteStartArray();
        foreach (var row in rows) WriteRow(writer, table, row);
        writer.WriteEndArray();
    });

    private static string WriteRow(LocalTable table, ColumnValue[] values) => Write(writer => WriteRow(writer, table, values));

    private static string Write(Action<Utf8JsonWriter> write)
    {
        var buffer = new ArrayBufferWriter<byte>(256);
        using (var writer = new Utf8JsonWriter(buffer)) write(writer);
        return Encoding.UTF8.GetString(buffer.WrittenSpan);
    }

    private static void WriteRow(Utf8JsonWriter writer, LocalTable table, ColumnValue[] values)
    {
        writer.WriteStartObject();
        for (var i = 0; i < values.Length; i++)
        {
            if (!values[i].IsUnchanged) writer.WriteString(table.Columns[i].Name, values[i].Text);
        }

        writer.WriteEndObject();
    }
}
