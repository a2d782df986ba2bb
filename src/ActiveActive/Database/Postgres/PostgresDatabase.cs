using System.Runtime.CompilerServices;
using ActiveActive.Apply;
using ActiveActive.Changes;
using ActiveActive.Database.Postgres.PgOutput;
using ActiveActive.Progress;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Npgsql;
using NpgsqlTypes;

namespace ActiveActive.Database.Postgres;

/// <summary>The database seam on a stock PostgreSQL 15 to 18, reached with Npgsql.</summary>
internal sealed partial class PostgresDatabase : ILocalDatabase
{
    // What is stable in the ordinary way is gone by then.
    private static readonly TimeSpan s_oldBlock = TimeSpan.FromMinutes(1);

    private readonly PostgresDatabaseOptions _options;
    private readonly NpgsqlDataSource _dataSource;
    private readonly RewrittenTables _rewritten;
    private readonly PartitionTruncates _truncates;
    private readonly NewTablePublisher _newTables;
    private readonly PostgresJoin _join;
    private LeaderSession? _lease;

    public PostgresDatabase(PostgresDatabaseOptions options, ILogger? logger = null)
    {
        _options = options;
        _dataSource = NpgsqlDataSource.Create(PostgresConnections.ForSql(options.ConnectionString, options.Instance));
        _newTables = new NewTablePublisher(options, _dataSource);
        _truncates = new PartitionTruncates(_dataSource);
        _rewritten = new RewrittenTables(options, _dataSource, logger ?? NullLogger.Instance);
        _join = new PostgresJoin(options, _dataSource, _rewritten);
    }

    public OwnTransactions OwnTransactions { get; } = new();

    public async ValueTask<ILeaderLease> LeadAsync(Action<string?> standsBy, CancellationToken cancellationToken)
    {
        var lease = await LeaderSession.OpenAsync(_options, standsBy, cancellationToken);
        // What this instance's pool holds from an earlier life was ended with the rest.
        _dataSource.Clear();
        return _lease = lease;
    }

    public ValueTask<IReadOnlyList<SetUpProblem>> CheckAsync(CancellationToken cancellationToken) => new PostgresSetUp(_options, _dataSource).CheckAsync(cancellationToken);

    public ValueTask<DatabaseIdentity> SetUpAsync(bool isJoining, CancellationToken cancellationToken) => new PostgresSetUp(_options, _dataSource).RunAsync(isJoining, cancellationToken);

    public ValueTask<CaptureCheckpoint?> FindCheckpointAsync(CancellationToken cancellationToken) => RunAsync("reading the checkpoint", async () =>
    {
        await using var command = _dataSource.CreateCommand(CheckpointTable.ReadSql);
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        return await reader.ReadAsync(cancellationToken) ? CheckpointTable.Read(reader) : null;
    });

    public ValueTask SaveCheckpointAsync(CaptureCheckpoint checkpoint, CancellationToken cancellationToken) =>
        ExecuteAsync("saving the checkpoint", [CheckpointTable.Save(checkpoint)], cancellationToken);

    public ValueTask<IChangeStream> OpenChangeStreamAsync(NpgsqlLogSequenceNumber start, SlotCopy? copy, CancellationToken cancellationToken) =>
        PostgresChangeStream.OpenAsync(_options, _dataSource, _truncates, start, copy, cancellationToken);

    public ValueTask SaveTombstonesAsync(IReadOnlyList<Tombstone> tombstones, CancellationToken cancellationToken) => tombstones.Count == 0
        ? default
        : ExecuteAsync($"saving {tombstones.Count} tombstones", TombstoneTable.Save(tombstones), cancellationToken);

    public ValueTask<LogMarker> WriteMarkerAsync(CommitTimestamp floor, CancellationToken cancellationToken) => RunAsync("writing a marker", async () =>
    {
        // The position is the message's; its commit record lies behind it, at or after which capture sees the transaction.
        // A transaction that the statement's snapshot shows as ended has its commit record before it.
        var generation = OwnTransactions.Generation;
        await using var command = _dataSource.CreateCommand(
            $"SELECT pg_logical_emit_message(true, '{PostgresNames.MessagePrefix}', '{LogicalMessage.MarkerContent(floor)}'), pg_snapshot_xmin(pg_current_snapshot())::text::bigint, {VersionSql.CurrentXid}");
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        await reader.ReadAsync(cancellationToken);
        OwnTransactions.Note((uint)reader.GetInt64(2), generation);
        return new LogMarker(reader.GetFieldValue<NpgsqlLogSequenceNumber>(0), (uint)reader.GetInt64(1));
    });

    public async ValueTask PublishAsync(IReadOnlyList<Change> changes, CancellationToken cancellationToken)
    {
        // Only the changes count: the rest the log says.
        var part = new ChangeTransaction { Origin = _options.Node, Position = new(1), Stamp = CommitTimestamp.Unknown, Dependencies = DependencyVector.Empty, Changes = changes };
        await ExecuteAsync("publishing which versions were replaced", [SqlParameters.Command($"SELECT pg_logical_emit_message(true, '{PostgresNames.PublishedPrefix}', $1)", SqlParameters.Bytes(Transport.StoredTransaction.Encode(part)))], cancellationToken);
    }

    public ValueTask<IReadOnlyList<uint>> ReadUnfinishedAsync(CancellationToken cancellationToken) => RunAsync<IReadOnlyList<uint>>("reading which transactions are under way", async () =>
    {
        await using var command = _dataSource.CreateCommand("SELECT pg_snapshot_xip(pg_current_snapshot())::text::bigint");
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        var ids = new List<uint>();
        while (await reader.ReadAsync(cancellationToken)) ids.Add((uint)reader.GetInt64(0));
        return ids;
    });

    public ValueTask<NewTables> PublishNewTablesAsync(CancellationToken cancellationToken) => RunAsync("looking for new tables", () => _newTables.PublishAllAsync(cancellationToken));

    public async ValueTask<IApplySession> OpenApplySessionAsync(NodeName origin, CancellationToken cancellationToken)
    {
        await _newTables.PublishNotedAsync(cancellationToken);
        return await PostgresApplySession.OpenAsync(_options, origin, _rewritten, OwnTransactions, _newTables, _lease, cancellationToken);
    }

    public async IAsyncEnumerable<StoredRow?> ReadRowsAsync(IReadOnlyList<RowToFetch> rows, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        // A peer whose question met a table that had been rewritten asks again.
        await _rewritten.RestoreNotedAsync(cancellationToken);
        await using var reader = await RunAsync("opening a session that reads rows for a peer", () => RowReader.OpenAsync(_options, _rewritten, cancellationToken));
        foreach (var row in rows) yield return await RunAsync($"reading a row of {row.Table} for a peer", () => reader.ReadAsync(row, cancellationToken));
    }

    public async ValueTask CollectAsync(DependencyVector stable, uint horizon, CancellationToken cancellationToken)
    {
        const string Doing = "collecting what is stable";
        await ExecuteAsync(Doing,
            [.. LoserTable.Collect(), .. TombstoneTable.Collect(stable), TombstoneTable.Unpack(s_oldBlock), OverrideTable.Collect(stable, horizon), SiblingTable.Collect(stable, horizon), RewrittenTables.Collect()],
            cancellationToken, isLong: true);
        NpgsqlBatchCommand rows;
        do
        {
            rows = TombstoneTable.CollectRows(stable);
            await ExecuteAsync(Doing, [.. LoserTable.Collect(), rows], cancellationToken, isLong: true);
        }
        while (rows.RecordsAffected == TombstoneTable.MostCollected);
    }

    public ValueTask<IReadOnlyList<QuarantinedTransaction>> ReadQuarantineAsync(NodeName? origin, CancellationToken cancellationToken) =>
        RunAsync<IReadOnlyList<QuarantinedTransaction>>("reading the quarantine", async () =>
        {
            await using var batch = _dataSource.CreateBatch();
            batch.BatchCommands.Add(QuarantineTable.Read(origin));
            await using var reader = await batch.ExecuteReaderAsync(cancellationToken);
            var entries = new List<QuarantinedTransaction>();
            while (await reader.ReadAsync(cancellationToken)) entries.Add(QuarantineTable.ReadEntry(reader));
            return entries;
        });

    public ValueTask<ReadOnlyMemory<byte>?> ReadQuarantinedPartAsync(QuarantinedTransaction transaction, int part, CancellationToken cancellationToken) =>
        RunAsync<ReadOnlyMemory<byte>?>($"reading part {part} of transaction {transaction.Origin} {transaction.Position} in quarantine", async () =>
        {
            await using var batch = _dataSource.CreateBatch();
            batch.BatchCommands.Add(QuarantineTable.ReadPart(transaction.Origin, transaction.Position, part));
            await using var reader = await batch.ExecuteReaderAsync(cancellationToken);
            return await reader.ReadAsync(cancellationToken) ? reader.GetFieldValue<byte[]>(0) : default(ReadOnlyMemory<byte>?);
        });

    public ValueTask NoteRefusalAsync(QuarantinedTransaction transaction, string code, string reason, CancellationToken cancellationToken) => ExecuteAsync(
        $"noting that transaction {transaction.Origin} {transaction.Position} in quarantine was refused again",
        [QuarantineTable.NoteRefusal(transaction.Id, code, reason)], cancellationToken);

    public ValueTask<IReadOnlyList<TableName>> ReadTablesWithLosersAsync(CancellationToken cancellationToken) => RunAsync<IReadOnlyList<TableName>>("reading which tables have losers of unique values", async () =>
    {
        await using var command = _dataSource.CreateCommand(LoserTable.TablesSql);
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        var tables = new List<TableName>();
        while (await reader.ReadAsync(cancellationToken)) tables.Add(TableName.Parse(reader.GetString(0)));
        return tables;
    });

    public ValueTask<IReadOnlyList<HiddenRow>> ReadLosersAsync(TableName? table, int limit, CancellationToken cancellationToken) => RunAsync<IReadOnlyList<HiddenRow>>("reading the losers of unique values", async () =>
    {
        await using var batch = _dataSource.CreateBatch();
        batch.BatchCommands.Add(LoserTable.Read(table, limit));
        await using var reader = await batch.ExecuteReaderAsync(cancellationToken);
        var rows = new List<HiddenRow>();
        while (await reader.ReadAsync(cancellationToken)) rows.Add(LoserTable.ReadEntry(reader));
        return rows;
    });

    public ValueTask<IReadOnlyList<UniqueKey>> ReadUniqueKeysAsync(CancellationToken cancellationToken) =>
        RunAsync("reading the unique keys of tables", () => UniqueKeyCatalog.ReadAsync(_dataSource, _options.Tables, cancellationToken));

    public async IAsyncEnumerable<ConflictRecord> ReadConflictsAsync(
        ConflictQuery query, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        const string doing = "reading the conflict history";
        await using var batch = _dataSource.CreateBatch();
        batch.BatchCommands.Add(ConflictHistoryTable.Read(query));
        await using var reader = await RunAsync(doing, async () => await batch.ExecuteReaderAsync(cancellationToken));
        while (await RunAsync(doing, async () => await reader.ReadAsync(cancellationToken))) yield return ConflictHistoryTable.ReadRecord(reader);
    }

    public async ValueTask<IOrphanSession> OpenOrphanSessionAsync(TimeSpan statementTimeout, CancellationToken cancellationToken) =>
        await PostgresOrphanSession.OpenAsync(_options, _dataSource, statementTimeout, cancellationToken);

    public ValueTask<long> DeleteConflictsAsync(DateTimeOffset before, CancellationToken cancellationToken) => RunAsync("deleting old conflicts", async () =>
    {
        await using var batch = _dataSource.CreateBatch();
        batch.Timeout = 0;
        batch.BatchCommands.Add(ConflictHistoryTable.DeleteBefore(before));
        return (long)await batch.ExecuteNonQueryAsync(cancellationToken);
    });

    public ValueTask DisposeAsync()
    {
        _rewritten.Dispose();
        _newTables.Dispose();
        return _dataSource.DisposeAsync();
    }

    // Without an explicit transaction a batch is one transaction; the connection's synchronous_commit makes it durable.
    private async ValueTask ExecuteAsync(string doing, IReadOnlyList<NpgsqlBatchCommand> commands, CancellationToken cancellationToken, bool isLong = false) =>
        await RunAsync(doing, async () =>
        {
            await using var batch = _dataSource.CreateBatch();
            // Else Npgsql gives up after 30 s, which ends a wait for a lock of apply's that waits in turn.
            if (isLong) batch.Timeout = 0;
            foreach (var command in commands) batch.BatchCommands.Add(command);
            batch.BatchCommands.Add(new NpgsqlBatchCommand("SELECT pg_current_xact_id_if_assigned()::xid::text::bigint AS own_xid"));
            var generation = OwnTransactions.Generation;
            await using var reader = await batch.ExecuteReaderAsync(cancellationToken);
            do
            {
                if (reader.FieldCount == 1 && reader.GetName(0) == "own_xid" && await reader.ReadAsync(cancellationToken) && !reader.IsDBNull(0)) OwnTransactions.Note((uint)reader.GetInt64(0), generation);
            }
            while (await reader.NextResultAsync(cancellationToken));

            return true;
        });

    private static async ValueTask<T> RunAsync<T>(string doing, Func<ValueTask<T>> work)
    {
        try
        {
            return await work();
        }
        catch (Exception e) when (e is not (OperationCanceledException or ReplicationException))
        {
            throw PostgresErrors.Translate(e, doing);
        }
    }
}
