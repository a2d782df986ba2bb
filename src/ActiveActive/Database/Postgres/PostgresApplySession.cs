using System.Runtime.CompilerServices;
using ActiveActive.Apply;
using ActiveActive.Changes;
using ActiveActive.Diagnostics;
using ActiveActive.Progress;
using Npgsql;
using NpgsqlTypes;

namespace ActiveActive.Database.Postgres;

/// <summary>
/// Applies one origin's transactions over one connection that holds the origin's replication origin, so that at most one session on
/// the server can. See
/// <see href="https://www.postgresql.org/docs/18/replication-origins.html">Replication Progress Tracking</see>.
/// </summary>
internal sealed partial class PostgresApplySession : IApplySession
{
    // Writers that come meanwhile wait behind it, as behind any TRUNCATE.
    private const int TableLockTimeoutMilliseconds = 1000;

    // Well below deadlock_timeout, whose default is 1 s.
    private const string GiveWaySql = "SET LOCAL lock_timeout = '200ms'";

    private const string BeginSql = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";

    private static readonly string s_appliedSql = $"SELECT pg_logical_emit_message(true, '{PostgresNames.MessagePrefix}', '')";

    private static readonly string s_clockSql = $"SELECT {VersionSql.Microseconds("clock_timestamp()")}";

    private static readonly string s_endSql = $"SELECT {VersionSql.Microseconds("clock_timestamp()")} AS server_time, {VersionSql.CurrentXid}";

    private readonly NpgsqlDataSource _source;
    private readonly NpgsqlConnection _connection;
    private readonly NodeName _origin;
    private readonly string _originName;
    private readonly OriginNodes _origins;
    private readonly OwnTransactions _own;
    private readonly LocalTableCatalog _catalog;
    private readonly RewrittenTables _rewritten;
    private readonly KeyReader _reader;
    private readonly PlanWriter _writer;
    private readonly TableTruncation _truncation;
    private bool _isBeginPending;
    private bool _givesWay;
    private bool _isInTransaction;
    private bool _arePlansStale;

    private PostgresApplySession(NpgsqlDataSource source, NpgsqlConnection connection, PostgresDatabaseOptions options, NodeName origin, string originName, OriginNodes origins, RewrittenTables rewritten, OwnTransactions own, NewTablePublisher newTables)
    {
        _source = source;
        _connection = connection;
        _origin = origin;
        _originName = originName;
        _origins = origins;
        _own = own;
        _catalog = new LocalTableCatalog(options.Tables, newTables);
        _rewritten = rewritten;
        _reader = new KeyReader(connection, _catalog, origins, rewritten);
        _truncation = new TableTruncation(connection, options.Node, origins, rewritten);
        _writer = new PlanWriter(connection, _catalog, _truncation, InterruptAsync);
    }

    public NpgsqlLogSequenceNumber AppliedPosition { get; private set; }

    public CommitTimestamp ServerTime { get; private set; } = CommitTimestamp.Unknown;

    public static async ValueTask<PostgresApplySession> OpenAsync(
        PostgresDatabaseOptions options, NodeName origin, RewrittenTables rewritten, OwnTransactions own, NewTablePublisher newTables, LeaderSession? lease, CancellationToken cancellationToken)
    {
        var source = PostgresConnections.ForApply(options.ConnectionString);
        var connection = source.CreateConnection();
        try
        {
            await connection.OpenAsync(cancellationToken);
            var databaseOid = await ReadAsync<uint>(connection, "SELECT oid FROM pg_database WHERE datname = current_database()", cancellationToken);
            var origins = new OriginNodes(options.Node, databaseOid);
            await origins.LoadAsync(connection, cancellationToken);
            await rewritten.LoadAsync(connection, cancellationToken);
            own.Renew();
            var session = new PostgresApplySession(source, connection, options, origin, PostgresNames.Origin(databaseOid, origin), origins, rewritten, own, newTables);
            await session.HoldOriginAsync(cancellationToken);
            // AFTER the session is there: either this sees that another instance may lead, or that one sees the session and ends it.
            if (lease is not null) await lease.EnsureHeldAsync(connection, cancellationToken);
            return session;
        }
        catch (Exception e)
        {
            await connection.DisposeAsync();
            await source.DisposeAsync();
            if (e is OperationCanceledException) throw;
            throw PostgresErrors.Translate(e, $"opening the session that applies {origin}");
        }
    }

    public ValueTask<CommitTimestamp> ReadServerTimeAsync(CancellationToken cancellationToken) => RunAsync("reading the server's clock", async () =>
        ServerTime = new CommitTimestamp(await ReadAsync<long>(_connection, s_clockSql, cancellationToken)));

    public ValueTask<LocalTable?> FindTableAsync(Relation relation, CancellationToken cancellationToken) =>
        RunAsync($"looking up table {relation.Root}", () => _catalog.FindAsync(relation, _connection, mayPublish: !_isInTransaction, cancellationToken));

    public void ForgetTables()
    {
        _catalog.Forget();
        _arePlansStale = true;
    }

    public ValueTask BeginAsync(CancellationToken cancellationToken)
    {
        if (_isBeginPending || _isInTransaction) throw new InvalidOperationException("The session is in a transaction already.");
        return new(RunAsync("beginning a transaction", async () =>
        {
            await _rewritten.RestoreNotedAsync(cancellationToken);
            if (_arePlansStale)
            {
                // Npgsql has it in this form only; it happens after a schema change.
                _connection.UnprepareAll();
                _arePlansStale = false;
            }

            // Sent with the first statement: a round trip less.
            _writer.Begin();
            _isBeginPending = true;
            _givesWay = false;
            _quarantines = _releases = false;
            return true;
        }).AsTask());
    }

    public ValueTask LockTableAsync(LocalTable table, CancellationToken cancellationToken)
    {
        RequireTransaction();
        return new(RunAsync($"keeping local writers out of {table.Name}", () => ExecuteAsync(_connection,
            $"{(TakeBegin() ? BeginSql + "; " : "")}SET LOCAL lock_timeout = '{TableLockTimeoutMilliseconds}ms'; LOCK TABLE {PostgresNames.Quote(table.Name)} IN SHARE ROW EXCLUSIVE MODE; SET LOCAL lock_timeout = 0",
            cancellationToken)).AsTask());
    }

    public ValueTask<IReadOnlyList<KeyState>> ReadKeysAsync(IReadOnlyList<LocalKey> keys, CancellationToken cancellationToken)
    {
        RequireTransaction();
        if (keys.Count == 0) return new([]);
        return RunAsync($"reading {keys.Count} keys for {_origin}", () =>
            _reader.ReadAsync(keys, TakeBegin() ? $"{BeginSql};\n{(_givesWay ? GiveWaySql + ";\n" : "")}" : "", cancellationToken));
    }

    public ValueTask<UniqueClashes> FindClashesAsync(LocalTable table, IReadOnlyList<ColumnValue[]> rows, CancellationToken cancellationToken)
    {
        RequireTransaction();
        if (rows.Count == 0 || _catalog.UniqueKeysOf(table).IsEmpty) return new(new UniqueClashes([], []));
        return RunAsync($"looking for rows of {table.Name} with equal unique values", () =>
            _catalog.UniqueKeysOf(table).FindAsync(rows, _connection, TakeBegin() ? BeginSql + ";\n" : "", cancellationToken));
    }

    public ValueTask<IReadOnlyList<RowKey>> ReadLosersAsync(LocalTable table, RowKey? after, int limit, CancellationToken cancellationToken)
    {
        RequireTransaction();
        return RunAsync<IReadOnlyList<RowKey>>($"reading which rows of {table.Name} lost a unique value", async () =>
        {
            await using var batch = new NpgsqlBatch(_connection);
            if (TakeBegin()) batch.BatchCommands.Add(new NpgsqlBatchCommand(BeginSql));
            batch.BatchCommands.Add(LoserTable.ReadKeys(table.Name, after, limit));
            await using var reader = await batch.ExecuteReaderAsync(cancellationToken);
            var keys = new List<RowKey>();
            while (await reader.ReadAsync(cancellationToken)) keys.Add(new RowKey(table.Name, KeyText.Read(reader.GetString(0))));
            return keys;
        });
    }

    public async IAsyncEnumerable<IReadOnlyList<LocalKey>> ReadUnseenAsync(
        LocalTable table, TableName? partition, IReadOnlyCollection<ShownVersion> unseen, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        RequireTransaction();
        if (TakeBegin()) await RunAsync("beginning a transaction", async () => { await ExecuteAsync(_connection, BeginSql, cancellationToken); return true; });
        await using var chunks = _truncation.ReadUnseenAsync(table, partition, unseen, _catalog.StatementsOf(table), cancellationToken).GetAsyncEnumerator(cancellationToken);
        while (await RunAsync($"looking for rows of {table} that a TRUNCATE of {_origin} had not seen", chunks.MoveNextAsync)) yield return chunks.Current;
    }

    public void GiveWay() => _givesWay = !Safeguards.IsOff(Safeguard.GroupsGiveWay);

    public void Group(GroupedVersions versions) => _writer.Group(versions);

    public void Prepare(ApplyPlan plan) => _writer.Prepare(plan);

    public ValueTask<bool> TryWriteSeenAsync(ApplyPlan plan, SeenRows seen, CancellationToken cancellationToken)
    {
        RequireTransaction();
        return RunAsync($"applying a transaction of {_origin} after {AppliedPosition}", () =>
            _writer.TryWriteSeenAsync(plan, new SeenGuard(seen, _origins.IdentifierOf(seen.Origin), _rewritten.KnownFiles), !TakeBegin() ? [] : _givesWay ? [new(BeginSql), new(GiveWaySql)] : [new(BeginSql)], cancellationToken));
    }

    public ValueTask<TombstoneLook> FindTombstoneAsync(IReadOnlyList<RowKey> keys, CancellationToken cancellationToken) =>
        FindTombstoneAsync($"looking for deletes of {keys.Count} keys", TombstoneTable.Exists(keys), cancellationToken);

    public ValueTask<TombstoneLook> FindTombstoneOfOwnRowAsync(LocalTable table, RowVersion except, CancellationToken cancellationToken) =>
        FindTombstoneAsync($"looking for deletes in {table.Name}", TombstoneTable.ExistsUnderOwnRow(table.Name, _catalog.StatementsOf(table), except), cancellationToken);

    private ValueTask<TombstoneLook> FindTombstoneAsync(string doing, NpgsqlBatchCommand command, CancellationToken cancellationToken)
    {
        RequireTransaction();
        return RunAsync(doing, async () =>
        {
            var generation = _own.Generation;
            await using var batch = new NpgsqlBatch(_connection);
            if (TakeBegin()) batch.BatchCommands.Add(new NpgsqlBatchCommand(BeginSql));
            batch.BatchCommands.Add(command);
            await using var reader = await batch.ExecuteReaderAsync(cancellationToken);
            await reader.ReadAsync(cancellationToken);
            if (!reader.IsDBNull(1)) _own.Note((uint)reader.GetInt64(1), generation);
            return new TombstoneLook(reader.GetBoolean(0), (uint)reader.GetInt64(2));
        });
    }

    public ValueTask ExecuteAsync(ApplyPlan plan, CancellationToken cancellationToken)
    {
        RequireTransaction();
        return new(RunAsync($"applying a transaction of {_origin} after {AppliedPosition}", async () =>
        {
            await _writer.WriteAsync(plan, TakeBegin() ? new NpgsqlBatchCommand(BeginSql) : null, cancellationToken);
            return true;
        }).AsTask());
    }

    public ValueTask KeepReceivedAsync(ChangeTransaction part, CancellationToken cancellationToken)
    {
        RequireTransaction();
        return new(RunAsync($"keeping {part}", async () =>
        {
            await _writer.KeepAsync(part, !part.IsLastPart && TakeBegin() ? new NpgsqlBatchCommand(BeginSql) : null, cancellationToken);
            return true;
        }).AsTask());
    }

    public ValueTask CommitAsync(NpgsqlLogSequenceNumber position, CommitTimestamp stamp, CancellationToken cancellationToken)
    {
        RequireTransaction();
        return new(RunAsync($"committing {_origin} {position}", async () =>
        {
            await using var batch = new NpgsqlBatch(_connection);
            if (TakeBegin()) batch.BatchCommands.Add(new NpgsqlBatchCommand(BeginSql));
            if (_quarantines || _releases) batch.BatchCommands.Add(new NpgsqlBatchCommand(_quarantines ? s_quarantinedSql : s_appliedSql));
            foreach (var command in _writer.TakeMessages()) batch.BatchCommands.Add(command);
            batch.BatchCommands.Add(new NpgsqlBatchCommand(s_endSql));
            // Last: from PostgreSQL 16 on a transaction that is aborted afterwards moves the origin's progress all the same. Without a stamp it is nobody's: the server takes its
            // own clock where it finds its epoch, and else the one of the session's last commit.
            batch.BatchCommands.Add(SqlParameters.Command("SELECT pg_replication_origin_xact_setup($1, $2)",
                SqlParameters.Text(position.ToString()), SqlParameters.Text(VersionSql.Text(stamp.IsKnown ? stamp : new CommitTimestamp(0)))));
            batch.BatchCommands.Add(new NpgsqlBatchCommand("COMMIT"));
            var time = ServerTime;
            var generation = _own.Generation;
            await using (var reader = await batch.ExecuteReaderAsync(cancellationToken))
            {
                do
                {
                    if (reader.FieldCount != 2 || reader.GetName(0) != "server_time") continue;
                    await reader.ReadAsync(cancellationToken);
                    _own.Note((uint)reader.GetInt64(1), generation);
                    time = new CommitTimestamp(reader.GetInt64(0));
                }
                while (await reader.NextResultAsync(cancellationToken));
            }

            _isInTransaction = false;
            if (position > AppliedPosition) AppliedPosition = position;
            ServerTime = time;
            return true;
        }).AsTask());
    }

    public async ValueTask<bool> RollbackAsync(CancellationToken cancellationToken)
    {
        var isOpen = _isInTransaction;
        _isBeginPending = _isInTransaction = false;
        // Also where it was asked before: what was under way when the connection was lost may still commit.
        if (_connection.State != System.Data.ConnectionState.Open) return false;
        if (!isOpen) return true;
        try
        {
            await ExecuteAsync(_connection, "ROLLBACK", cancellationToken);
            return true;
        }
        catch (Exception e) when (e is NpgsqlException or IOException)
        {
            // Not thrown: it would hide the fault for which the transaction is rolled back. The session says so when it is used next.
            await _connection.CloseAsync();
            return false;
        }
    }

    public ValueTask SetBackAsync(NpgsqlLogSequenceNumber position, CancellationToken cancellationToken) => new(RunAsync($"setting the progress of {_origin} back to {position}", async () =>
    {
        // Nobody may hold an origin that is set back.
        await ExecuteAsync(_connection, "SELECT pg_replication_origin_session_reset()", cancellationToken);
        await using (var command = new NpgsqlCommand("SELECT pg_replication_origin_advance($1, $2)", _connection))
        {
            command.Parameters.Add(SqlParameters.Text(_originName));
            command.Parameters.Add(SqlParameters.Text(position.ToString()));
            await command.ExecuteNonQueryAsync(cancellationToken);
        }

        await HoldOriginAsync(cancellationToken);
        return AppliedPosition == position ? true : throw new ReplicationException(ReplicationErrorKind.Transient,
            $"Replication origin {_originName} was set back to {position} and stands at {AppliedPosition}: another session moved it.");
    }).AsTask());

    public ValueTask<NpgsqlLogSequenceNumber> FlushAsync(CancellationToken cancellationToken) => RunAsync($"flushing what was applied of {_origin}", async () =>
    {
        var applied = AppliedPosition;
        await ReadProgressAsync(flush: true, cancellationToken);
        return applied;
    });

    public async ValueTask DisposeAsync()
    {
        try
        {
            // The server frees the origin when it notices the closed connection, which is later than the next session's attempt.
            if (_connection.State == System.Data.ConnectionState.Open)
            {
                await RollbackAsync(CancellationToken.None);
                await ExecuteAsync(_connection, "SELECT pg_replication_origin_session_reset()", CancellationToken.None);
            }
        }
        catch (Exception e) when (e is NpgsqlException or ReplicationException or IOException)
        {
            // The connection is gone, and with it the origin's session.
        }

        await _connection.DisposeAsync();
        await _source.DisposeAsync();
    }

    private async ValueTask HoldOriginAsync(CancellationToken cancellationToken)
    {
        await using (var command = new NpgsqlCommand("SELECT pg_replication_origin_session_setup($1)", _connection))
        {
            command.Parameters.Add(SqlParameters.Text(_originName));
            try
            {
                await command.ExecuteNonQueryAsync(cancellationToken);
            }
            catch (PostgresException e) when (e.SqlState == PostgresErrorCodes.ObjectInUse)
            {
                // PostgreSQL's text names the process that holds it.
                throw PostgresErrors.Translate(e, $"taking replication origin {_originName}, which one session at a time may hold to apply {_origin}");
            }
            catch (PostgresException e) when (e.SqlState == PostgresErrorCodes.UndefinedObject)
            {
                throw PostgresErrors.Refusal(ReplicationErrorKind.Misconfigured, e, $"taking replication origin {_originName}, which set-up creates");
            }
            catch (PostgresException e) when (e.SqlState == PostgresErrorCodes.ConfigurationLimitExceeded)
            {
                var setting = _connection.PostgreSqlVersion.Major >= 18 ? "max_active_replication_origins" : "max_replication_slots";
                throw PostgresErrors.Refusal(ReplicationErrorKind.Misconfigured, e,
                    $"taking replication origin {_originName}, for which the server has no room (raise {setting}: one for each peer of each database)");
            }
        }

        // A limit that PostgreSQL 15 and 16 do not know; set here because an unknown start-up setting refuses the connection.
        if (_connection.PostgreSqlVersion.Major >= 17) await ExecuteAsync(_connection, "SET transaction_timeout = 0", cancellationToken);
        AppliedPosition = await ReadProgressAsync(flush: false, cancellationToken);
        ServerTime = new CommitTimestamp(await ReadAsync<long>(_connection, s_clockSql, cancellationToken));
    }

    private async ValueTask<NpgsqlLogSequenceNumber> ReadProgressAsync(bool flush, CancellationToken cancellationToken) =>
        await ReadAsync<NpgsqlLogSequenceNumber>(_connection,
            $"SELECT COALESCE(pg_replication_origin_session_progress({(flush ? "true" : "false")}), '0/0')", cancellationToken);

    private async Task InterruptAsync()
    {
        try
        {
            var process = _connection.ProcessID;
            await using var connection = await _source.OpenConnectionAsync();
            await ExecuteAsync(connection, $"SELECT pg_cancel_backend({process})", CancellationToken.None);
        }
        catch (Exception e) when (e is NpgsqlException or IOException or ObjectDisposedException or InvalidOperationException)
        {
            // It ends by itself, or with its connection.
        }
    }

    private bool TakeBegin()
    {
        if (!_isBeginPending) return false;
        _isBeginPending = false;
        return _isInTransaction = true;
    }

    private void RequireTransaction()
    {
        if (!_isBeginPending && !_isInTransaction) throw new InvalidOperationException("The session is in no transaction.");
    }

    private async ValueTask<T> RunAsync<T>(string doing, Func<ValueTask<T>> work)
    {
        if (_connection.State != System.Data.ConnectionState.Open)
        {
            throw new ReplicationException(ReplicationErrorKind.Transient,
                $"While {doing}: the connection of the session that applies {_origin} is lost. Open a new session.");
        }

        try
        {
            return await work();
        }
        catch (Exception e) when (e is PostgresException or ReplicationException { InnerException: PostgresException })
        {
            var postgres = e as PostgresException ?? (PostgresException)e.InnerException!;
            if (PostgresErrors.MayFollowSchemaChange(postgres.SqlState)) ForgetTables();
            throw PostgresErrors.Translate(e, doing);
        }
        catch (Exception e) when (e is NpgsqlException or TimeoutException or System.Net.Sockets.SocketException or IOException)
        {
            throw PostgresErrors.Translate(e, doing);
        }
    }

    private static async ValueTask<T> ReadAsync<T>(NpgsqlConnection connection, string sql, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(sql, connection);
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        await reader.ReadAsync(cancellationToken);
        return reader.GetFieldValue<T>(0);
    }

    private static async ValueTask<int> ExecuteAsync(NpgsqlConnection connection, string sql, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(sql, connection);
        return await command.ExecuteNonQueryAsync(cancellationToken);
    }
}
