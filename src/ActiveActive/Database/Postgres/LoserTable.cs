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

    private static readonly string s_collectInBlocks =
        $"""
        DELETE FROM active_active.unique_loser k USING active_active.tombstone_block b
        WHERE {TombstoneTable.Holds} AND {VersionSql.IsNewer("b", "k")}
        """;

    public static NpgsqlBatchCommand Set(SetLoser set)
    {
        var loser = set.Loser!;
        return SqlParameters.Command(SetSql, SqlParameters.Text(set.Table.Name.ToString()), SqlParameters.Text(set.Key.ToText()),
            SqlParameters.Text(RowText.Write(set.Table, loser.Values)), SqlParameters.Number(loser.Version.Stamp.Microseconds),
            SqlParameters.Text(loser.Version.Origin.Value), SqlParameters.Text(loser.Version.Position.ToString()), SqlParameters.Text(set.Winner?.ToText()));
    }

    public static NpgsqlBatchCommand Drop(TableName table, string key) => SqlParameters.Command(DropSql, SqlParameters.Text(table.ToString()), SqlParameters.Text(key));

    public static NpgsqlBatchCommand Truncate(TableName table, in RowVersion version) => SqlParameters.Command(s_truncate,
        SqlParameters.Text(table.ToString()), SqlParameters.Number(version.Stamp.Microseconds), SqlParameters.Text(version.Origin.Value), SqlParameters.Text(version.Position.ToString()));

    public static IEnumerable<NpgsqlBatchCommand> Collect() => [new(s_collect), new(s_collectInBlocks)];

    public static NpgsqlBatchCommand ReadKeys(TableName table, RowKey? after, int limit) => SqlParameters.Command(
        """SELECT key FROM active_active.unique_loser WHERE table_name = $1 AND key COLLATE "C" > $2 ORDER BY key COLLATE "C" LIMIT $3""",
        SqlParameters.Text(table.ToString()), SqlParameters.Text(after?.ToText() ?? ""), SqlParameters.Number(limit));

    public static NpgsqlBatchCommand Read(TableName? table, int limit) => SqlParameters.Command(
        """SELECT table_name, key, "row"::text, stamp, origin, position, winner FROM active_active.unique_loser WHERE $1 = '' OR table_name = $1 ORDER BY stamp, origin, key LIMIT $2""",
        SqlParameters.TypedText(table?.ToString() ?? ""), SqlParameters.Number(limit));

    public static HiddenRow ReadEntry(NpgsqlDataReader reader) => new(
        TableName.Parse(reader.GetString(0)), KeyText.Read(reader.GetString(1)), RowText.Read(reader.GetString(2)),
        new RowVersion(new CommitTimestamp(reader.GetInt64(3)), new NodeName(reader.GetString(4)), reader.GetFieldValue<NpgsqlTypes.NpgsqlLogSequenceNumber>(5)),
        reader.IsDBNull(6) ? null : KeyText.Read(reader.GetString(6)));
}
