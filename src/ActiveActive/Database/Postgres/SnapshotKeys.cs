using System.Globalization;
using System.Runtime.CompilerServices;
using ActiveActive.Changes;
using Npgsql;

namespace ActiveActive.Database.Postgres;

/// <summary>
/// Reads what a table's rows do not tell, key by key: one query of up to four parts, sorted so that what belongs to one row (told by its place in the snapshot) or one key comes together.
/// </summary>
internal sealed class SnapshotKeys(NpgsqlDataReader reader, LocalTable table, NodeName local, OriginNodes origins, RewrittenTables rewritten)
{
    private const string NoOverride = "NULL::bigint, NULL::text, NULL::pg_lsn, NULL::boolean";
    private const string NoSiblings = "NULL::text";
    private const string NoLoser = "NULL::text, NULL::bigint, NULL::text, NULL::pg_lsn, NULL::text";

    // Behind the place and the stored key.
    private const int XidColumn = 3;

    // The key's columns are the last.
    private const int KeyColumn = XidColumn + 13;

    public static NpgsqlCommand Command(NpgsqlConnection connection, LocalTable table, ApplyStatements statements, uint oldest)
    {
        var row = $"t.xmin::text, {VersionSql.Microseconds("(pg_xact_commit_timestamp_origin(t.xmin)).\"timestamp\"")}, (pg_xact_commit_timestamp_origin(t.xmin)).roident::text";
        var key = statements.KeyOf("t");
        var parts = new List<string>
        {
            Part("o.key", "o.stamp, o.origin, o.position, o.is_kept", NoSiblings, NoLoser,
                $"active_active.version_override o JOIN {statements.Target} AS t ON {statements.MatchesStoredKey("t", "o.key")} AND t.xmin::text::bigint = o.xid WHERE o.table_name = $1"),
            Part("s.key", NoOverride, "s.versions::text", NoLoser,
                $"active_active.sibling s LEFT JOIN {statements.Target} AS t ON {statements.MatchesStoredKey("t", "s.key")} WHERE s.table_name = $1 AND s.xid = coalesce(t.xmin::text::bigint, 0)"),
            Part("l.key", NoOverride, NoSiblings, "l.\"row\"::text, l.stamp, l.origin, l.position, l.winner",
                $"active_active.unique_loser l LEFT JOIN {statements.Target} AS t ON {statements.MatchesStoredKey("t", "l.key")} WHERE l.table_name = $1"),
        };
        // A subtransaction's id is greater than its transaction's, so these are all rows of the transactions from the oldest on.
        if (oldest != 0) parts.Add(Part("NULL::text", NoOverride, NoSiblings, NoLoser, $"{statements.Target} AS t WHERE age(t.xmin) <= (SELECT age($2::text::xid))"));

        var command = new NpgsqlCommand(string.Join("\nUNION ALL\n", parts) + "\nORDER BY 1, 2, 3", connection) { AllResultTypesAreUnknown = true };
        command.Parameters.Add(SqlParameters.TypedText(table.Name.ToString()));
        if (oldest != 0) command.Parameters.Add(SqlParameters.TypedText(oldest.ToString(CultureInfo.InvariantCulture)));
        return command;

        // Of one row the place alone counts: only where there is none, the stored key does.
        string Part(string storedKey, string version, string siblings, string loser, string from) =>
            $"SELECT t.tableoid, t.ctid, {storedKey}, {row}, {version}, {siblings}, {loser}, {key} FROM {from}";
    }

    public async IAsyncEnumerable<SnapshotKey> ReadAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        SnapshotKey? gathered = null;
        var place = "";
        while (await reader.ReadAsync(cancellationToken))
        {
            var next = Text(1) is { } row ? $"{Text(0)} {row}" : Text(2)!;
            if (gathered is not null && next != place)
            {
                if (IsTelling(gathered)) yield return gathered;
                gathered = null;
            }

            place = next;
            gathered = Add(gathered ?? ReadKey());
        }

        if (gathered is not null && IsTelling(gathered)) yield return gathered;
    }

    private SnapshotKey ReadKey()
    {
        if (Text(XidColumn) is not { } xid) return new SnapshotKey(new RowKey(table.Name, KeyText.Read(Text(2)!)), 0, CommitTimestamp.Unknown, local);
        var values = new string[table.KeyOrdinals.Count];
        for (var i = 0; i < values.Length; i++) values[i] = reader.GetString(KeyColumn + i);
        var stamp = Text(XidColumn + 1) is { } known ? new CommitTimestamp(long.Parse(known, CultureInfo.InvariantCulture)) : CommitTimestamp.Unknown;
        return new SnapshotKey(new RowKey(table.Name, values), uint.Parse(xid, CultureInfo.InvariantCulture), stamp, origins.Get(Text(XidColumn + 2)));
    }

    private SnapshotKey Add(SnapshotKey key)
    {
        if (Text(XidColumn + 3) is not null) key = key with { Override = TombstoneTable.ReadVersion(reader, XidColumn + 3), IsOverrideKept = Text(XidColumn + 6) == "t" };
        if (Text(XidColumn + 7) is { } versions) key = key with { Siblings = SiblingTable.Read(table, versions) };
        if (Text(XidColumn + 8) is not { } row) return key;
        return key with
        {
            Loser = new UniqueLoser(TombstoneTable.ReadVersion(reader, XidColumn + 9), RowText.Read(table, row)),
            Winner = Text(XidColumn + 12) is { } winner ? new RowKey(table.Name, KeyText.Read(winner)) : null,
        };
    }

    // A row that only shows who rewrote it is older than all that can still arrive.
    private bool IsTelling(SnapshotKey key) => key.Override is not null || key.Siblings.Count > 0 || key.Loser is not null
        || rewritten.VersionOf(table.Name, new LocalRow([], key.Xid, key.Stamp, key.Origin, IsOwnWrite: false)) is null;

    private string? Text(int column) => reader.IsDBNull(column) ? null : reader.GetString(column);
}
