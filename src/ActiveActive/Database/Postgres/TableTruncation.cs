using System.Runtime.CompilerServices;
using ActiveActive.Apply;
using ActiveActive.Changes;
using ActiveActive.Progress;
using Npgsql;

namespace ActiveActive.Database.Postgres;

/// <summary>
/// Performs an origin's TRUNCATE (convergence R7) on the rows that its writer had seen, after those were decided about that it may not have seen. A table of
/// which nothing stays is truncated for real where that disturbs nobody; else rows are deleted by one statement.
/// </summary>
internal sealed class TableTruncation(NpgsqlConnection connection, NodeName local, OriginNodes origins, RewrittenTables rewritten)
{
    private const string Cursor = "active_active_unseen";

    private const int KeysPerFetch = 5000;

    private const string Savepoint = "SAVEPOINT active_active_truncate";

    private const string RollbackToSavepoint = "ROLLBACK TO SAVEPOINT active_active_truncate; RELEASE SAVEPOINT active_active_truncate";

    // TRUNCATE refuses a table that another one references, or one of its partitions, whatever session_replication_role says.
    private const string IsTruncatable =
        """
        SELECT has_table_privilege($1::regclass, 'TRUNCATE') AND NOT EXISTS (
            SELECT FROM pg_constraint c
            WHERE c.contype = 'f' AND c.conrelid <> c.confrelid
              AND (c.confrelid = $1::regclass OR c.confrelid IN (SELECT relid FROM pg_partition_tree($1::regclass))))
        """;

    /// <summary>Runs inside the apply transaction. The caller enters the table's tombstone.</summary>
    /// <exception cref="ReplicationException">ApplyRefused: the partition to truncate is not here.</exception>
    public async ValueTask RunAsync(TruncateTable truncate, ApplyStatements statements, CancellationToken cancellationToken)
    {
        var table = truncate.Table;
        // Children by inheritance, which set-up refuses, are tables of their own; what is a leaf on the peer may be partitioned here.
        var target = truncate.Partition is { } leaf ? PostgresNames.Quote(leaf) : statements.Target;
        if (truncate.Partition is { } partition) await RequirePartitionAsync(table, partition, cancellationToken);
        await origins.LoadAsync(connection, cancellationToken);
        var isUnseen = IsUnseen(statements);
        if (await TryTruncateAsync(truncate, target, isUnseen, cancellationToken)) return;
        await using var delete = Command($"DELETE FROM {target} AS t WHERE NOT ({isUnseen})", table, truncate.Unseen);
        await delete.ExecuteNonQueryAsync(cancellationToken);
    }

    /// <summary>See <see cref="IApplySession.ReadUnseenAsync"/>.</summary>
    public async IAsyncEnumerable<IReadOnlyList<LocalKey>> ReadUnseenAsync(
        LocalTable table, TableName? partition, IReadOnlyCollection<ShownVersion> unseen, ApplyStatements statements, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await origins.LoadAsync(connection, cancellationToken);
        // The lock that keeps writers out keeps rewrites out, too.
        if (!(await VersionRestoration.ReadFilesAsync(connection, table.Name, cancellationToken)).TrueForAll(f => rewritten.IsKnown(f.Table, f.File))) throw rewritten.Note(table.Name);
        if (partition is { } leaf) await RequirePartitionAsync(table, leaf, cancellationToken);
        var source = partition is { } only ? PostgresNames.Quote(only) : statements.Target;
        await using (var declare = Command($"DECLARE {Cursor} NO SCROLL CURSOR FOR SELECT {statements.KeyOf("t")} FROM {source} AS t WHERE {IsUnseen(statements)}", table, unseen))
        {
            await declare.ExecuteNonQueryAsync(cancellationToken);
        }

        while (await ReadKeysAsync($"FETCH {KeysPerFetch} FROM {Cursor}", table, static r => [.. Enumerable.Range(0, r.FieldCount).Select(r.GetString)], cancellationToken) is { Count: > 0 } keys) yield return keys;
        await ExecuteAsync($"CLOSE {Cursor}", cancellationToken);
        // Where concurrent versions came to no row.
        var absent = await ReadKeysAsync("SELECT key FROM active_active.sibling WHERE table_name = $1 AND xid = 0", table, static r => KeyText.Read(r.GetString(0)), cancellationToken, SqlParameters.Text(table.Name.ToString()));
        if (absent.Count > 0 && partition is null) yield return absent;
    }

    private async ValueTask<List<LocalKey>> ReadKeysAsync(
        string sql, LocalTable table, Func<NpgsqlDataReader, string[]> read, CancellationToken cancellationToken, params NpgsqlParameter[] parameters)
    {
        await using var command = new NpgsqlCommand(sql, connection) { AllResultTypesAreUnknown = true };
        command.Parameters.AddRange(parameters);
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        var keys = new List<LocalKey>();
        while (await reader.ReadAsync(cancellationToken)) keys.Add(new LocalKey(table, new RowKey(table.Name, read(reader))));
        return keys;
    }

    private async ValueTask RequirePartitionAsync(LocalTable table, TableName partition, CancellationToken cancellationToken)
    {
        await using var check = new NpgsqlCommand("SELECT to_regclass($2) IN (SELECT relid FROM pg_partition_tree($1::regclass))", connection);
        check.Parameters.Add(SqlParameters.Text(PostgresNames.Quote(table.Name)));
        check.Parameters.Add(SqlParameters.Text(PostgresNames.Quote(partition)));
        if (await check.ExecuteScalarAsync(cancellationToken) is true) return;
        throw new ReplicationException(ReplicationErrorKind.ApplyRefused,
            $"A peer truncated {partition}, a partition of {table.Name} that this database does not have. Create it, or detach it on the peer and truncate by DELETE.");
    }

    private async ValueTask<bool> TryTruncateAsync(TruncateTable truncate, string target, string isUnseen, CancellationToken cancellationToken)
    {
        await using (var check = new NpgsqlCommand(IsTruncatable, connection))
        {
            check.Parameters.Add(SqlParameters.Text(PostgresNames.Quote(truncate.Partition ?? truncate.Table.Name)));
            if (await check.ExecuteScalarAsync(cancellationToken) is not true) return false;
        }

        await ExecuteAsync(Savepoint, cancellationToken);
        try
        {
            // Not to wait: a waiting exclusive lock would stop every reader and writer of the application behind it.
            await ExecuteAsync($"LOCK TABLE {target} IN ACCESS EXCLUSIVE MODE NOWAIT", cancellationToken);
        }
        catch (PostgresException e) when (e.SqlState is PostgresErrorCodes.LockNotAvailable or PostgresErrorCodes.InsufficientPrivilege)
        {
            await ExecuteAsync(RollbackToSavepoint, cancellationToken);
            return false;
        }

        await using (var later = Command($"SELECT EXISTS (SELECT FROM {target} AS t WHERE {isUnseen})", truncate.Table, truncate.Unseen))
        {
            if (await later.ExecuteScalarAsync(cancellationToken) is true)
            {
                // Rolling back gives the exclusive lock up again.
                await ExecuteAsync(RollbackToSavepoint, cancellationToken);
                return false;
            }
        }

        await ExecuteAsync($"TRUNCATE {target}; RELEASE SAVEPOINT active_active_truncate", cancellationToken);
        // Other files, and no rows in them that anybody else has written.
        await VersionRestoration.SaveFilesAsync(connection, await VersionRestoration.ReadFilesAsync(connection, truncate.Partition ?? truncate.Table.Name, cancellationToken), rewritten, cancellationToken);
        return true;
    }

    /// <summary>
    /// The condition for a row <c>t</c> to be one that is decided about on its own: what it shows, the writer may not have seen, or what it shows does not tell all.
    /// What this transaction wrote itself shows nothing yet. A row that has lost its stamp is decided about unless it is older than all that was not seen.
    /// </summary>
    private static string IsUnseen(ApplyStatements statements) =>
        $"""
        (SELECT CASE WHEN x.stamp IS NULL
                     THEN cardinality($2::bigint[]) > 0 AND t.xmin IS DISTINCT FROM pg_current_xact_id_if_assigned()::xid AND age(t.xmin) <= (SELECT age($7::text::xid))
                     ELSE (x.stamp, x.origin) IN (SELECT u.stamp, u.origin FROM unnest($2::bigint[], $3::text[]) AS u(stamp, origin)) END
         FROM (SELECT {VersionSql.Microseconds("c.\"timestamp\"")} AS stamp,
                      COALESCE((SELECT n.node FROM unnest($5::bigint[], $6::text[]) AS n(id, node) WHERE n.id = c.roident::bigint), $4::text) AS origin
               FROM pg_xact_commit_timestamp_origin(t.xmin) c) x)
        OR EXISTS (SELECT FROM active_active.version_override o WHERE o.table_name = $1 AND o.xid = t.xmin::text::bigint AND {statements.MatchesStoredKey("t", "o.key")})
        OR EXISTS (SELECT FROM active_active.sibling s WHERE s.table_name = $1 AND s.xid = t.xmin::text::bigint AND {statements.MatchesStoredKey("t", "s.key")})
        """;

    private NpgsqlCommand Command(string sql, LocalTable table, IReadOnlyCollection<ShownVersion> unseen)
    {
        var (identifiers, nodes) = origins.ToArrays();
        var command = new NpgsqlCommand(sql, connection);
        command.Parameters.AddRange((NpgsqlParameter[])
        [
            SqlParameters.Text(table.Name.ToString()), SqlParameters.Numbers([.. unseen.Select(static u => u.Stamp.Microseconds)]), SqlParameters.Texts([.. unseen.Select(static u => u.Origin.Value)]),
            SqlParameters.Text(local.Value), SqlParameters.Numbers(identifiers), SqlParameters.Texts(nodes),
            VersionSql.Horizon(ShownVersion.OldestOf(unseen)),
        ]);
        return command;
    }

    private async ValueTask ExecuteAsync(string sql, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(sql, connection);
        await command.ExecuteNonQueryAsync(cancellationToken);
    }
}
