using ActiveActive.Apply;
using ActiveActive.Changes;
using Npgsql;

namespace ActiveActive.Database.Postgres;

/// <summary>
/// Performs an origin's TRUNCATE (convergence R7): the rows that it covers go, later ones stay. A table without later rows is
/// truncated for real where that disturbs nobody; else rows are deleted by one statement.
/// </summary>
internal sealed class TableTruncation(NpgsqlConnection connection, NodeName local, OriginNodes origins)
{
    private const string Savepoint = "SAVEPOINT active_active_truncate";

    private const string RollbackToSavepoint = "ROLLBACK TO SAVEPOINT active_active_truncate; RELEASE SAVEPOINT active_active_truncate";

    // TRUNCATE refuses a table that another one references, whatever session_replication_role says.
    private const string IsTruncatable =
        """
        SELECT has_table_privilege($1::regclass, 'TRUNCATE') AND NOT EXISTS (
            SELECT FROM pg_constraint c
            WHERE c.contype = 'f' AND c.confrelid = $1::regclass AND c.conrelid <> c.confrelid)
        """;

    /// <summary>Runs inside the apply transaction. The caller enters the table's tombstone.</summary>
    /// <exception cref="ReplicationException">ApplyRefused: the partition to truncate is not here.</exception>
    public async ValueTask RunAsync(TruncateTable truncate, ApplyStatements statements, CancellationToken cancellationToken)
    {
        var table = truncate.Table;
        var target = PostgresNames.Quote(truncate.Partition ?? table.Name);
        if (truncate.Partition is { } partition) await RequirePartitionAsync(table, partition, cancellationToken);
        await origins.LoadAsync(connection, cancellationToken);
        var survives = Survives(table, statements);
        if (await TryTruncateAsync(truncate, target, survives, cancellationToken)) return;
        await using var delete = Command($"DELETE FROM {target} AS t WHERE NOT ({survives})", truncate);
        await delete.ExecuteNonQueryAsync(cancellationToken);
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

    private async ValueTask<bool> TryTruncateAsync(TruncateTable truncate, string target, string survives, CancellationToken cancellationToken)
    {
        await using (var check = new NpgsqlCommand(IsTruncatable, connection))
        {
            check.Parameters.Add(SqlParameters.Text(target));
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

        await using (var later = Command($"SELECT EXISTS (SELECT FROM {target} AS t WHERE {survives})", truncate))
        {
            if (await later.ExecuteScalarAsync(cancellationToken) is true)
            {
                // Rolling back gives the exclusive lock up again.
                await ExecuteAsync(RollbackToSavepoint, cancellationToken);
                return false;
            }
        }

        await ExecuteAsync($"TRUNCATE {target}; RELEASE SAVEPOINT active_active_truncate", cancellationToken);
        return true;
    }

    /// <summary>
    /// The condition for a row <c>t</c> to stay. What this transaction wrote before, in operation order, goes. A row of the truncate's
    /// own origin goes, too: the origin's log orders them, and stamps are not compared (convergence R4). In a table with delta columns
    /// every row goes whose key has no later delete (R2).
    /// </summary>
    private static string Survives(LocalTable table, ApplyStatements statements) => table.Settings.HasDeltaColumns
        ? $"""
          EXISTS (SELECT FROM active_active.tombstone m, (SELECT $2::bigint AS stamp, $3::text AS origin, $4::pg_lsn AS position) AS v
                  WHERE m.table_name = $1 AND (m.key = '' OR {statements.MatchesStoredKey("t", "NULLIF(m.key, '')")})
                    AND {VersionSql.IsNewer("m", "v")})
          AND $5::text IS NOT NULL AND $6::bigint[] IS NOT NULL AND $7::text[] IS NOT NULL AND $8::bigint[] IS NOT NULL AND $9::bigint[] IS NOT NULL
          """
        : $"""
          t.xmin IS DISTINCT FROM pg_current_xact_id_if_assigned()::xid AND $4::pg_lsn IS NOT NULL AND COALESCE(
              (SELECT o.origin <> $3 AND (o.stamp, o.origin COLLATE "C") > ($2::bigint, $3::text COLLATE "C")
               FROM active_active.version_override o
               WHERE o.table_name = $1 AND o.xid = t.xmin::text::bigint AND {statements.MatchesStoredKey("t", "o.key")}),
              (SELECT x.origin <> $3 AND ((x.stamp, x.origin COLLATE "C") > ($2::bigint, $3::text COLLATE "C")
                   OR t.xmin::text::bigint = ANY ($8::bigint[]) OR x.origin = $5 AND x.stamp = ANY ($9::bigint[]))
               FROM (SELECT {VersionSql.Microseconds("c.\"timestamp\"")} AS stamp,
                            COALESCE((SELECT n.node FROM unnest($6::bigint[], $7::text[]) AS n(id, node) WHERE n.id = c.roident::bigint), $5::text) AS origin
                     FROM pg_xact_commit_timestamp_origin(t.xmin) c) x),
              false)
          """;

    private NpgsqlCommand Command(string sql, TruncateTable truncate)
    {
        var version = truncate.Version;
        var (identifiers, nodes) = origins.ToArrays();
        var command = new NpgsqlCommand(sql, connection);
        foreach (var parameter in (ReadOnlySpan<NpgsqlParameter>)
        [
            SqlParameters.Text(truncate.Table.Name.ToString()), SqlParameters.Number(version.Stamp.Microseconds), SqlParameters.Text(version.Origin.Value),
            SqlParameters.Text(version.Position.ToString()), SqlParameters.Text(local.Value), SqlParameters.Numbers(identifiers), SqlParameters.Texts(nodes),
            SqlParameters.Numbers([.. truncate.Later.Xids.Select(static xid => (long)xid)]), SqlParameters.Numbers([.. truncate.Later.Stamps.Select(static s => s.Microseconds)]),
        ])
        {
            command.Parameters.Add(parameter);
        }

        return command;
    }

    private async ValueTask ExecuteAsync(string sql, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(sql, connection);
        await command.ExecuteNonQueryAsync(cancellationToken);
    }
}
