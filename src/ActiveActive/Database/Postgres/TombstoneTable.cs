using ActiveActive.Changes;
using Npgsql;
using NpgsqlTypes;

namespace ActiveActive.Database.Postgres;

/// <summary>
/// The SQL of <c>active_active.tombstone</c>, where a tombstone is only ever replaced by a newer one, and of <c>active_active.tombstone_block</c>. Of all that stand under a key, in both,
/// the newest counts.
/// </summary>
internal static class TombstoneTable
{
    // From so many on they are written as blocks.
    private const int LeastInBlocks = 256;

    // A btree has no room for a key that is much longer; a block has.
    private const int MostKeyBytes = 2000;

    private const string BucketOf = "(hashtext(k.key) & 63)";

    private static readonly string s_keepNewer =
        $"""
        ON CONFLICT (table_name, key) DO UPDATE SET stamp = excluded.stamp, origin = excluded.origin, position = excluded.position
        WHERE {VersionSql.IsNewer("excluded", "t")}
        """;

    private static readonly string s_set =
        $"INSERT INTO active_active.tombstone AS t (table_name, key, stamp, origin, position) VALUES ($1, $2, $3, $4, $5) {s_keepNewer}";

    // In key order, so that two writers of the same keys wait for each other instead of deadlocking.
    private static readonly string s_save =
        $"""
        INSERT INTO active_active.tombstone AS t (table_name, key, stamp, origin, position)
        SELECT table_name, key, stamp, origin, position::pg_lsn
        FROM unnest($1, $2, $3, $4, $5) AS n(table_name, key, stamp, origin, position)
        ORDER BY table_name COLLATE "C", key COLLATE "C"
        {s_keepNewer}
        """;

    // The same where one transaction deleted all of them from one table.
    private static readonly string s_saveAlike =
        $"""
        INSERT INTO active_active.tombstone AS t (table_name, key, stamp, origin, position)
        SELECT $1, key, $2, $3, $4
        FROM unnest($5) AS n(key)
        ORDER BY key COLLATE "C"
        {s_keepNewer}
        """;

    // Of one transaction the same keys are the same deletes: a part that is captured again, or a row that it deletes, inserts and deletes once more.
    private const string SaveBlocksSql =
        $"""
        INSERT INTO active_active.tombstone_block (table_name, bucket, stamp, origin, position, digest, keys)
        SELECT $1, {BucketOf}, $2, $3, $4, hashtextextended(string_agg(k.key, '' ORDER BY k.key COLLATE "C"), 0), array_agg(k.key)
        FROM unnest($5) AS k(key)
        GROUP BY 2
        ON CONFLICT DO NOTHING
        """;

    // Each look at a key goes through a bucket's blocks: what a peer that is away keeps from being stable becomes rows in the end.
    private static readonly string s_unpackBlocks =
        $"""
        WITH old AS (
            SELECT ctid FROM active_active.tombstone_block
            WHERE noted_at < clock_timestamp() - $1 * interval '1 second' AND NOT EXISTS (SELECT FROM unnest(keys) AS k(key) WHERE octet_length(key) > {MostKeyBytes})
            ORDER BY noted_at LIMIT 2000),
        gone AS (
            DELETE FROM active_active.tombstone_block WHERE ctid = ANY (ARRAY(SELECT ctid FROM old)) RETURNING table_name, keys, stamp, origin, position)
        INSERT INTO active_active.tombstone AS t (table_name, key, stamp, origin, position)
        SELECT DISTINCT ON (table_name, key COLLATE "C") table_name, key, stamp, origin, position
        FROM gone CROSS JOIN unnest(gone.keys) AS k(key)
        ORDER BY table_name, key COLLATE "C", stamp DESC, origin COLLATE "C" DESC, position DESC
        {s_keepNewer}
        """;

    private const string StableSql = "WITH stable AS (SELECT origin, position::pg_lsn AS position FROM unnest($1, $2) AS s(origin, position))";

    private static readonly string s_isCollectable =
        $"""
        t.position <= {StablePosition("t")}
          AND NOT EXISTS (
              SELECT FROM active_active.tombstone whole
              WHERE whole.table_name = t.table_name AND whole.key = '' AND {VersionSql.IsNewer("t", "whole")})
          AND NOT EXISTS (
              SELECT FROM active_active.tombstone_block below
              WHERE below.table_name = t.table_name AND below.position > {StablePosition("below")} AND {VersionSql.IsNewer("t", "below")})
        """;

    /// <summary>
    /// What a key's greatest delete is may never fall (convergence R2). So a row tombstone below its table's goes with or before
    /// that; one above it stays while the table's lives, and one above a block that may hold its key while that does.
    /// </summary>
    private static readonly string s_collectTables =
        $"""
        {StableSql},
        gone AS (
            DELETE FROM active_active.tombstone t
            WHERE t.key = '' AND t.position <= {StablePosition("t")}
            RETURNING t.table_name, t.stamp, t.origin, t.position),
        blocks AS (
            DELETE FROM active_active.tombstone_block t USING gone
            WHERE t.table_name = gone.table_name AND NOT {VersionSql.IsNewer("t", "gone")})
        DELETE FROM active_active.tombstone t USING gone
        WHERE t.table_name = gone.table_name AND t.key <> '' AND NOT {VersionSql.IsNewer("t", "gone")}
        """;

    /// <summary>How many rows <see cref="CollectRows"/> deletes at most: what has gathered while a peer was away must not be one transaction.</summary>
    public const int MostCollected = 50_000;

    private static readonly string s_collectRows =
        // The position once more: what replaces a row while its lock is waited for has the same place in the chain, and some minor releases look at nothing else.
        $"""
        {StableSql}
        DELETE FROM active_active.tombstone t
        WHERE t.ctid = ANY (ARRAY(SELECT t.ctid FROM active_active.tombstone t WHERE t.key <> '' AND {s_isCollectable} LIMIT {MostCollected})) AND t.position <= {StablePosition("t")}
        """;

    private static readonly string s_collectBlocks = $"{StableSql} DELETE FROM active_active.tombstone_block t WHERE {s_isCollectable}";

    // A table without any is passed over by one look.
    private const string ExistsSql =
        """
        SELECT EXISTS (SELECT FROM active_active.tombstone t WHERE t.table_name = ANY($3) AND t.key = '')
            OR (EXISTS (SELECT FROM active_active.tombstone t WHERE t.table_name = ANY($3))
                AND EXISTS (SELECT FROM unnest($1, $2) AS k(table_name, key) JOIN active_active.tombstone t USING (table_name, key)))
            OR (EXISTS (SELECT FROM active_active.tombstone_block b WHERE b.table_name = ANY($3))
        """ + $"""
                AND EXISTS (SELECT FROM unnest($1, $2) AS k(table_name, key) JOIN active_active.tombstone_block b ON {Holds}))
        """ + ", " + VersionSql.OwnAndNextXid;

    /// <summary>Whether a block <c>b</c> holds a key <c>k</c>.</summary>
    public const string Holds = $"b.table_name = k.table_name AND b.bucket = {BucketOf} AND k.key = ANY (b.keys)";

    /// <summary>Whether one stands under one of the keys or for one of their tables.</summary>
    public static NpgsqlBatchCommand Exists(IReadOnlyList<RowKey> keys) => SqlParameters.Command(ExistsSql,
        SqlParameters.Texts([.. keys.Select(static k => k.Table.ToString())]), SqlParameters.Texts([.. keys.Select(static k => k.ToText())]),
        SqlParameters.Texts([.. keys.Select(static k => k.Table).Distinct().Select(static t => t.ToString())]));

    /// <summary>Whether one of another version stands for a table, or under the key of a row that the running transaction has written.</summary>
    public static NpgsqlBatchCommand ExistsUnderOwnRow(TableName table, ApplyStatements statements, in RowVersion except) => SqlParameters.Command(
        $"""
        SELECT EXISTS (SELECT FROM active_active.tombstone d WHERE d.table_name = $1 AND (d.origin, d.position) <> ($2, $3)
            AND (d.key = '' OR EXISTS (SELECT FROM {statements.Target} AS t WHERE {statements.MatchesStoredKey("t", "CASE d.key WHEN '' THEN NULL ELSE d.key END")} AND t.xmin = pg_current_xact_id_if_assigned()::xid)))
        OR EXISTS (SELECT FROM active_active.tombstone_block b CROSS JOIN unnest(b.keys) AS d(key) WHERE b.table_name = $1 AND (b.origin, b.position) <> ($2, $3)
            AND EXISTS (SELECT FROM {statements.Target} AS t WHERE {statements.MatchesStoredKey("t", "d.key")} AND t.xmin = pg_current_xact_id_if_assigned()::xid)), {VersionSql.OwnAndNextXid}
        """,
        SqlParameters.Text(table.ToString()), SqlParameters.Text(except.Origin.Value), SqlParameters.Text(except.Position.ToString()));

    /// <summary>All of a table, in two results, the one of the table itself first; to be read in one snapshot.</summary>
    public const string ReadAllSql =
        """
        SELECT key, stamp, origin, position FROM active_active.tombstone WHERE table_name = @table AND key = '';
        SELECT key, stamp, origin, position FROM active_active.tombstone WHERE table_name = @table AND key <> ''
        UNION ALL SELECT k.key, b.stamp, b.origin, b.position FROM active_active.tombstone_block b CROSS JOIN unnest(b.keys) AS k(key) WHERE b.table_name = @table
        """;

    public static NpgsqlBatchCommand Set(TableName table, string key, in RowVersion version) => SqlParameters.Command(
        s_set, SqlParameters.Text(table.ToString()), SqlParameters.Text(key), SqlParameters.Number(version.Stamp.Microseconds),
        SqlParameters.Text(version.Origin.Value), SqlParameters.Text(version.Position.ToString()));

    /// <summary>At least one; of several entries of one key the newest counts.</summary>
    public static IReadOnlyList<NpgsqlBatchCommand> Save(IReadOnlyList<Tombstone> tombstones)
    {
        if (!tombstones.Any(static t => IsOfTable(t) || IsLong(t))) return [SaveAll(tombstones)];
        var rest = tombstones.Where(static t => !IsOfTable(t) && !IsLong(t)).ToList();
        return
        [
            // A table's stands in a row, where every look finds it.
            .. tombstones.Where(IsOfTable).Select(static t => Set(t.Table, "", t.Version)),
            .. tombstones.Where(IsLong).GroupBy(static t => (t.Table, t.Version)).Select(static g => SaveAlike(SaveBlocksSql, [.. g])),
            .. rest.Count > 0 ? [SaveAll(rest)] : Array.Empty<NpgsqlBatchCommand>(),
        ];
    }

    private static bool IsOfTable(Tombstone tombstone) => tombstone.Key.Length == 0;

    private static bool IsLong(Tombstone tombstone) => tombstone.Key.Length > MostKeyBytes / 4 && System.Text.Encoding.UTF8.GetByteCount(tombstone.Key) > MostKeyBytes;

    private static NpgsqlBatchCommand SaveAll(IReadOnlyList<Tombstone> tombstones)
    {
        var first = tombstones[0];
        if (tombstones.All(t => t.Version == first.Version && t.Table == first.Table))
        {
            return SaveAlike(tombstones.Count >= LeastInBlocks ? SaveBlocksSql : s_saveAlike, tombstones);
        }

        var newest = new Dictionary<(TableName, string), RowVersion>(tombstones.Count);
        foreach (var tombstone in tombstones)
        {
            var key = (tombstone.Table, tombstone.Key);
            if (!newest.TryGetValue(key, out var other) || tombstone.Version.IsNewerThan(other)) newest[key] = tombstone.Version;
        }

        return SqlParameters.Command(s_save,
            SqlParameters.Texts([.. newest.Keys.Select(k => k.Item1.ToString())]), SqlParameters.Texts([.. newest.Keys.Select(k => k.Item2)]),
            SqlParameters.Numbers([.. newest.Values.Select(v => v.Stamp.Microseconds)]), SqlParameters.Texts([.. newest.Values.Select(v => v.Origin.Value)]),
            SqlParameters.Texts([.. newest.Values.Select(v => v.Position.ToString())]));
    }

    /// <summary>What one transaction deleted from one table.</summary>
    private static NpgsqlBatchCommand SaveAlike(string sql, IReadOnlyList<Tombstone> tombstones) => SqlParameters.Command(sql,
        SqlParameters.Text(tombstones[0].Table.ToString()), SqlParameters.Number(tombstones[0].Version.Stamp.Microseconds), SqlParameters.Text(tombstones[0].Version.Origin.Value),
        SqlParameters.Text(tombstones[0].Version.Position.ToString()), SqlParameters.Texts([.. tombstones.Select(static t => t.Key).Distinct(StringComparer.Ordinal)]));

    public static IEnumerable<NpgsqlBatchCommand> Collect(DependencyVector stable) =>
    [
        SqlParameters.Command(s_collectTables, StableVector(stable)),
        SqlParameters.Command(s_collectBlocks, StableVector(stable)),
    ];

    /// <summary>Some of the rows, AFTER what <see cref="Collect"/> gives; to be sent again while it deletes as many as it may.</summary>
    public static NpgsqlBatchCommand CollectRows(DependencyVector stable) => SqlParameters.Command(s_collectRows, StableVector(stable));

    /// <summary>Makes rows of the blocks that are older than that.</summary>
    public static NpgsqlBatchCommand Unpack(TimeSpan age) => SqlParameters.Command(s_unpackBlocks, SqlParameters.Number((long)age.TotalSeconds));

    /// <summary>The parameters <c>$1</c> and <c>$2</c> of a statement that reads a vector.</summary>
    public static NpgsqlParameter[] StableVector(DependencyVector stable) =>
        [SqlParameters.Texts([.. stable.Select(e => e.Key.Value)]), SqlParameters.Texts([.. stable.Select(e => e.Value.ToString())])];

    /// <summary>Up to where the vector covers a record's origin; an origin that it does not name stands at zero.</summary>
    public static string StablePosition(string record) =>
        $"COALESCE((SELECT s.position FROM stable s WHERE s.origin = {record}.origin), '0/0')";

    /// <summary>Reads a version's three columns from a row in text form.</summary>
    public static RowVersion ReadVersion(NpgsqlDataReader reader, int first) => new(
        new CommitTimestamp(long.Parse(reader.GetString(first), System.Globalization.CultureInfo.InvariantCulture)),
        new NodeName(reader.GetString(first + 1)), NpgsqlLogSequenceNumber.Parse(reader.GetString(first + 2)));
}
