using ActiveActive.Changes;
using Npgsql;

namespace ActiveActive.Database.Postgres;

/// <summary>The SQL of <c>active_active.version_override</c>: the true version of a row while its xmin is the entry's xid (convergence R3).</summary>
internal static class OverrideTable
{
    private const string SetSql =
        $"""
        INSERT INTO active_active.version_override (table_name, key, xid, stamp, origin, position)
        VALUES ($1, $2, {VersionSql.CurrentXid}, $3, $4, $5)
        ON CONFLICT (table_name, key) DO UPDATE
        SET xid = excluded.xid, stamp = excluded.stamp, origin = excluded.origin, position = excluded.position, is_kept = false
        """;

    private const string KeepSql =
        $"""
        INSERT INTO active_active.version_override (table_name, key, xid, stamp, origin, position, is_kept)
        VALUES ($1, $2, COALESCE($6::bigint, {VersionSql.CurrentXid}), $3, $4, $5, true)
        ON CONFLICT (table_name, key) DO UPDATE
        SET xid = excluded.xid, stamp = excluded.stamp, origin = excluded.origin, position = excluded.position, is_kept = true
        """;

    private const string DropSql = "DELETE FROM active_active.version_override WHERE table_name = $1 AND key = $2";

    private const string DropOwnSql = $"{DropSql} AND xid = {VersionSql.CurrentXid}";

    private static readonly string s_collect =
        $"""
        WITH stable AS (SELECT origin, position::pg_lsn AS position FROM unnest($1, $2) AS s(origin, position))
        DELETE FROM active_active.version_override o WHERE NOT o.is_kept AND o.position <= {TombstoneTable.StablePosition("o")} AND {VersionSql.IsBefore("o.xid", "$3")}
        """;

    public static NpgsqlBatchCommand Set(TableName table, string key, in RowVersion version) => SqlParameters.Command(
        SetSql, SqlParameters.Text(table.ToString()), SqlParameters.Text(key), SqlParameters.Number(version.Stamp.Microseconds),
        SqlParameters.Text(version.Origin.Value), SqlParameters.Text(version.Position.ToString()));

    /// <summary>The same, never collected.</summary>
    /// <param name="table">The table.</param>
    /// <param name="key">The row's key.</param>
    /// <param name="version">Its true version.</param>
    /// <param name="xid">Its xmin; null where this transaction has written it.</param>
    public static NpgsqlBatchCommand Keep(TableName table, string key, in RowVersion version, uint? xid) => SqlParameters.Command(
        KeepSql, SqlParameters.Text(table.ToString()), SqlParameters.Text(key), SqlParameters.Number(version.Stamp.Microseconds),
        SqlParameters.Text(version.Origin.Value), SqlParameters.Text(version.Position.ToString()), SqlParameters.Text(xid?.ToString(System.Globalization.CultureInfo.InvariantCulture)));

    public static NpgsqlBatchCommand Drop(TableName table, string key) =>
        SqlParameters.Command(DropSql, SqlParameters.Text(table.ToString()), SqlParameters.Text(key));

    /// <summary>Drops an entry only if the running transaction made it: its xid would fit what the transaction writes next.</summary>
    public static NpgsqlBatchCommand DropOwn(TableName table, string key) =>
        SqlParameters.Command(DropOwnSql, SqlParameters.Text(table.ToString()), SqlParameters.Text(key));

    public static NpgsqlBatchCommand Collect(DependencyVector stable, uint horizon) => SqlParameters.Command(s_collect, [.. TombstoneTable.StableVector(stable), VersionSql.Horizon(horizon)]);
}
