using ActiveActive.Capture;
using ActiveActive.Changes;
using ActiveActive.Diagnostics;
using Npgsql;
using NpgsqlTypes;

namespace ActiveActive.Database.Postgres;

/// <summary>
/// Finds out what the rows of a rewritten table truly are: for each key, the last write that the log from the checkpoint on holds of it. What it does not hold is
/// stable, and counts as seen by everyone. Where a row shows another transaction than that, an override names the true version (adr/0020).
/// </summary>
internal static class VersionRestoration
{
    private const string FilesSql =
        """
        SELECT c.oid, pg_relation_filenode(c.oid) FROM pg_class c
        WHERE c.relkind = 'r' AND (c.oid = to_regclass($1) OR c.oid IN (SELECT relid FROM pg_partition_tree(to_regclass($1))))
        """;

    private const string StageSql =
        """
        INSERT INTO active_active.logged_write (key, xid, stamp, origin, position)
        SELECT k, $2, $3, $4, $5::pg_lsn FROM unnest($1) AS k
        ON CONFLICT (key) DO UPDATE SET xid = excluded.xid, stamp = excluded.stamp, origin = excluded.origin, position = excluded.position
        """;

    private const string StageTransactionSql = "INSERT INTO active_active.logged_transaction (xid) VALUES ($1) ON CONFLICT DO NOTHING";

    private const string Xmin = "t.xmin::text::bigint";

    /// <summary>The files of a table and its partitions; its locks keep them as they are.</summary>
    public static async ValueTask<List<(uint Table, uint File)>> ReadFilesAsync(NpgsqlConnection connection, TableName table, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(FilesSql, connection);
        command.Parameters.Add(SqlParameters.TypedText(PostgresNames.Quote(table)));
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        var files = new List<(uint, uint)>();
        while (await reader.ReadAsync(cancellationToken)) files.Add((reader.GetFieldValue<uint>(0), reader.IsDBNull(1) ? 0 : reader.GetFieldValue<uint>(1)));
        return files;
    }

    /// <summary>Notes that the rows in these files show their writers. A file that a rollback takes away is not given to a table again.</summary>
    public static async ValueTask SaveFilesAsync(
        NpgsqlConnection connection, List<(uint Table, uint File)> files, RewrittenTables rewritten, CancellationToken cancellationToken, bool thenCommit = false)
    {
        await using var batch = new NpgsqlBatch(connection);
        batch.BatchCommands.Add(SqlParameters.Command(
            """
            INSERT INTO active_active.table_file (table_oid, file)
            SELECT t::oid, f::oid FROM unnest($1::bigint[], $2::bigint[]) AS s(t, f)
            ON CONFLICT (table_oid) DO UPDATE SET file = excluded.file
            """,
            SqlParameters.Numbers([.. files.Select(f => (long)f.Table)]), SqlParameters.Numbers([.. files.Select(f => (long)f.File)])));
        if (thenCommit) batch.BatchCommands.Add(new NpgsqlBatchCommand("COMMIT"));
        await batch.ExecuteNonQueryAsync(cancellationToken);
        foreach (var (table, file) in files) rewritten.AddFile(table, file);
    }

    /// <summary>Returns how many rows got their version back; null where another session has done it, or the table is gone.</summary>
    public static async ValueTask<long?> RunAsync(PostgresDatabaseOptions options, NpgsqlDataSource dataSource, RewrittenTables rewritten, TableName name, CancellationToken cancellationToken)
    {
        try
        {
            await using var source = PostgresConnections.ForApply(options.ConnectionString);
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            var catalog = new LocalTableCatalog(options.Tables);
            if (await catalog.FindAsync(new Relation(name, name, []), connection, cancellationToken) is not { } table) return null;
            return await RunAsync(new Run(options, dataSource, connection, table, catalog.StatementsOf(table)), rewritten, cancellationToken);
        }
        catch (Exception e) when (e is not (OperationCanceledException or ReplicationException))
        {
            throw PostgresErrors.Translate(e, $"reading from the log who wrote the rows of {name}, which was rewritten");
        }
    }

    private static async ValueTask<long?> RunAsync(Run run, RewrittenTables rewritten, CancellationToken cancellationToken)
    {
        // One snapshot for all that is looked at: a write that comes later changes what its row shows, and an override that names what it showed before is void.
        await ExecuteAsync(run.Connection, "BEGIN ISOLATION LEVEL REPEATABLE READ", cancellationToken);
        // BEFORE the snapshot: another rewrite would leave it without rows. Writers go on.
        await ExecuteAsync(run.Connection, $"LOCK TABLE {PostgresNames.Quote(run.Table.Name)} IN ACCESS SHARE MODE", cancellationToken);
        var files = await ReadFilesAsync(run.Connection, run.Table.Name, cancellationToken);
        if (files.TrueForAll(f => rewritten.IsKnown(f.Table, f.File))) return null;
        await StageAsync(run, cancellationToken);
        await ExecuteAsync(run.Connection, "ANALYZE active_active.logged_write, active_active.logged_transaction", cancellationToken);
        var rewriters = await NoteRewritersAsync(run, cancellationToken);
        var restored = await RestoreAsync(run, cancellationToken);
        await ExecuteAsync(run.Connection, "TRUNCATE active_active.logged_write, active_active.logged_transaction", cancellationToken);
        foreach (var xid in rewriters) rewritten.AddRewriter(run.Table.Name, xid);
        await SaveFilesAsync(run.Connection, files, rewritten, cancellationToken, thenCommit: true);
        return restored;
    }

    /// <summary>Reads the log up to a marker that stands behind all that the snapshot shows.</summary>
    private static async ValueTask StageAsync(Run run, CancellationToken cancellationToken)
    {
        NpgsqlLogSequenceNumber end;
        await using (var marker = run.DataSource.CreateCommand($"SELECT pg_logical_emit_message(true, '{PostgresNames.MessagePrefix}', '')"))
        {
            end = (NpgsqlLogSequenceNumber)(await marker.ExecuteScalarAsync(cancellationToken))!;
        }

        // Rows are all that is read here, so that what it takes truncates for does not matter.
        await using var stream = await PostgresChangeStream.OpenAsync(run.Options, run.DataSource, new PartitionTruncates(run.DataSource), default, new SlotCopy(run.Options.Node, IsWithApplied: true), cancellationToken);
        // AFTER the copy was made: the slot is confirmed at most to the saved checkpoint, so the copy holds all from this one on.
        var checkpoint = await ReadCheckpointAsync(run, cancellationToken);
        var sequence = new CausalSequence(run.Options.Node, checkpoint);
        await foreach (var captured in stream.ReadAsync(cancellationToken))
        {
            if (captured.Position >= checkpoint.Position) await StageAsync(run, captured, sequence.Next(captured), cancellationToken);
            if (captured.IsLastPart && captured.Position >= end) return;
        }
    }

    private static async ValueTask StageAsync(Run run, CapturedTransaction captured, ChangeTransaction? local, CancellationToken cancellationToken)
    {
        var isLocal = captured.ForeignOrigin.IsNone;
        if (isLocal && captured.IsLastPart && local is not null)
        {
            await using var transaction = new NpgsqlCommand(StageTransactionSql, run.Connection) { Parameters = { SqlParameters.Number(captured.Xid) } };
            await transaction.ExecuteNonQueryAsync(cancellationToken);
        }

        var keys = captured.Changes.Where(c => c.NewRow is not null && c.Relation.Root == run.Table.Name).Select(run.KeyOf).OfType<RowKey>().Distinct().ToList();
        if (keys.Count == 0) return;
        // What the node settled itself is told by the override that it left.
        RowVersion? version = isLocal ? local!.Version
            : captured.ForeignOrigin == run.Options.Node ? null : new RowVersion(captured.Stamp, captured.ForeignOrigin, captured.ForeignPosition);
        // One commit may have applied several transactions.
        foreach (var alike in keys.GroupBy(key => captured.Grouped is { } grouped && grouped.TryGet(key, out var earlier) && !Safeguards.IsOff(Safeguard.GroupedVersions) ? earlier : version))
        {
            await StageAsync(run, captured.Xid, [.. alike.Select(static key => key.ToText())], alike.Key, cancellationToken);
        }
    }

    private static async ValueTask StageAsync(Run run, uint xid, string[] keys, RowVersion? version, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(StageSql, run.Connection);
        command.Parameters.AddRange((NpgsqlParameter[])
        [
            SqlParameters.Texts(keys), SqlParameters.Number(xid), new() { NpgsqlDbType = NpgsqlDbType.Bigint, Value = (object?)version?.Stamp.Microseconds ?? DBNull.Value },
            SqlParameters.Text(version?.Origin.Value), SqlParameters.Text(version?.Position.ToString()),
        ]);
        await command.ExecuteNonQueryAsync(cancellationToken);
    }

    /// <summary>
    /// Which transactions have rewritten rows: those that a row shows whose last write was another one's, and those that show in more rows than they have written.
    /// </summary>
    private static async ValueTask<List<uint>> NoteRewritersAsync(Run run, CancellationToken cancellationToken)
    {
        var (target, match) = (run.Statements.Target, run.Statements.MatchesStoredKey("t", "w.key"));
        await using var command = new NpgsqlCommand(
            $"""
            WITH written AS (SELECT w.xid, {Xmin} AS shown FROM active_active.logged_write w JOIN {target} AS t ON {match}),
            own AS (SELECT xid, count(*) AS rows FROM written WHERE xid = shown GROUP BY xid),
            shown AS (SELECT {Xmin} AS xid, count(*) AS rows FROM {target} AS t WHERE {Xmin} IN (SELECT xid FROM active_active.logged_transaction) GROUP BY 1),
            noted AS (
                INSERT INTO active_active.rewriter (table_name, xid)
                SELECT $1, shown FROM written WHERE xid <> shown
                UNION SELECT $1, shown.xid FROM shown LEFT JOIN own USING (xid) WHERE shown.rows > COALESCE(own.rows, 0)
                ON CONFLICT DO NOTHING)
            SELECT shown FROM written WHERE xid <> shown
            UNION SELECT shown.xid FROM shown LEFT JOIN own USING (xid) WHERE shown.rows > COALESCE(own.rows, 0)
            """, run.Connection);
        command.Parameters.Add(SqlParameters.Text(run.Table.Name.ToString()));
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        var xids = new List<uint>();
        while (await reader.ReadAsync(cancellationToken)) xids.Add((uint)reader.GetInt64(0));
        return xids;
    }

    private static async ValueTask<long> RestoreAsync(Run run, CancellationToken cancellationToken)
    {
        var rows = $"active_active.logged_write w JOIN {run.Statements.Target} AS t ON {run.Statements.MatchesStoredKey("t", "w.key")}";
        await using var batch = new NpgsqlBatch(run.Connection);
        var table = run.Table.Name.ToString();
        // What stood beside the row when it was last written stands beside it still.
        foreach (var beside in (string[])["version_override", "sibling"])
        {
            batch.BatchCommands.Add(SqlParameters.Command(
                $"UPDATE active_active.{beside} o SET xid = {Xmin} FROM {rows} WHERE o.table_name = $1 AND o.key = w.key AND o.xid = w.xid AND {Xmin} <> w.xid", SqlParameters.Text(table)));
        }

        // Of a row that was not written since the checkpoint. Should the entry be void since an earlier write, it names an older version than the row's: no loser
        // that is stored lies between the two, or the row that hides it would have a newer entry; and whatever arrives is later than both.
        batch.BatchCommands.Add(SqlParameters.Command(
            $"""
            UPDATE active_active.version_override o SET xid = {Xmin} FROM {run.Statements.Target} AS t
            WHERE o.table_name = $1 AND o.is_kept AND {run.Statements.MatchesStoredKey("t", "o.key")} AND o.xid <> {Xmin}
            AND NOT EXISTS (SELECT FROM active_active.logged_write w WHERE w.key = o.key)
            """, SqlParameters.Text(table)));
        batch.BatchCommands.Add(SqlParameters.Command(
            $"""
            INSERT INTO active_active.version_override (table_name, key, xid, stamp, origin, position)
            SELECT $1, w.key, {Xmin}, w.stamp, w.origin, w.position FROM {rows}
            WHERE w.stamp IS NOT NULL AND {Xmin} IN (SELECT xid FROM active_active.rewriter WHERE table_name = $1)
            ON CONFLICT (table_name, key) DO UPDATE
            SET xid = excluded.xid, stamp = excluded.stamp, origin = excluded.origin, position = excluded.position, is_kept = false
            WHERE version_override.xid <> excluded.xid
            """, SqlParameters.Text(table)));
        return await batch.ExecuteNonQueryAsync(cancellationToken);
    }

    private static async ValueTask<CaptureCheckpoint> ReadCheckpointAsync(Run run, CancellationToken cancellationToken)
    {
        await using var command = run.DataSource.CreateCommand(CheckpointTable.ReadSql);
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        return await reader.ReadAsync(cancellationToken)
            ? CheckpointTable.Read(reader)
            : throw new ReplicationException(ReplicationErrorKind.Misconfigured, "There is no capture checkpoint (active_active.checkpoint is empty): set-up has not run in this database.");
    }

    private static async ValueTask ExecuteAsync(NpgsqlConnection connection, string sql, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(sql, connection);
        await command.ExecuteNonQueryAsync(cancellationToken);
    }

    private sealed record Run(PostgresDatabaseOptions Options, NpgsqlDataSource DataSource, NpgsqlConnection Connection, LocalTable Table, ApplyStatements Statements)
    {
        /// <summary>By name, whatever else has changed in the table since; null where the log does not name the key's columns of now.</summary>
        public RowKey? KeyOf(Change change)
        {
            var values = Table.KeyOrdinals.Select(i => change.Relation.OrdinalOf(Table.Columns[i].Name)).Select(o => o < 0 ? null : change.NewRow![o].Text).ToArray();
            return values.Contains(null) ? null : new RowKey(Table.Name, values!);
        }
    }
}
