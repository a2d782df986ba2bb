using Npgsql;

namespace ActiveActive.Database.Postgres;

/// <summary>Maps what Npgsql throws to a <see cref="ReplicationException"/> with a kind. The one place that knows SQLSTATEs.</summary>
internal static class PostgresErrors
{
    /// <summary>Translates a fault; <paramref name="doing"/> ends the sentence "While …", for example <c>applying us 0/1A2B to public.accounts</c>.</summary>
    public static ReplicationException Translate(Exception exception, string doing) => exception switch
    {
        ReplicationException known => known,
        PostgresException postgres => Refusal(KindOf(postgres.SqlState), postgres, doing),
        NpgsqlException or TimeoutException or System.Net.Sockets.SocketException or IOException =>
            new ReplicationException(ReplicationErrorKind.Transient, $"While {doing}: {exception.Message}", exception),
        _ => new ReplicationException(ReplicationErrorKind.Corrupt, $"While {doing}: {exception.GetType().Name}: {exception.Message}", exception),
    };

    /// <summary>A fault of connecting, with where to and as whom.</summary>
    public static ReplicationException TranslateConnecting(Exception exception, PostgresDatabaseOptions options)
    {
        var target = new NpgsqlConnectionStringBuilder(options.ConnectionString);
        return Translate(exception, $"connecting node {options.Node} to database {target.Database ?? target.Username} at {target.Host}:{target.Port} as {target.Username}");
    }

    /// <summary>The same with a kind that the caller knows better than the SQLSTATE tells.</summary>
    public static ReplicationException Refusal(ReplicationErrorKind kind, PostgresException exception, string doing) => new(kind,
        $"While {doing}: PostgreSQL says {exception.SqlState} {SafeText(exception)}{Where(exception)}", WithoutValues(exception));

    /// <summary>Whether a changed table or type can explain the error, so that what is cached about tables must be read again.</summary>
    public static bool MayFollowSchemaChange(string sqlState) =>
        sqlState is PostgresErrorCodes.FeatureNotSupported or PostgresErrorCodes.UndefinedTable or PostgresErrorCodes.UndefinedColumn
            or PostgresErrorCodes.UndefinedObject or PostgresErrorCodes.UndefinedFunction or PostgresErrorCodes.DatatypeMismatch
            or PostgresErrorCodes.InvalidSqlStatementName or PostgresErrorCodes.InvalidSchemaName
            || sqlState.StartsWith("22", StringComparison.Ordinal);

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

    // The texts of these classes name objects and settings. Others quote input ("invalid input syntax for type integer: …"), or are
    // a trigger's own words, and may hold a row value.
    private static string SafeText(PostgresException e) =>
        e.SqlState is ['0', '8' or 'A', ..] or ['2', '3' or '5' or '8', ..] or ['3', ..] or ['4', '0' or '2', ..] or ['5', ..]
            ? e.MessageText
            : UntranslatableText(e) ?? "(text withheld: it may quote a row; the server's log has it)";

    // What stands before is the character. (In another language than English the text stays withheld.)
    private static string? UntranslatableText(PostgresException e) =>
        e.SqlState == PostgresErrorCodes.UntranslatableCharacter && e.MessageText.IndexOf("in encoding ", StringComparison.Ordinal) is >= 0 and var start
            ? $"a character {e.MessageText[start..]}: this database can't hold it. Give all databases the encoding UTF8"
            : null;

    // An exception's ToString() prints all of its fields, and loggers print inner exceptions.
    private static PostgresException WithoutValues(PostgresException e) => new(
        SafeText(e), e.Severity, e.InvariantSeverity, e.SqlState, schemaName: e.SchemaName, tableName: e.TableName, columnName: e.ColumnName,
        dataTypeName: e.DataTypeName, constraintName: e.ConstraintName, file: e.File, line: e.Line, routine: e.Routine);

    // Names only: Detail can hold row values, and a row value never reaches a log.
    private static string Where(PostgresException e) => string.Concat(
        e.TableName is { Length: > 0 } table ? $", table {e.SchemaName}.{table}" : "",
        e.ColumnName is { Length: > 0 } column ? $", column {column}" : "",
        e.ConstraintName is { Length: > 0 } constraint ? $", constraint {constraint}" : "");
}
