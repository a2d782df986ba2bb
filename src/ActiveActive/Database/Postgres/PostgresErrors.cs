using Npgsql;

namespace ActiveActive.Database.Postgres;

/// <summary>Maps what Npgsql throws to a <see cref="ReplicationException"/> with a kind. The one place that knows SQLSTATEs.</summary>
internal static class PostgresErrors
{
    /// <summary>Translates a fault; <paramref name="doing"/> ends the sentence "While …", for example <c>applying us 0/1A2B to public.accounts</c>.</summary>
    public static ReplicationException Translate(Exception exception, string doing) => exception switch
    {
        ReplicationException known => known,
        PostgresException postgres => new ReplicationException(KindOf(postgres.SqlState),
            $"While {doing}: PostgreSQL says {postgres.SqlState} {postgres.MessageText}{Where(postgres)}", postgres),
        NpgsqlException or TimeoutException or System.Net.Sockets.SocketException or IOException =>
            new ReplicationException(ReplicationErrorKind.Transient, $"While {doing}: {exception.Message}", exception),
        _ => new ReplicationException(ReplicationErrorKind.Corrupt, $"While {doing}: {exception.GetType().Name}: {exception.Message}", exception),
    };

    public static ReplicationErrorKind KindOf(string sqlState) => sqlState switch
    {
        // 08 connection, 53 resources, 57 operator intervention, 58 system, 25006 read-only (standby), XX internal.
        _ when sqlState.StartsWith("08", StringComparison.Ordinal) || sqlState.StartsWith("53", StringComparison.Ordinal)
            || sqlState.StartsWith("57", StringComparison.Ordinal) || sqlState.StartsWith("58", StringComparison.Ordinal)
            || sqlState.StartsWith("XX", StringComparison.Ordinal) => ReplicationErrorKind.Transient,
        PostgresErrorCodes.SerializationFailure or PostgresErrorCodes.DeadlockDetected or PostgresErrorCodes.LockNotAvailable
            or PostgresErrorCodes.ReadOnlySqlTransaction => ReplicationErrorKind.Transient,
        // A cached plan or type went stale after DDL: caches are dropped and it is tried again.
        PostgresErrorCodes.FeatureNotSupported => ReplicationErrorKind.Transient,
        PostgresErrorCodes.ObjectInUse => ReplicationErrorKind.InUse,
        PostgresErrorCodes.InvalidPassword or PostgresErrorCodes.InvalidAuthorizationSpecification
            or PostgresErrorCodes.InvalidCatalogName or PostgresErrorCodes.InsufficientPrivilege => ReplicationErrorKind.AccessDenied,
        _ => ReplicationErrorKind.ApplyRefused,
    };

    // Names only: Detail can hold row values, and a row value never reaches a log.
    private static string Where(PostgresException e) => string.Concat(
        e.TableName is { Length: > 0 } table ? $", table {e.SchemaName}.{table}" : "",
        e.ColumnName is { Length: > 0 } column ? $", column {column}" : "",
        e.ConstraintName is { Length: > 0 } constraint ? $", constraint {constraint}" : "");
}
