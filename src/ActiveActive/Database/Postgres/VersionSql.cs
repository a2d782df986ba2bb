namespace ActiveActive.Database.Postgres;

/// <summary>SQL expressions for stamps and for the order of versions; the same order as <see cref="RowVersion.IsNewerThan"/>.</summary>
internal static class VersionSql
{
    /// <summary>Microseconds between 1970 and PostgreSQL's epoch.</summary>
    private const string EpochMicroseconds = "946684800000000";

    /// <summary>Exact: since PostgreSQL 14 <c>extract</c> yields numeric.</summary>
    public static string Microseconds(string timestamp) => $"(extract(epoch FROM {timestamp}) * 1000000)::bigint - {EpochMicroseconds}";

    /// <summary>The same for a stored stamp, where <c>-infinity</c> stands for <see cref="CommitTimestamp.Unknown"/>.</summary>
    public static string StoredMicroseconds(string timestamp) =>
        $"CASE WHEN isfinite({timestamp}) THEN {Microseconds(timestamp)} WHEN {timestamp} IS NOT NULL THEN {long.MinValue + 1}::bigint - 1 END";

    /// <summary>The timestamptz text of a stamp.</summary>
    public static string Text(CommitTimestamp stamp) => stamp.IsKnown ? stamp.ToString() : "-infinity";

    /// <summary>The current xid as rows show it in <c>xmin</c>, as a bigint.</summary>
    public const string CurrentXid = "pg_current_xact_id()::xid::text::bigint";

    /// <summary>The current xid, where there is one, and one after all that are over (https://www.postgresql.org/docs/current/functions-info.html#FUNCTIONS-INFO-SNAPSHOT), as bigints.</summary>
    public const string OwnAndNextXid = "pg_current_xact_id_if_assigned()::xid::text::bigint, pg_snapshot_xmax(pg_current_snapshot())::xid::text::bigint";

    /// <summary>Whether a stored xid comes before <see cref="Horizon"/>'s. Compared by age, as xids wrap around.</summary>
    public static string IsBefore(string xid, string horizon) => $"age({xid}::text::xid) > age({horizon}::text::xid)";

    /// <summary>Of 0, the invalid xid, the age is greater than any.</summary>
    public static Npgsql.NpgsqlParameter Horizon(uint xid) => SqlParameters.Text(xid.ToString(System.Globalization.CultureInfo.InvariantCulture));

    /// <summary>Whether one record (columns stamp, origin, position) is newer than another.</summary>
    public static string IsNewer(string left, string right) =>
        $"""
        CASE WHEN {left}.origin = {right}.origin AND {left}.position <> '0/0' AND {right}.position <> '0/0'
             THEN {left}.position > {right}.position
             ELSE ({left}.stamp, {left}.origin COLLATE "C") > ({right}.stamp, {right}.origin COLLATE "C") END
        """;
}
