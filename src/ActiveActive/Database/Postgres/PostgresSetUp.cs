using ActiveActive.Database.Postgres.SetUp;
using Npgsql;
using Npgsql.Replication;

namespace ActiveActive.Database.Postgres;

/// <summary>
/// Makes a database a node: reads everything first, refuses with all problems at once, then creates what is missing. Works as a role
/// that is no superuser (docs/setup-role.sql). One run at a time in a database; a run that has nothing to do writes nothing.
/// </summary>
internal sealed class PostgresSetUp
{
    // Advisory locks are per database; any constant that nobody else uses will do ("ActiveAc" in ASCII).
    private const long LockKey = 0x4163_7469_7665_4163;

    /// <summary>
    /// First in each transaction of set-up: synchronous replication may name this node's own capture, which does not run yet, and
    /// waiting for it would never end. Flushed to disk it is.
    /// </summary>
    public const string CommitLocally = "SET LOCAL synchronous_commit = local";

    private readonly PostgresDatabaseOptions _options;
    private readonly NpgsqlDataSource _dataSource;

    public PostgresSetUp(PostgresDatabaseOptions options, NpgsqlDataSource dataSource)
    {
        _options = options;
        _dataSource = dataSource;
    }

    /// <summary>Checks, creates what is missing, and says which database this is.</summary>
    /// <param name="isJoining">Whether a node that was never set up gets its slot later.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <exception cref="SetUpException">All problems; nothing was changed.</exception>
    /// <exception cref="ReplicationException">
    /// Transient: not reachable, or a lock was not granted in time. AccessDenied: wrong password, role or database. InUse: another
    /// session reads the slot, or is setting up.
    /// </exception>
    public ValueTask<DatabaseIdentity> RunAsync(bool isJoining, CancellationToken cancellationToken) =>
        RunAloneAsync((connection, stop) => RunLockedAsync(connection, isJoining, stop), $"setting up node {_options.Node}", cancellationToken);

    /// <summary>Checks, and changes nothing. The node may run meanwhile.</summary>
    /// <param name="cancellationToken">Gives up.</param>
    /// <returns>All problems.</returns>
    public async ValueTask<IReadOnlyList<SetUpProblem>> CheckAsync(CancellationToken cancellationToken)
    {
        await using var connection = await OpenAsync(cancellationToken);
        try
        {
            var version = await ServerCatalog.ReadVersionAsync(connection, cancellationToken);
            return version < ServerCheck.OldestVersion ? [ServerCheck.TooOld(version)] : SetUpCheck.Find(await ReadFactsAsync(connection, cancellationToken));
        }
        catch (Exception e) when (e is NpgsqlException or TimeoutException or IOException)
        {
            throw PostgresErrors.Translate(e, $"checking the database of node {_options.Node}");
        }
    }

    /// <summary>Publishes the tables that the rules match and that are not published yet, while the node runs.</summary>
    /// <param name="only">The one to publish; null for all.</param>
    /// <param name="added">Told of each, once it is published.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <returns>Why some can't be published, and which are busy.</returns>
    public ValueTask<(string? Unfit, string? Busy)> PublishNewTablesAsync(TableName? only, Action<NewTable> added, CancellationToken cancellationToken) =>
        RunAloneAsync((connection, stop) => PublishLockedAsync(connection, only, added, stop), $"setting up node {_options.Node}", cancellationToken);

    /// <summary>Runs something that no other set-up or join of this database may overlap.</summary>
    /// <param name="run">What to do, on a connection of the pool.</param>
    /// <param name="doing">Ends the sentence "While …".</param>
    /// <param name="cancellationToken">Ends it.</param>
    public async ValueTask<T> RunAloneAsync<T>(Func<NpgsqlConnection, CancellationToken, Task<T>> run, string doing, CancellationToken cancellationToken)
    {
        await using var connection = await OpenAsync(cancellationToken);
        try
        {
            var version = await ServerCatalog.ReadVersionAsync(connection, cancellationToken);
            if (version < ServerCheck.OldestVersion) throw new SetUpException(_options.Node.Value, [ServerCheck.TooOld(version)]);
            await LockAsync(connection, cancellationToken);
            try
            {
                return await run(connection, cancellationToken);
            }
            finally
            {
                await UnlockAsync(connection);
            }
        }
        catch (Exception e) when (e is NpgsqlException or TimeoutException or IOException)
        {
            var fault = PostgresErrors.Translate(e, doing);
            // A statement that the server refuses for good has nothing to do with a peer's changes here.
            throw fault.Kind is ReplicationErrorKind.ApplyRefused ? new ReplicationException(ReplicationErrorKind.Misconfigured, fault.Message, e) : fault;
        }
    }

    private async Task<DatabaseIdentity> RunLockedAsync(NpgsqlConnection connection, bool isJoining, CancellationToken cancellationToken)
    {
        var facts = await ReadFactsAsync(connection, cancellationToken);
        var problems = SetUpCheck.Find(facts);
        if (problems.Count > 0) throw new SetUpException(_options.Node.Value, problems);
        if (facts.Node.Slot is { ActivePid: { } pid } slot)
        {
            throw new ReplicationException(ReplicationErrorKind.InUse,
                $"Replication slot {slot.Name} of node {_options.Node} is read by process {pid}: another instance of the application leads, or its connection has not ended yet.");
        }

        var incarnation = await CreateMissingAsync(connection, facts, cancellationToken);
        if (await IsResyncingAsync(connection, cancellationToken)) return Identity();
        if (facts.Node.Checkpoint is null && !isJoining) await SlotSetUp.CreateAsync(connection, facts, cancellationToken);
        // What the end of a join could not remove for others' locks, or a join that was given up has left.
        if (facts.Node.Checkpoint is not null || !isJoining) await JoinGuard.RemoveAsync(connection, cancellationToken);
        return Identity();

        DatabaseIdentity Identity() => new(facts.Server.SystemIdentifier, facts.Server.Timeline, facts.Server.DatabaseOid, incarnation, facts.Server.Version);
    }

    /// <summary>Whether the node has begun to take another one's data in place of its own: its slot and the guard stay as they are.</summary>
    private static async Task<bool> IsResyncingAsync(NpgsqlConnection connection, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand("SELECT EXISTS (SELECT FROM active_active.joining WHERE donor IS NOT NULL)", connection);
        return (bool)(await command.ExecuteScalarAsync(cancellationToken))!;
    }

    /// <summary>The tables that the rules match and that are not published; one query.</summary>
    public async ValueTask<IReadOnlyList<TableName>> FindUnpublishedAsync(CancellationToken cancellationToken)
    {
        await using var command = _dataSource.CreateCommand(TableCatalog.UnpublishedSql);
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        var found = new List<TableName>();
        while (await reader.ReadAsync(cancellationToken)) found.Add(new TableName(reader.GetString(0), reader.GetString(1)));
        return [.. found.Where(_options.Tables.Contains).Order()];
    }

    private async Task<(string? Unfit, string? Busy)> PublishLockedAsync(NpgsqlConnection connection, TableName? only, Action<NewTable> added, CancellationToken cancellationToken)
    {
        // Reading defaults locks their tables, and whoever writes to a table stands behind the wait for its lock. The pool puts this back.
        await ExecuteAsync(connection, "SET lock_timeout = '500ms'", cancellationToken);
        var (unfit, busy) = (new List<SetUpProblem>(), new List<TableName>());
        var tried = new HashSet<TableName>();
        while (true)
        {
            // Anew for each: the transaction before changed what it is to be compared with.
            var facts = await ReadFactsAsync(connection, cancellationToken, isRunning: true);
            var published = facts.Tables.Where(table => !SetUpPlan.IsToBeAdded(facts, table)).ToList();
            if (facts.Tables.Except(published).FirstOrDefault(table => (only is null || table.Name == only) && tried.Add(table.Name)) is not { } next) break;
            // One that can't be replicated keeps no other one out, and neither does one that is busy.
            var alone = facts with { Tables = [.. published, next] };
            var problems = SetUpCheck.Find(alone).Except(SetUpCheck.Find(facts with { Tables = published })).ToList();
            unfit.AddRange(problems);
            if (problems.Count > 0) continue;
            try
            {
                await CreateMissingAsync(connection, alone, cancellationToken, lockTimeout: "500ms");
            }
            catch (PostgresException e) when (e.SqlState == PostgresErrorCodes.LockNotAvailable)
            {
                busy.Add(next.Name);
                continue;
            }

            await using var look = new NpgsqlCommand($"SELECT EXISTS (SELECT FROM {PostgresNames.Quote(next.Name)})", connection);
            added(new NewTable(next.Name, await look.ExecuteScalarAsync(cancellationToken) is true));
        }

        return (unfit.Count == 0 ? null : new SetUpException(_options.Node.Value, unfit).Message, busy.Count == 0 ? null : $"Others write to {string.Join(", ", busy)} all the time, and publishing waits for a moment in which nobody does.");
    }

    private async Task<SetUpFacts> ReadFactsAsync(NpgsqlConnection connection, CancellationToken cancellationToken, bool isRunning = false)
    {
        var (server, role) = await ServerCatalog.ReadAsync(connection, cancellationToken);
        var relations = await TableCatalog.ReadRelationsAsync(connection, cancellationToken);
        var facts = new SetUpFacts
        {
            Options = _options,
            Server = server,
            Role = role,
            Node = await NodeCatalog.ReadAsync(connection, server, cancellationToken),
            Relations = relations,
            Tables = await TableCatalog.ReadTablesAsync(connection, relations, _options.Tables, cancellationToken),
            ForeignKeys = await PostgresForeignKey.ReadAsync(connection, _options.Tables, cancellationToken),
        };
        // A refusal that another problem explains already would only be noise.
        var isWorthTrying = !isRunning && role.MayReplicate && server.WalLevel == "logical" && server.WalSenders < server.MaxWalSenders;
        return isWorthTrying
            ? facts with { Server = server with { ReplicationRefusal = await TryReplicationConnectionAsync(cancellationToken) } }
            : facts;
    }

    private async Task<string?> TryReplicationConnectionAsync(CancellationToken cancellationToken)
    {
        await using var replication = new LogicalReplicationConnection(PostgresConnections.ForReplication(_options.ConnectionString));
        try
        {
            await replication.Open(cancellationToken);
            await replication.IdentifySystem(cancellationToken);
            return null;
        }
        catch (PostgresException e) when (e.SqlState is PostgresErrorCodes.ProtocolViolation || PostgresErrors.KindOf(e.SqlState) is not ReplicationErrorKind.Transient)
        {
            // 08P01 is a pooler's answer to the start-up parameter; any other fault of a connection passes.
            return $"{e.SqlState} {e.MessageText}";
        }
    }

    /// <summary>One transaction, so that a run that fails leaves nothing half done. Returns the node's incarnation.</summary>
    private async Task<Guid> CreateMissingAsync(NpgsqlConnection connection, SetUpFacts facts, CancellationToken cancellationToken, string lockTimeout = "10s")
    {
        var statements = SetUpPlan.Statements(facts);
        if (statements.Count == 0 && facts.Node.Local is { } known) return known.Incarnation;

        await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
        await ExecuteAsync(connection, CommitLocally, cancellationToken);
        // Who waits for a lock makes everybody else queue behind it.
        await ExecuteAsync(connection, $"SET LOCAL lock_timeout = '{lockTimeout}'", cancellationToken);
        foreach (var statement in statements) await ExecuteAsync(connection, statement, cancellationToken);
        var incarnation = facts.Node.Local?.Incarnation ?? await InsertNodeAsync(connection, facts.Server, cancellationToken);
        await transaction.CommitAsync(cancellationToken);
        return incarnation;
    }

    private async Task<Guid> InsertNodeAsync(NpgsqlConnection connection, ServerFacts server, CancellationToken cancellationToken)
    {
        var incarnation = Guid.NewGuid();
        await using var command = new NpgsqlCommand(
            """
            INSERT INTO active_active.node (name, is_local, system_identifier, timeline, database_oid, incarnation)
            VALUES ($1, true, $2, $3, $4, $5)
            """, connection);
        command.Parameters.Add(new NpgsqlParameter { Value = _options.Node.Value });
        command.Parameters.Add(new NpgsqlParameter { Value = (decimal)server.SystemIdentifier });
        command.Parameters.Add(new NpgsqlParameter { Value = (long)server.Timeline });
        command.Parameters.Add(new NpgsqlParameter { Value = (long)server.DatabaseOid });
        command.Parameters.Add(new NpgsqlParameter { Value = incarnation });
        await command.ExecuteNonQueryAsync(cancellationToken);
        return incarnation;
    }

    private async Task<NpgsqlConnection> OpenAsync(CancellationToken cancellationToken)
    {
        try
        {
            return await _dataSource.OpenConnectionAsync(cancellationToken);
        }
        catch (Exception e) when (e is NpgsqlException or TimeoutException or IOException or System.Net.Sockets.SocketException)
        {
            throw PostgresErrors.TranslateConnecting(e, _options);
        }
    }

    private async Task LockAsync(NpgsqlConnection connection, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand("SELECT pg_try_advisory_lock($1)", connection);
        command.Parameters.Add(new NpgsqlParameter { Value = LockKey });
        if (!(bool)(await command.ExecuteScalarAsync(cancellationToken))!)
        {
            throw new ReplicationException(ReplicationErrorKind.InUse, $"Another session is setting up node {_options.Node} in database {connection.Database}.");
        }
    }

    private static async Task UnlockAsync(NpgsqlConnection connection)
    {
        // A broken connection has lost its lock; and a failure here must not hide the reason why we leave.
        if (connection.FullState != System.Data.ConnectionState.Open) return;
        try
        {
            await using var command = new NpgsqlCommand("SELECT pg_advisory_unlock($1)", connection);
            command.Parameters.Add(new NpgsqlParameter { Value = LockKey });
            await command.ExecuteNonQueryAsync(CancellationToken.None);
        }
        catch (NpgsqlException)
        {
            // A pool keeps no connection whose state it does not know; the lock ends with this one.
            NpgsqlConnection.ClearPool(connection);
        }
    }

    public static async Task ExecuteAsync(NpgsqlConnection connection, string sql, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(sql, connection);
        await command.ExecuteNonQueryAsync(cancellationToken);
    }
}
