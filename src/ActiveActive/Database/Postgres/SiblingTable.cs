using System.Buffers;
using System.Text;
using System.Text.Json;
using ActiveActive.Changes;
using Npgsql;
using NpgsqlTypes;

namespace ActiveActive.Database.Postgres;

/// <summary>
/// The SQL and JSON of <c>active_active.sibling</c> (convergence R8). An entry is valid while the row's xmin is its xid; xid 0 means
/// that the versions folded to no row, and is valid while there is none.
/// </summary>
internal static class SiblingTable
{
    private const string DropSql = "DELETE FROM active_active.sibling WHERE table_name = $1 AND key = $2";

    private const string DropOwnSql = $"{DropSql} AND xid = {VersionSql.CurrentXid}";

    private static readonly string s_collect =
        $"""
        WITH stable AS (SELECT origin, position::pg_lsn AS position FROM unnest($1, $2) AS s(origin, position))
        DELETE FROM active_active.sibling k
        WHERE NOT EXISTS (
            SELECT FROM jsonb_to_recordset(k.versions) AS v(origin text, position pg_lsn)
            WHERE v.position > {TombstoneTable.StablePosition("v")})
          AND (k.xid = 0 OR {VersionSql.IsBefore("k.xid", "$3")})
        """;

    public static NpgsqlBatchCommand Set(ApplyStatements statements, LocalTable table, RowKey key, IReadOnlyList<Sibling> siblings)
    {
        const int firstKeyParameter = 4;
        var sql =
            $"""
            INSERT INTO active_active.sibling (table_name, key, xid, versions)
            VALUES ($1, $2, CASE WHEN {statements.Exists(firstKeyParameter)} THEN {VersionSql.CurrentXid} ELSE 0 END, $3)
            ON CONFLICT (table_name, key) DO UPDATE SET xid = excluded.xid, versions = excluded.versions
            """;
        return SqlParameters.Command(sql,
        [
            SqlParameters.Text(table.Name.ToString()), SqlParameters.Text(key.ToText()), SqlParameters.Text(Write(table, siblings)),
            .. key.Values.Select(SqlParameters.Text),
        ]);
    }

    public static NpgsqlBatchCommand Drop(TableName table, string key) =>
        SqlParameters.Command(DropSql, SqlParameters.Text(table.ToString()), SqlParameters.Text(key));

    /// <summary>Drops an entry only if the running transaction made it: its xid would fit what the transaction writes next.</summary>
    public static NpgsqlBatchCommand DropOwn(TableName table, string key) =>
        SqlParameters.Command(DropOwnSql, SqlParameters.Text(table.ToString()), SqlParameters.Text(key));

    public static NpgsqlBatchCommand Collect(DependencyVector stable, uint horizon) => SqlParameters.Command(s_collect, [.. TombstoneTable.StableVector(stable), VersionSql.Horizon(horizon)]);

    /// <summary>A column that the stored row does not name (added since, or unchanged when it was stored) reads as unchanged.</summary>
    public static IReadOnlyList<Sibling> Read(LocalTable table, string json)
    {
        using var document = JsonDocument.Parse(json);
        var siblings = new List<Sibling>(document.RootElement.GetArrayLength());
        foreach (var element in document.RootElement.EnumerateArray())
        {
            var version = new RowVersion(
                new CommitTimestamp(element.GetProperty("stamp").GetInt64()), new NodeName(element.GetProperty("origin").GetString()!),
                NpgsqlLogSequenceNumber.Parse(element.GetProperty("position").GetString()!));
            var row = element.GetProperty("row");
            siblings.Add(new Sibling(version, row.ValueKind == JsonValueKind.Null ? null : ReadRow(table, row)));
        }

        return siblings;
    }

    private static ColumnValue[] ReadRow(LocalTable table, JsonElement row)
    {
        var values = new ColumnValue[table.Columns.Count];
        for (var i = 0; i < values.Length; i++)
        {
            values[i] = !row.TryGetProperty(table.Columns[i].Name, out var value) ? ColumnValue.Unchanged
                : value.ValueKind == JsonValueKind.Null ? ColumnValue.Null : ColumnValue.Of(value.GetString()!);
        }

        return values;
    }

    private static string Write(LocalTable table, IReadOnlyList<Sibling> siblings)
    {
        var buffer = new ArrayBufferWriter<byte>(256);
        using (var writer = new Utf8JsonWriter(buffer))
        {
            writer.WriteStartArray();
            foreach (var sibling in siblings)
            {
                writer.WriteStartObject();
                writer.WriteNumber("stamp", sibling.Version.Stamp.Microseconds);
                writer.WriteString("origin", sibling.Version.Origin.Value);
                writer.WriteString("position", sibling.Version.Position.ToString());
                writer.WritePropertyName("row");
                if (sibling.Values is null) writer.WriteNullValue();
                else WriteRow(writer, table, sibling.Values);
                writer.WriteEndObject();
            }

            writer.WriteEndArray();
        }

        return Encoding.UTF8.GetString(buffer.WrittenSpan);
    }

    private static void WriteRow(Utf8JsonWriter writer, LocalTable table, ColumnValue[] values)
    {
        writer.WriteStartObject();
        for (var i = 0; i < values.Length; i++)
        {
            if (values[i].IsUnchanged) continue;
            writer.WriteString(table.Columns[i].Name, values[i].Text);
        }

        writer.WriteEndObject();
    }
}
