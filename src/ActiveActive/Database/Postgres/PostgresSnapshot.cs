using System.Buffers;
using System.Runtime.CompilerServices;
using ActiveActive.Changes;
using ActiveActive.Database.Postgres.SetUp;
using Npgsql;
using Npgsql.Replication;
using Npgsql.Replication.PgOutput;
using NpgsqlTypes;

namespace ActiveActive.Database.Postgres;

/// <summary>
/// The tables as a temporary replication slot showed them when it was made
/// (<see href="https://www.postgresql.org/docs/current/protocol-replication.html#PROTOCOL-REPLICATION-CREATE-REPLICATION-SLOT">EXPORT_SNAPSHOT</see>). One transaction holds it, and each reader
/// takes it over; the slot itself goes at once, so that it holds back no log.
/// </summary>
internal sealed class PostgresSnapshot : IDataSnapshot
{
    private const int BytesPerChunk = 128 << 10;

    // Until a transaction whose commit record is written has ended for everybody.
    private static readonly TimeSpan s_retry = TimeSpan.FromMilliseconds(5);

    private readonly PostgresDatabaseOptions _options;
    private readonly RewrittenTables _rewritten;
    private readonly NpgsqlDataSource _source;
    private readonly NpgsqlConnection _holder;
    private readonly string _name;
    private readonly OriginNodes _origins;
    private readonly LocalTableCatalog _catalog;
    private readonly IReadOnlyList<SnapshotTable> _tables;

    private PostgresSnapshot(
        PostgresDatabaseOptions options, RewrittenTables rewritten, NpgsqlDataSource source, NpgsqlConnection holder, NpgsqlLogSequenceNumber position, string name, OriginNodes origins,
        LocalTableCatalog catalog, IReadOnlyList<SnapshotTable> tables)
    {
        _options = options;
        _rewritten = rewritten;
        _source = source;
        _holder = holder;
        Position = position;
        _name = name;
        _origins = origins;
        _catalog = catalog;
        _tables = tables;
    }

    public NpgsqlLogSequenceNumber Position { get; }

    public static async ValueTask<PostgresSnapshot> OpenAsync(PostgresDatabaseOptions options, RewrittenTables rewritten, CancellationToken cancellationToken)
    {
        var source = PostgresConnections.ForSnapshot(options.ConnectionString);
        var holder = source.CreateConnection();
        try
        {
            await holder.OpenAsync(cancellationToken);
            await rewritten.LoadAsync(holder, cancellationToken);
            var databaseOid = await ScalarAsync<uint>(holder, "SELECT oid FROM pg_database WHERE datname = current_database()", cancellationToken);
            var position = await TakeAsync(options, source, holder, databaseOid, cancellationToken);
            var name = await ScalarAsync<string>(holder, "SELECT pg_export_snapshot()", cancellationToken);
            // Not over the holder: its locks (pg_partition_tree keeps some) would keep the application from TRUNCATE and DDL for as long as the copy lasts.
            await using var reader = await source.OpenConnectionAsync(cancellationToken);
            await BeginAsync(reader, name, cancellationToken);
            var origins = new OriginNodes(options.Node, databaseOid);
            await origins.LoadAsync(reader, cancellationToken);
            var catalog = new LocalTableCatalog(options.Tables);
            var tables = await ReadTablesAsync(reader, options.Tables, catalog, cancellationToken);
            return new PostgresSnapshot(options, rewritten, source, holder, position, name, origins, catalog, tables);
        }
        catch (Exception e)
        {
            await holder.DisposeAsync();
            await source.DisposeAsync();
            if (e is OperationCanceledException or ReplicationException) throw;
            throw Fault(e, "taking a snapshot of the tables for a node that joins");
        }
    }

    public ValueTask<IReadOnlyList<SnapshotTable>> ReadTablesAsync(CancellationToken cancellationToken) => new(_tables);

    public async IAsyncEnumerable<ReadOnlyMemory<byte>> ReadRowsAsync(SnapshotTable table, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var doing = $"copying the rows of {table.Table.Name} for a node that joins";
        await using var connection = await RunAsync(doing, () => OpenReaderAsync(table.Table, cancellationToken));
        var columns = string.Join(", ", table.Table.Columns.Select(static c => PostgresNames.Quote(c.Name)));
        var target = _catalog.StatementsOf(table.Table).IsPartitioned ? $"(SELECT {columns} FROM {PostgresNames.Quote(table.Table.Name)})" : $"{PostgresNames.Quote(table.Table.Name)} ({columns})";
        // The bytes are UTF-8 already and go past the reader's decoder.
        var text = await RunAsync(doing, async () => (StreamReader)await connection.BeginTextExportAsync($"COPY {target} TO STDOUT", cancellationToken));
        var chunk = ArrayPool<byte>.Shared.Rent(BytesPerChunk);
        var isAtEnd = false;
        try
        {
            while (!isAtEnd)
            {
                // Row by row, as they come.
                var length = await RunAsync(doing, () => text.BaseStream.ReadAtLeastAsync(chunk, chunk.Length, throwOnEndOfStream: false, cancellationToken));
                isAtEnd = length < chunk.Length;
                if (length > 0) yield return chunk.AsMemory(0, length);
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(chunk);
            // Else the rest of the table would be read when the connection is closed.
            if (!isAtEnd) await CancelAsync(text);
            await text.BaseStream.DisposeAsync();
        }
    }

    public async IAsyncEnumerable<SnapshotKey> ReadKeysAsync(SnapshotTable table, uint oldest, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var doing = $"reading the versions of {table.Table.Name} for a node that joins";
        await using var connection = await RunAsync(doing, () => OpenReaderAsync(table.Table, cancellationToken));
        await using var command = SnapshotKeys.Command(connection, table.Table, _catalog.StatementsOf(table.Table), oldest);
        await using var reader = await RunAsync(doing, async () => await command.ExecuteReaderAsync(cancellationToken));
        await using var keys = new SnapshotKeys(reader, table.Table, _options.Node, _origins, _rewritten).ReadAsync(cancellationToken).GetAsyncEnumerator(cancellationToken);
        while (await RunAsync(doing, keys.MoveNextAsync)) yield return keys.Current;
    }

    public async IAsyncEnumerable<Tombstone> ReadTombstonesAsync(SnapshotTable table, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var doing = $"reading the deletes in {table.Table.Name} for a node that joins";
        await using var connection = await RunAsync(doing, () => _source.OpenConnectionAsync(cancellationToken));
        await using var command = new NpgsqlCommand(TombstoneTable.ReadAllSql, connection) { AllResultTypesAreUnknown = true };
        var name = SqlParameters.TypedText(table.Table.Name.ToString());
        name.ParameterName = "table";
        command.Parameters.Add(name);
        // One snapshot for both: entries move from blocks to rows.
        await RunAsync(doing, () => ExecuteAsync(connection, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", cancellationToken));
        await using var reader = await RunAsync(doing, async () => await command.ExecuteReaderAsync(cancellationToken));
        do
        {
            while (await RunAsync(doing, async () => await reader.ReadAsync(cancellationToken))) yield return new Tombstone(table.Table.Name, reader.GetString(0), TombstoneTable.ReadVersion(reader, 1));
        }
        while (await RunAsync(doing, async () => await reader.NextResultAsync(cancellationToken)));
    }

    public async ValueTask DisposeAsync()
    {
        await _holder.DisposeAsync();
        await _source.DisposeAsync();
    }

    /// <summary>Gives the holder the snapshot of a new slot. Returns where the slot begins.</summary>
    private static async ValueTask<NpgsqlLogSequenceNumber> TakeAsync(
        PostgresDatabaseOptions options, NpgsqlDataSource source, NpgsqlConnection holder, uint databaseOid, CancellationToken cancellationToken)
    {
        var slotName = PostgresNames.SnapshotSlot(databaseOid);
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(SlotSetUp.Limit);
        await using var replication = new LogicalReplicationConnection(PostgresConnections.ForSnapshotSlot(options.ConnectionString));
        try
        {
            await replication.Open(limit.Token);
            var slot = await replication.CreatePgOutputReplicationSlot(slotName, temporarySlot: true, slotSnapshotInitMode: LogicalSlotSnapshotInitMode.Export, cancellationToken: limit.Token);
            // BEFORE the connection's next command, with which the slot's own is over.
            await BeginAsync(holder, slot.SnapshotName!, limit.Token);
            await WaitUntilShownAsync(source, holder, limit.Token);
            return slot.ConsistentPoint;
        }
        catch (OperationCanceledException e) when (!cancellationToken.IsCancellationRequested)
        {
            throw SlotSetUp.TookTooLong(slotName, e);
        }
        catch (PostgresException e) when (e.SqlState is PostgresErrorCodes.ConfigurationLimitExceeded or PostgresErrorCodes.TooManyConnections)
        {
            throw PostgresErrors.Refusal(ReplicationErrorKind.Transient, e,
                "making the temporary replication slot for a node that joins, which needs one more slot and WAL sender for a moment (max_replication_slots, max_wal_senders)");
        }
    }

    /// <summary>
    /// A slot's snapshot counts a transaction as committed from its commit record on. The server marks it as committed a moment later, and until then a reader would take its rows for those of one
    /// that was aborted.
    /// </summary>
    private static async ValueTask WaitUntilShownAsync(NpgsqlDataSource source, NpgsqlConnection holder, CancellationToken cancellationToken)
    {
        await using var connection = await source.OpenConnectionAsync(cancellationToken);
        while (true)
        {
            var unfinished = await ScalarAsync<string>(connection, "SELECT ARRAY(SELECT pg_snapshot_xip(pg_current_snapshot()))::text", cancellationToken);
            await using var look = new NpgsqlCommand("SELECT EXISTS (SELECT FROM unnest($1::text::xid8[]) AS u(xid) WHERE pg_visible_in_snapshot(xid, pg_current_snapshot()))", holder);
            look.Parameters.Add(SqlParameters.TypedText(unfinished));
            if (await look.ExecuteScalarAsync(cancellationToken) is false) return;
            await Task.Delay(s_retry, cancellationToken);
        }
    }

    private static async ValueTask<IReadOnlyList<SnapshotTable>> ReadTablesAsync(NpgsqlConnection connection, ReplicatedTables rules, LocalTableCatalog catalog, CancellationToken cancellationToken)
    {
        var tables = new List<SnapshotTable>();
        foreach (var parts in (await ReplicatedRelation.ReadAllAsync(connection, rules, cancellationToken)).GroupBy(static r => r.Root))
        {
            if (await catalog.FindAsync(new Relation(parts.Key, parts.Key, []), connection, cancellationToken) is not { } table) continue;
            tables.Add(new SnapshotTable(table, parts.Where(static p => p.HasRows).Sum(static p => p.Rows), parts.Sum(static p => p.Bytes)));
        }

        return [.. tables.OrderByDescending(static t => t.Bytes).ThenBy(static t => t.Table.Name)];
    }

    /// <summary>A connection whose transaction has the snapshot, and a lock on the table that keeps it as it is.</summary>
    private async ValueTask<NpgsqlConnection> OpenReaderAsync(LocalTable table, CancellationToken cancellationToken)
    {
        var connection = await _source.OpenConnectionAsync(cancellationToken);
        try
        {
            await BeginAsync(connection, _name, cancellationToken);
            await ExecuteAsync(connection, $"LOCK TABLE {(_catalog.StatementsOf(table).IsPartitioned ? "" : "ONLY ")}{PostgresNames.Quote(table.Name)} IN ACCESS SHARE MODE", cancellationToken);
            var parts = (await ReplicatedRelation.ReadAllAsync(connection, _options.Tables, cancellationToken)).Where(r => r.Root == table.Name && r.HasRows).ToList();
            // A rewritten table has no rows that an older snapshot sees (https://www.postgresql.org/docs/current/mvcc-caveats.html).
            if (parts.Find(static p => p.File != p.FileShown) is { } changed)
            {
                throw new ReplicationException(ReplicationErrorKind.Transient,
                    $"Table {changed.Name} was rewritten or truncated while a node that joins was to copy it (ALTER TABLE, VACUUM FULL, CLUSTER, TRUNCATE): the snapshot does not show its rows any more. The join begins anew.");
            }

            // What these rows show is not what was written.
            if (parts.Exists(p => !_rewritten.IsKnown(p.Oid, p.File))) throw _rewritten.Note(table.Name);
            return connection;
        }
        catch
        {
            await connection.DisposeAsync();
            throw;
        }
    }

    private static async ValueTask BeginAsync(NpgsqlConnection connection, string snapshot, CancellationToken cancellationToken)
    {
        // A limit that PostgreSQL 15 and 16 do not know.
        if (connection.PostgreSqlVersion.Major >= 17) await ExecuteAsync(connection, "SET transaction_timeout = 0", cancellationToken);
        await ExecuteAsync(connection, $"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT '{snapshot}'", cancellationToken);
    }

    private static async ValueTask CancelAsync(StreamReader text)
    {
        try
        {
            await ((NpgsqlCopyTextReader)text).CancelAsync();
        }
        catch (Exception e) when (e is NpgsqlException or IOException or OperationCanceledException)
        {
            // It ends with its connection.
        }
    }

    private static async ValueTask<int> ExecuteAsync(NpgsqlConnection connection, string sql, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(sql, connection);
        return await command.ExecuteNonQueryAsync(cancellationToken);
    }

    private static async ValueTask<T> ScalarAsync<T>(NpgsqlConnection connection, string sql, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(sql, connection);
        return (T)(await command.ExecuteScalarAsync(cancellationToken))!;
    }

    private static async ValueTask<T> RunAsync<T>(string doing, Func<ValueTask<T>> work)
    {
        try
        {
            return await work();
        }
        catch (Exception e) when (e is not (OperationCanceledException or ReplicationException))
        {
            throw Fault(e, doing);
        }
    }

    // Nothing is applied here: what fails, fails again or passes with the next snapshot (a column that was dropped meanwhile, a holder whose connection is lost).
    private static ReplicationException Fault(Exception e, string doing) => PostgresErrors.Translate(e, doing) is var fault && fault.Kind == ReplicationErrorKind.ApplyRefused
        ? new ReplicationException(ReplicationErrorKind.Transient, fault.Message, fault.InnerException)
        : fault;
}
