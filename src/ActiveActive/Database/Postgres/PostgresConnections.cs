using Npgsql;

namespace ActiveActive.Database.Postgres;

/// <summary>Derives the connection strings of the library's own connections from the application's.</summary>
internal static class PostgresConnections
{
    /// <summary>Plain SQL: set-up, checkpoints, tombstones, history.</summary>
    public static string ForSql(string connectionString) => Derive(connectionString, "active_active", []).ConnectionString;

    /// <summary>Apply: triggers and foreign keys off, commits not flushed one by one (see IApplySession.FlushAsync), statements prepared.</summary>
    public static string ForApply(string connectionString)
    {
        var builder = Derive(connectionString, "active_active apply",
            [("session_replication_role", "replica"), ("synchronous_commit", "off")]);
        builder.Pooling = false;
        builder.MaxAutoPrepare = 500;
        builder.AutoPrepareMinUsages = 2;
        return builder.ConnectionString;
    }

    /// <summary>The replication protocol: capture.</summary>
    public static string ForReplication(string connectionString)
    {
        // An empty search path prints regclass and its like with their schema, whatever path the database or the role has.
        var builder = Derive(connectionString, "active_active capture", [("search_path", "")]);
        builder.SearchPath = null;
        builder.Pooling = false;
        return builder.ConnectionString;
    }

    private static NpgsqlConnectionStringBuilder Derive(string connectionString, string applicationName, IReadOnlyList<(string, string)> settings) =>
        new(connectionString)
        {
            ApplicationName = applicationName,
            Options = SessionSettings.ToOptions(settings),
            Enlist = false,
            Multiplexing = false,
            IncludeErrorDetail = false,
            LoadBalanceHosts = false,
            // Start-up parameters of their own, which win over Options; unset, Npgsql takes them from PGTZ and PGCLIENTENCODING.
            Timezone = "UTC",
            ClientEncoding = "UTF8",
        };
}
