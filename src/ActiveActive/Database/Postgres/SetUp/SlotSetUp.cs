using Npgsql;
using NpgsqlTypes;

namespace ActiveActive.Database.Postgres.SetUp;

/// <summary>Creates the node's slot and the checkpoint that starts there.</summary>
internal static class SlotSetUp
{
    // Creation waits for every transaction that runs at the moment (three times over); a limit, so that a forgotten one is named.
    public static readonly TimeSpan Limit = TimeSpan.FromMinutes(10);

    /// <summary>
    /// AFTER the publication and the replica identities are committed: what the slot decodes from its first transaction on must
    /// have been logged under them. The checkpoint comes last, so a run that ends in between leaves a slot that nobody
    /// relies on, and the next run replaces it.
    /// </summary>
    public static async Task CreateAsync(NpgsqlConnection connection, SetUpFacts facts, CancellationToken cancellationToken)
    {
        var position = await ReplaceAsync(connection, facts.Server.DatabaseOid, cancellationToken);
        await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
        await PostgresSetUp.ExecuteAsync(connection, PostgresSetUp.CommitLocally, cancellationToken);
        await using var insert = new NpgsqlCommand(
            """
            INSERT INTO active_active.checkpoint (position, greatest_stamp, applied)
            SELECT $1, $2, coalesce(jsonb_object_agg(p.peer, p.progress) FILTER (WHERE p.progress IS NOT NULL), '{}')
            FROM (SELECT substr(o.roname, length($3) + 1), pg_replication_origin_progress(o.roname, false)::text FROM pg_replication_origin o WHERE starts_with(o.roname, $3) AND o.roname <> $4) AS p(peer, progress)
            """, connection);
        insert.Parameters.Add(new NpgsqlParameter { Value = position, NpgsqlDbType = NpgsqlDbType.PgLsn });
        insert.Parameters.Add(new NpgsqlParameter { Value = CommitTimestamp.Unknown.Microseconds });
        // A slot that is made anew does not show what was applied before it; of any node, also one that is no peer at the moment.
        insert.Parameters.Add(new NpgsqlParameter { Value = PostgresNames.OriginPrefix(facts.Server.DatabaseOid), NpgsqlDbType = NpgsqlDbType.Text });
        insert.Parameters.Add(new NpgsqlParameter { Value = PostgresNames.Origin(facts.Server.DatabaseOid, facts.Options.Node), NpgsqlDbType = NpgsqlDbType.Text });
        await insert.ExecuteNonQueryAsync(cancellationToken);
        await transaction.CommitAsync(cancellationToken);
    }

    /// <summary>Makes the slot, in place of one that nobody relies on. Returns where it begins.</summary>
    public static async Task<NpgsqlLogSequenceNumber> ReplaceAsync(NpgsqlConnection connection, uint databaseOid, CancellationToken cancellationToken)
    {
        await DropAsync(connection, databaseOid, cancellationToken);
        return await CreateSlotAsync(connection, PostgresNames.Slot(databaseOid), cancellationToken);
    }

    /// <summary>Drops the slot if there is one, on which nobody relies: it would hold back the log.</summary>
    public static async Task DropAsync(NpgsqlConnection connection, uint databaseOid, CancellationToken cancellationToken)
    {
        await using var drop = new NpgsqlCommand("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1", connection);
        drop.Parameters.Add(new NpgsqlParameter { Value = PostgresNames.Slot(databaseOid), NpgsqlDbType = NpgsqlDbType.Text });
        await drop.ExecuteNonQueryAsync(cancellationToken);
    }

    private static async Task<NpgsqlLogSequenceNumber> CreateSlotAsync(NpgsqlConnection connection, string name, CancellationToken cancellationToken)
    {
        await using var create = new NpgsqlCommand("SELECT lsn FROM pg_create_logical_replication_slot($1, 'pgoutput')", connection)
        {
            CommandTimeout = (int)Limit.TotalSeconds,
        };
        create.Parameters.Add(new NpgsqlParameter { Value = name });
        try
        {
            return (NpgsqlLogSequenceNumber)(await create.ExecuteScalarAsync(cancellationToken))!;
        }
        catch (NpgsqlException e) when (e.InnerException is TimeoutException)
        {
            throw TookTooLong(name, e);
        }
    }

    /// <summary>Says that a slot could not be created in time, and why.</summary>
    public static ReplicationException TookTooLong(string name, Exception cause) => new(ReplicationErrorKind.Transient,
        $"Replication slot {name} was not created within {Limit.TotalMinutes} minutes: transactions that ran before have not ended. "
        + "Look for old ones: SELECT pid, xact_start, state FROM pg_stat_activity WHERE backend_xid IS NOT NULL ORDER BY xact_start;", cause);
}
