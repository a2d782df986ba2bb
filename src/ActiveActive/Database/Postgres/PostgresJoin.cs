using ActiveActive.Changes;
using ActiveActive.Database.Postgres.SetUp;
using Npgsql;
using NpgsqlTypes;

namespace ActiveActive.Database.Postgres;

/// <summary>
/// The frame of a join: keeps local writers out while the tables are filled, and then makes what the node goes on from. Two instances of the application may both try: the later one's
/// number counts (<see cref="Attempt"/>), and each step looks whether it still does.
/// </summary>
internal sealed class PostgresJoin(PostgresDatabaseOptions options, NpgsqlDataSource dataSource, RewrittenTables rewritten)
{
    private const string LockTimeout = "SET LOCAL lock_timeout = '10s'";

    private const string BeginSql = "INSERT INTO active_active.joining (attempt) VALUES ($1) ON CONFLICT (only_row) DO UPDATE SET attempt = excluded.attempt";

    // What an earlier try has noted beside its rows. (Conflicts are history, and stay.)
    private const string EmptyNotes =
        "TRUNCATE active_active.tombstone, active_active.tombstone_block, active_active.version_override, active_active.sibling, active_active.unique_loser, active_active.rewriter, active_active.quarantine, active_active.quarantine_part";

    private const string BeginResyncSql = "INSERT INTO active_active.joining (attempt, donor) VALUES ($1, $2) ON CONFLICT (only_row) DO UPDATE SET attempt = excluded.attempt, donor = excluded.donor";
    private const int RecordsPerBatch = 500;

    // TRUNCATE refuses a table that another one references, whatever session_replication_role says.
    private const string IsReferencedSql = "SELECT EXISTS (SELECT FROM pg_constraint c WHERE c.contype = 'f' AND c.confrelid = ANY ($1) AND c.conrelid <> ALL ($1))";

    private const string RewrittenSql =
        """
        SELECT c.oid::regclass::text FROM pg_class c LEFT JOIN active_active.table_file f ON f.table_oid = c.oid
        WHERE c.relkind = 'r' AND c.oid = ANY ($1) AND pg_relation_filenode(c.oid) <> coalesce(f.file, c.oid) ORDER BY 1 LIMIT 1
        """;

    private Guid? _attempt;

    /// <summary>The number of the try that this database object has begun.</summary>
    public Guid Attempt => _attempt ?? throw new InvalidOperationException("No join has begun.");

    public async ValueTask BeginAsync(CancellationToken cancellationToken)
    {
        _attempt = null;
        var attempt = Guid.NewGuid();
        await new PostgresSetUp(options, dataSource).RunAloneAsync(async (connection, stop) =>
        {
            await BeginAsync(connection, attempt, stop);
            return true;
        }, $"keeping writers out of the tables of node {options.Node}, which joins", cancellationToken);
        _attempt = attempt;
    }

    public ValueTask BeginResyncAsync(NodeName donor, CancellationToken cancellationToken) =>
        new(new PostgresSetUp(options, dataSource).RunAloneAsync(async (connection, stop) =>
        {
            await using var transaction = await connection.BeginTransactionAsync(stop);
            await ExecuteAsync(connection, $"{PostgresSetUp.CommitLocally}; {LockTimeout}", stop);
            await ExecuteAsync(connection, BeginResyncSql, stop, Uuid(Guid.NewGuid()), SqlParameters.Text(donor.Value));
            await GuardAsync(connection, await ReplicatedRelation.ReadAllAsync(connection, options.Tables, stop), stop);
            await transaction.CommitAsync(stop);
            return true;
        }, $"keeping writers out of the tables of node {options.Node}, which is to get the data of node {donor}", cancellationToken).AsTask());

    public ValueTask GiveUpDataAsync(IAsyncEnumerable<ConflictRecord> unsent, CancellationToken cancellationToken) =>
        new(new PostgresSetUp(options, dataSource).RunAloneAsync(async (connection, stop) =>
        {
            await using var transaction = await connection.BeginTransactionAsync(stop);
            await ExecuteAsync(connection, $"{PostgresSetUp.CommitLocally}; {LockTimeout}; SET LOCAL session_replication_role = replica", stop);
            await AppendAsync(connection, unsent, stop);
            var relations = await ReplicatedRelation.ReadAllAsync(connection, options.Tables, stop);
            // A table that was published since then.
            await GuardAsync(connection, relations, stop);
            await EmptyAsync(connection, relations, stop);
            await ExecuteAsync(connection, $"{EmptyNotes}; DELETE FROM active_active.member; DELETE FROM active_active.checkpoint", stop);
            await transaction.CommitAsync(stop);
            return true;
        }, $"giving up the data of node {options.Node}", cancellationToken).AsTask());

    public ValueTask EndAsync(DependencyVector copied, CommitTimestamp greatestStamp, IReadOnlyList<Member> members, CancellationToken cancellationToken)
    {
        var attempt = Attempt;
        return new(new PostgresSetUp(options, dataSource).RunAloneAsync(async (connection, stop) =>
        {
            await EndAsync(connection, attempt, copied, greatestStamp, members, stop);
            return true;
        }, $"letting node {options.Node} go on from what it has copied", cancellationToken).AsTask());
    }

    /// <summary>The try has ended, or another one counts.</summary>
    public static ReplicationException Superseded() => new(ReplicationErrorKind.InUse,
        "Another instance of this node's application has begun to join, or has set the node up: what this one has copied does not count.");

    private async Task BeginAsync(NpgsqlConnection connection, Guid attempt, CancellationToken cancellationToken)
    {
        // Somebody relies on the slot then. Without a checkpoint it is of a try that broke off at its end.
        if (await ScalarAsync<bool>(connection, "SELECT EXISTS (SELECT FROM active_active.checkpoint)", cancellationToken)) throw Superseded();
        await SlotSetUp.DropAsync(connection, await ReadOidAsync(connection, cancellationToken), cancellationToken);
        await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
        // The guard does not fire for what this transaction does.
        await ExecuteAsync(connection, $"{PostgresSetUp.CommitLocally}; {LockTimeout}; SET LOCAL session_replication_role = replica", cancellationToken);
        await ExecuteAsync(connection, BeginSql, cancellationToken, Uuid(attempt));
        var relations = await ReplicatedRelation.ReadAllAsync(connection, options.Tables, cancellationToken);
        await GuardAsync(connection, relations, cancellationToken);
        // AFTER their triggers, which wait for writers that were under way.
        await RequireEmptyAsync(connection, relations.Where(static r => !r.IsGuarded && r.HasRows), cancellationToken);
        if (relations.Any(static r => r.IsGuarded)) await EmptyAsync(connection, relations, cancellationToken);
        await ExecuteAsync(connection, EmptyNotes, cancellationToken);
        await ExecuteAsync(connection, SetUpPlan.NoteFiles, cancellationToken);
        await transaction.CommitAsync(cancellationToken);
    }

    private static async Task GuardAsync(NpgsqlConnection connection, IReadOnlyList<ReplicatedRelation> relations, CancellationToken cancellationToken)
    {
        foreach (var relation in relations.Where(static r => !r.IsGuarded)) await ExecuteAsync(connection, JoinGuard.Create(relation.Name), cancellationToken);
    }

    private static async Task AppendAsync(NpgsqlConnection connection, IAsyncEnumerable<ConflictRecord> records, CancellationToken cancellationToken)
    {
        await foreach (var some in records.Chunk(RecordsPerBatch).WithCancellation(cancellationToken))
        {
            await using var batch = new NpgsqlBatch(connection) { Timeout = 0 };
            foreach (var record in some) batch.BatchCommands.Add(ConflictHistoryTable.Append(record));
            await batch.ExecuteNonQueryAsync(cancellationToken);
        }
    }

    private async Task RequireEmptyAsync(NpgsqlConnection connection, IEnumerable<ReplicatedRelation> relations, CancellationToken cancellationToken)
    {
        var filled = new List<TableName>();
        foreach (var relation in relations)
        {
            if (await ScalarAsync<bool>(connection, $"SELECT EXISTS (SELECT FROM {relation.Target})", cancellationToken)) filled.Add(relation.Name);
        }

        if (filled.Count == 0) return;
        throw new ReplicationException(ReplicationErrorKind.Misconfigured,
            $"AA5002: node {options.Node} is to join the cluster and get all its data from another node, but has rows of its own in {string.Join(", ", filled)}. "
            + $"If nobody needs them: TRUNCATE {string.Join(", ", filled.Select(PostgresNames.Quote))}; or create the database anew with its schema alone (pg_dump --schema-only).");
    }

    private static async Task EmptyAsync(NpgsqlConnection connection, IReadOnlyList<ReplicatedRelation> relations, CancellationToken cancellationToken)
    {
        var roots = relations.Where(static r => r.IsRoot).ToList();
        var isReferenced = await ScalarAsync<bool>(connection, IsReferencedSql, cancellationToken, Oids(relations));
        if (!isReferenced) await ExecuteAsync(connection, $"TRUNCATE {string.Join(", ", roots.Select(static r => r.Target))}", cancellationToken);
        else foreach (var root in roots) await ExecuteAsync(connection, $"DELETE FROM {root.Target}", cancellationToken);
    }

    private async Task EndAsync(NpgsqlConnection connection, Guid attempt, DependencyVector copied, CommitTimestamp greatestStamp, IReadOnlyList<Member> members, CancellationToken cancellationToken)
    {
        // BEFORE the slot is touched: it may be the one of an instance that has ended its join.
        if (!await ScalarAsync<bool>(connection, "SELECT EXISTS (SELECT FROM active_active.joining WHERE attempt = $1)", cancellationToken, Uuid(attempt))) throw Superseded();
        var databaseOid = await ReadOidAsync(connection, cancellationToken);
        await SetProgressAsync(connection, databaseOid, copied, cancellationToken);
        // Local writers are still kept out, so that nothing falls between the copy and the slot.
        var position = await SlotSetUp.ReplaceAsync(connection, databaseOid, cancellationToken);
        var relations = await ReplicatedRelation.ReadAllAsync(connection, options.Tables, cancellationToken);
        await using (var transaction = await connection.BeginTransactionAsync(cancellationToken))
        {
            await ExecuteAsync(connection, $"{PostgresSetUp.CommitLocally}; {LockTimeout}", cancellationToken);
            // The row's lock waits for copying sessions.
            if (await ExecuteAsync(connection, "DELETE FROM active_active.joining WHERE attempt = $1", cancellationToken, Uuid(attempt)) == 0) throw Superseded();
            await RequireFilesAsync(connection, relations, cancellationToken);
            var applied = DependencyVector.Of(copied.Where(c => c.Key != options.Node));
            await using var batch = new NpgsqlBatch(connection);
            // Its own are those of a node that was a member before.
            batch.BatchCommands.Add(CheckpointTable.Save(new CaptureCheckpoint(position, greatestStamp, applied, copied[options.Node])));
            batch.BatchCommands.Add(MemberTable.Save(members));
            await batch.ExecuteNonQueryAsync(cancellationToken);
            await transaction.CommitAsync(cancellationToken);
        }

        _attempt = null;
        foreach (var relation in relations.Where(static r => r.HasRows)) rewritten.AddFile(relation.Oid, relation.File);
        await JoinGuard.RemoveAsync(connection, cancellationToken);
    }

    /// <summary>Rows that were rewritten since they were copied do not show the transaction any more that the notes beside them name.</summary>
    private static async Task RequireFilesAsync(NpgsqlConnection connection, IReadOnlyList<ReplicatedRelation> relations, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(RewrittenSql, connection);
        command.Parameters.Add(Oids(relations));
        if (await command.ExecuteScalarAsync(cancellationToken) is string table)
        {
            throw new ReplicationException(ReplicationErrorKind.Transient,
                $"Table {table} was rewritten (ALTER TABLE, VACUUM FULL, CLUSTER) while the node joined: what its copied rows show is not known any more, and they are copied again. Leave the tables alone until the node has joined.");
        }
    }

    /// <summary>Says of each peer how far it was applied. Each statement counts at once and is durable with the commit that follows.</summary>
    private async Task SetProgressAsync(NpgsqlConnection connection, uint databaseOid, DependencyVector copied, CancellationToken cancellationToken)
    {
        foreach (var peer in options.Peers)
        {
            await ExecuteAsync(connection, "SELECT pg_replication_origin_advance($1, $2)", cancellationToken,
                SqlParameters.Text(PostgresNames.Origin(databaseOid, peer)), SqlParameters.Text(copied[peer].ToString()));
        }
    }

    private static Task<uint> ReadOidAsync(NpgsqlConnection connection, CancellationToken cancellationToken) =>
        ScalarAsync<uint>(connection, "SELECT oid FROM pg_database WHERE datname = current_database()", cancellationToken);

    private static NpgsqlParameter Uuid(Guid attempt) => new() { Value = attempt, NpgsqlDbType = NpgsqlDbType.Uuid };

    private static NpgsqlParameter Oids(IReadOnlyList<ReplicatedRelation> relations) =>
        new() { Value = relations.Select(static r => r.Oid).ToArray(), NpgsqlDbType = NpgsqlDbType.Array | NpgsqlDbType.Oid };

    // Without a time-out: emptying a large table takes its time.
    private static async Task<int> ExecuteAsync(NpgsqlConnection connection, string sql, CancellationToken cancellationToken, params NpgsqlParameter[] parameters)
    {
        await using var command = new NpgsqlCommand(sql, connection) { CommandTimeout = 0 };
        command.Parameters.AddRange(parameters);
        return await command.ExecuteNonQueryAsync(cancellationToken);
    }

    private static async Task<T> ScalarAsync<T>(NpgsqlConnection connection, string sql, CancellationToken cancellationToken, params NpgsqlParameter[] parameters)
    {
        await using var command = new NpgsqlCommand(sql, connection) { CommandTimeout = 0 };
        command.Parameters.AddRange(parameters);
        return (T)(await command.ExecuteScalarAsync(cancellationToken))!;
    }
}
