using Npgsql;

namespace ActiveActive.Database.Postgres;

/// <summary>Derives the connection strings of the library's own connections from the application's.</summary>
internal static class PostgresConnections
{
    // Of what has come in, much is taken with one call.
    private const int ReadBufferBytes = 128 << 10;

    private const string SnapshotName = "active_active snapshot";

    private static readonly (string, string)[] s_noLimits = [("statement_timeout", "0"), ("lock_timeout", "0"), ("idle_in_transaction_session_timeout", "0")];

    /// <summary>
    /// The session by which an instance leads, or stands by. Nothing in it takes long: what is not answered in time counts as lost, at once and without asking the server to
    /// cancel it.
    /// </summary>
    public static string ForLease(string connectionString, InstanceName instance)
    {
        var builder = Derive(connectionString, instance.LeaseApplication, [("statement_timeout", "0"), ("lock_timeout", "0")]);
        builder.Pooling = false;
        builder.CommandTimeout = 0;
        builder.CancellationTimeout = -1;
        return builder.ConnectionString;
    }

    /// <summary>Plain SQL: set-up, checkpoints, tombstones, history. Every commit is durable, whatever the role or database is set to.</summary>
    public static string ForSql(string connectionString, InstanceName instance) =>
        Derive(connectionString, instance.SqlApplication, [("synchronous_commit", "on"), ("statement_timeout", "0"), ("lock_timeout", "0"), ("idle_in_transaction_session_timeout", "0")]).ConnectionString;

    /// <summary>
    /// Apply: triggers and foreign keys off, commits not flushed one by one (see IApplySession.FlushAsync), statements prepared. As in
    /// PostgreSQL's own apply worker, the search path is bare and row security refuses instead of hiding rows. No time-out: a lock
    /// held by the application, or a large TRUNCATE, is waited for; cancelling ends the wait.
    /// </summary>
    public static NpgsqlDataSource ForApply(string connectionString)
    {
        var builder = Derive(connectionString, InstanceName.ApplyApplication,
        [
            ("session_replication_role", "replica"), ("synchronous_commit", "off"), ("search_path", "pg_catalog"), ("row_security", "off"),
            ("statement_timeout", "0"), ("lock_timeout", "0"), ("idle_in_transaction_session_timeout", "0"),
        ]);
        // A start-up parameter of its own, which would win over Options.
        builder.SearchPath = null;
        builder.CommandTimeout = 0;
        builder.TcpKeepAlive = true;
        builder.TcpKeepAliveTime = 15;
        builder.TcpKeepAliveInterval = 5;
        builder.IncludeFailedBatchedCommand = true;
        builder.Pooling = false;
        builder.MaxAutoPrepare = 500;
        builder.AutoPrepareMinUsages = 2;

        // Rows are read as text, whatever their types. Npgsql is not told of the database's own types: it fails on a column of some
        // (a domain over an array) even where the text is all that is asked for.
        var source = new NpgsqlDataSourceBuilder(builder.ConnectionString);
        source.ConfigureTypeLoading(types => types.EnableTypeLoading(false));
        return source.Build();
    }

    /// <summary>Reads a snapshot: texts come out as they go into the sessions of <see cref="ForApply"/>, and no row is hidden. It may take as long as it takes.</summary>
    public static NpgsqlDataSource ForSnapshot(string connectionString)
    {
        var builder = Derive(connectionString, SnapshotName, [("search_path", "pg_catalog"), ("row_security", "off"), .. s_noLimits]);
        builder.SearchPath = null;
        builder.CommandTimeout = 0;
        builder.TcpKeepAlive = true;
        builder.TcpKeepAliveTime = 15;
        builder.TcpKeepAliveInterval = 5;
        builder.Pooling = false;
        builder.ReadBufferSize = ReadBufferBytes;
        var source = new NpgsqlDataSourceBuilder(builder.ConnectionString);
        source.ConfigureTypeLoading(types => types.EnableTypeLoading(false));
        return source.Build();
    }

    /// <summary>The replication protocol: the slot that a snapshot is taken with.</summary>
    public static string ForSnapshotSlot(string connectionString)
    {
        var builder = Derive(connectionString, SnapshotName, s_noLimits);
        builder.Pooling = false;
        return builder.ConnectionString;
    }

    /// <summary>The replication protocol: capture.</summary>
    public static string ForReplication(string connectionString)
    {
        // An empty search path prints regclass and its like with their schema, whatever path the database or the role has.
        var builder = Derive(connectionString, InstanceName.CaptureApplication, [("search_path", "")]);
        builder.SearchPath = null;
        builder.ReadBufferSize = ReadBufferBytes;
        builder.Pooling = false;
        return builder.ConnectionString;
    }

    /// <summary>The log over SQL; texts come out as <see cref="ForReplication"/> gets them. A slow reader is waited for.</summary>
    public static string ForLogBatches(string connectionString)
    {
        var builder = Derive(connectionString, InstanceName.CaptureApplication, [("search_path", ""), ("statement_timeout", "0"), ("idle_in_transaction_session_timeout", "0")]);
        builder.SearchPath = null;
        builder.Pooling = false;
        builder.CommandTimeout = 0;
        builder.ReadBufferSize = ReadBufferBytes;
        return builder.ConnectionString;
    }

    private static NpgsqlConnectionStringBuilder Derive(string connectionString, string applicationName, IReadOnlyList<(string, string)> settings) =>
        new(connectionString)
        {
            ApplicationName = applicationName,
            Options = SessionSettings.ToOptions(settings),
            Enlist = false,
            Multiplexing = false,
            // What a session has set must not outlast it.
            NoResetOnClose = false,
            IncludeErrorDetail = false,
            LoadBalanceHosts = false,
            // Start-up parameters of their own, which win over Options; unset, Npgsql takes them from PGTZ and PGCLIENTENCODING.
            Timezone = "UTC",
            ClientEncoding = "UTF8",
        };
}
