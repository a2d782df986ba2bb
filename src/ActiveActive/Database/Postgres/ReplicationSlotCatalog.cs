using Npgsql;
using NpgsqlTypes;

namespace ActiveActive.Database.Postgres;

/// <summary>Finds the node's slot, and makes and drops the copies of it that serve single peers.</summary>
internal sealed class ReplicationSlotCatalog(NpgsqlDataSource dataSource)
{
    private const string ObjectNotInPrerequisiteState = "55000";

    private static readonly TimeSpan s_dropLimit = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan s_freeRetry = TimeSpan.FromMilliseconds(2);
    private static readonly TimeSpan s_dropRetry = TimeSpan.FromMilliseconds(50);

    private const string FindSql = """
        SELECT plugin::text, confirmed_flush_lsn, active_pid, coalesce(wal_status, '')
        FROM pg_catalog.pg_replication_slots WHERE slot_name = $1 AND database = current_database()
        """;

    /// <summary>The node's own slot.</summary>
    /// <param name="mustBeFree">Whether another session may hold it.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <exception cref="ReplicationException">
    /// <see cref="ReplicationErrorKind.Misconfigured"/>: slot or publication missing, or the slot's log is gone.
    /// <see cref="ReplicationErrorKind.InUse"/>: another session streams from it.
    /// </exception>
    public async Task<ReplicationSlot> FindAsync(bool mustBeFree, CancellationToken cancellationToken)
    {
        await using var command = dataSource.CreateCommand(
            "SELECT oid, EXISTS (SELECT FROM pg_catalog.pg_publication WHERE pubname = $1) FROM pg_catalog.pg_database WHERE datname = current_database()");
        command.Parameters.Add(new NpgsqlParameter { Value = PostgresNames.Publication, NpgsqlDbType = NpgsqlDbType.Text });
        uint databaseOid;
        await using (var rows = await command.ExecuteReaderAsync(cancellationToken))
        {
            await rows.ReadAsync(cancellationToken);
            databaseOid = rows.GetFieldValue<uint>(0);

            // From PostgreSQL 18 on, a missing publication is a warning in the server's log and its changes are left out in silence.
            if (!rows.GetBoolean(1))
                throw new ReplicationException(ReplicationErrorKind.Misconfigured, $"The publication '{PostgresNames.Publication}' does not exist. Run the node's set-up.");
        }

        return await FindAsync(PostgresNames.Slot(databaseOid), databaseOid, mustBeFree, cancellationToken);
    }

    /// <summary>Copies the node's slot, also while it is being streamed from; replaces a copy that a stopped process left behind.</summary>
    public async Task<ReplicationSlot> CopyAsync(ReplicationSlot own, SlotCopy purpose, CancellationToken cancellationToken)
    {
        var name = PostgresNames.SlotCopy(own.DatabaseOid, purpose);
        await using (var drop = dataSource.CreateCommand(
            "SELECT pg_catalog.pg_drop_replication_slot(slot_name) FROM pg_catalog.pg_replication_slots WHERE slot_name = $1 AND NOT active"))
        {
            drop.Parameters.Add(Text(name));
            await drop.ExecuteNonQueryAsync(cancellationToken);
        }

        await using (var copy = dataSource.CreateCommand("SELECT pg_catalog.pg_copy_logical_replication_slot($1, $2, false)"))
        {
            copy.Parameters.Add(Text(own.Name));
            copy.Parameters.Add(Text(name));
            try
            {
                await copy.ExecuteNonQueryAsync(cancellationToken);
            }
            catch (PostgresException e) when (e.SqlState == PostgresErrorCodes.DuplicateObject)
            {
                throw await InUseAsync(name, e, cancellationToken);
            }
        }

        return await FindAsync(name, own.DatabaseOid, mustBeFree: true, cancellationToken);
    }

    /// <summary>Waits until the server has noticed that a slot's reader is gone.</summary>
    /// <exception cref="ReplicationException"><see cref="ReplicationErrorKind.InUse"/>: another session holds it.</exception>
    public async Task UntilFreeAsync(string name, CancellationToken cancellationToken)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(s_dropLimit);
        int? holder = null;
        try
        {
            while (true)
            {
                await using var command = dataSource.CreateCommand("SELECT active_pid FROM pg_catalog.pg_replication_slots WHERE slot_name = $1");
                command.Parameters.Add(Text(name));
                holder = await command.ExecuteScalarAsync(limit.Token) as int?;
                if (holder is null) return;
                await Task.Delay(s_freeRetry, limit.Token);
            }
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw InUse(name, holder, null);
        }
    }

    /// <summary>
    /// Drops a slot, once its reader is gone, within a bounded time. What remains after that is replaced by the next
    /// <see cref="CopyAsync"/> for the peer.
    /// </summary>
    public async Task DropAsync(string name)
    {
        using var limit = new CancellationTokenSource(s_dropLimit);
        try
        {
            while (!await TryDropAsync(name, limit.Token)) await Task.Delay(s_dropRetry, limit.Token);
        }
        catch (Exception e) when (e is OperationCanceledException or NpgsqlException)
        {
            // The server is out of reach or does not let go of it: whoever disposes a stream can do nothing about that.
        }
    }

    /// <summary>Explains why a slot could not be streamed from, in place of the server's short message.</summary>
    public async Task<ReplicationException> ExplainAsync(PostgresException error, string name, CancellationToken cancellationToken) => error.SqlState switch
    {
        PostgresErrorCodes.ObjectInUse => await InUseAsync(name, error, cancellationToken),
        PostgresErrorCodes.UndefinedObject => new ReplicationException(ReplicationErrorKind.Misconfigured,
            $"The slot '{name}' or its publication '{PostgresNames.Publication}' is missing: PostgreSQL says {error.SqlState} {error.MessageText}. "
            + "Changes made since cannot be read any more; the node must join again.", error),
        ObjectNotInPrerequisiteState => new ReplicationException(ReplicationErrorKind.Misconfigured,
            $"The slot '{name}' cannot be read: PostgreSQL says {error.SqlState} {error.MessageText}. The node must join again.", error),
        _ => PostgresErrors.Translate(error, $"streaming from slot '{name}'"),
    };

    private async Task<ReplicationSlot> FindAsync(string name, uint databaseOid, bool mustBeFree, CancellationToken cancellationToken)
    {
        await using var command = dataSource.CreateCommand(FindSql);
        command.Parameters.Add(Text(name));
        await using var rows = await command.ExecuteReaderAsync(cancellationToken);
        if (!await rows.ReadAsync(cancellationToken))
            throw new ReplicationException(ReplicationErrorKind.Misconfigured, $"The slot '{name}' does not exist in this database. Run the node's set-up; a node that had one must join again.");
        if (rows.GetString(0) != "pgoutput")
            throw new ReplicationException(ReplicationErrorKind.Misconfigured, $"The slot '{name}' uses the output plugin '{rows.GetString(0)}', not pgoutput. Drop it and run the node's set-up.");
        if (rows.GetString(3) == "lost")
            throw new ReplicationException(ReplicationErrorKind.Misconfigured, $"The server has removed log that the slot '{name}' needs (max_slot_wal_keep_size or an invalidation). The node must join again.");
        if (mustBeFree && !rows.IsDBNull(2)) throw InUse(name, rows.GetInt32(2), null);
        if (rows.IsDBNull(1))
            throw new ReplicationException(ReplicationErrorKind.InUse, $"The slot '{name}' is still being created; that waits for the transactions which are open.");
        return new ReplicationSlot(name, databaseOid, rows.GetFieldValue<NpgsqlLogSequenceNumber>(1));
    }

    private async Task<bool> TryDropAsync(string name, CancellationToken cancellationToken)
    {
        await using var command = dataSource.CreateCommand(
            "SELECT pg_catalog.pg_drop_replication_slot(slot_name) FROM pg_catalog.pg_replication_slots WHERE slot_name = $1");
        command.Parameters.Add(Text(name));
        try
        {
            await command.ExecuteNonQueryAsync(cancellationToken);
            return true;
        }
        catch (PostgresException e) when (e.SqlState == PostgresErrorCodes.ObjectInUse)
        {
            return false;
        }
    }

    private async Task<ReplicationException> InUseAsync(string name, PostgresException cause, CancellationToken cancellationToken)
    {
        int? holder = null;
        try
        {
            await using var command = dataSource.CreateCommand("SELECT active_pid FROM pg_catalog.pg_replication_slots WHERE slot_name = $1");
            command.Parameters.Add(Text(name));
            holder = await command.ExecuteScalarAsync(cancellationToken) as int?;
        }
        catch (NpgsqlException)
        {
            // The holder's number is a courtesy; the fault to report is the cause.
        }

        return InUse(name, holder, cause);
    }

    private static ReplicationException InUse(string name, int? processId, PostgresException? cause) => new(ReplicationErrorKind.InUse,
        $"The slot '{name}' is held by {(processId is { } pid ? $"the server process {pid}" : "another session, which has just ended")}. "
        + "Another instance of this node replicates; this one takes over when that ends.", cause);

    private static NpgsqlParameter Text(string value) => new() { Value = value, NpgsqlDbType = NpgsqlDbType.Text };
}
