using Npgsql;

namespace ActiveActive.Database.Postgres;

/// <summary>
/// Keeps local writers out of the replicated tables of a node that joins: a statement trigger on each of them. It does not fire for sessions with <c>session_replication_role = replica</c>,
/// which is what lets the copy in, and nobody else
/// (<see href="https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-DESC-DISABLE-ENABLE-TRIGGER">ENABLE TRIGGER</see>). It refuses while there is a row in
/// <c>active_active.joining</c>, so that the transaction which deletes the row lets writers in without a lock on any table.
/// </summary>
internal static class JoinGuard
{
    /// <summary>The code in front of the error that a local writer gets.</summary>
    public const string Code = "AA5001";

    public const string Trigger = "active_active_joining";

    private const string FindSql =
        $"""
        SELECT n.nspname::text, c.relname::text
        FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE g.tgname = '{Trigger}' AND g.tgfoid = to_regproc('active_active.refuse_while_joining')
        ORDER BY 1, 2
        """;

    public static string Create(TableName table) =>
        $"CREATE TRIGGER {Trigger} BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON {PostgresNames.Quote(table)} FOR EACH STATEMENT EXECUTE FUNCTION active_active.refuse_while_joining()";

    /// <summary>
    /// Lets writers in, and removes the triggers where nobody's lock is in the way: what remains does nothing, and goes with the next start.
    /// </summary>
    public static async Task RemoveAsync(NpgsqlConnection connection, CancellationToken cancellationToken)
    {
        await PostgresSetUp.ExecuteAsync(connection, $"BEGIN; {PostgresSetUp.CommitLocally}; DELETE FROM active_active.joining; COMMIT", cancellationToken);
        var tables = new List<TableName>();
        await using (var command = new NpgsqlCommand(FindSql, connection))
        await using (var reader = await command.ExecuteReaderAsync(cancellationToken))
        {
            while (await reader.ReadAsync(cancellationToken)) tables.Add(new TableName(reader.GetString(0), reader.GetString(1)));
        }

        foreach (var table in tables) await TryDropAsync(connection, table, cancellationToken);
    }

    private static async Task TryDropAsync(NpgsqlConnection connection, TableName table, CancellationToken cancellationToken)
    {
        await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
        await PostgresSetUp.ExecuteAsync(connection, PostgresSetUp.CommitLocally, cancellationToken);
        // Whoever uses the table queues up behind this wait.
        await PostgresSetUp.ExecuteAsync(connection, "SET LOCAL lock_timeout = '500ms'", cancellationToken);
        try
        {
            await PostgresSetUp.ExecuteAsync(connection, $"DROP TRIGGER IF EXISTS {Trigger} ON {PostgresNames.Quote(table)}", cancellationToken);
            await transaction.CommitAsync(cancellationToken);
        }
        catch (PostgresException e) when (e.SqlState is PostgresErrorCodes.LockNotAvailable or PostgresErrorCodes.InsufficientPrivilege)
        {
            await transaction.RollbackAsync(cancellationToken);
        }
    }
}
