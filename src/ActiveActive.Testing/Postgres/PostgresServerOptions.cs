namespace ActiveActive.Testing;

/// <summary>What kind of PostgreSQL server <see cref="PostgresServer.StartAsync(PostgresServerOptions?, CancellationToken)"/> starts.</summary>
public sealed class PostgresServerOptions
{
    /// <summary>The wanted major version, 15 or later. Default <see langword="null"/>: whichever is found first.</summary>
    public int? Version { get; init; }

    /// <summary>
    /// Server settings, by name, that replace or add to the defaults (<c>wal_level=logical</c>, <c>track_commit_timestamp=on</c>,
    /// 20 slots and senders, 100 connections, 64 MB of shared buffers). They are written to <c>postgresql.conf</c>, so
    /// <c>ALTER SYSTEM</c> still wins. <c>port</c> cannot be set: the server picks a free one.
    /// </summary>
    public IDictionary<string, string> Settings { get; init; } = new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase);

    /// <summary>
    /// Whether the server flushes to disk. Default <see langword="false"/>: the data survives a crash of the server
    /// (<see cref="PostgresServer.KillAsync"/>), but not one of the machine, and tests are several times faster.
    /// </summary>
    public bool Fsync { get; init; }

    /// <summary>How long a start may take until the first connection works. Default 60 seconds.</summary>
    public TimeSpan StartTimeout { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>
    /// How long a stop may take. Default 90 seconds: a fast shutdown waits for connected replication clients up to
    /// <c>wal_sender_timeout</c>.
    /// </summary>
    public TimeSpan StopTimeout { get; init; } = TimeSpan.FromSeconds(90);

    /// <summary>The programs to run. Default <see langword="null"/>: <see cref="PostgresBinaries.FindAsync"/> finds them.</summary>
    public PostgresBinaries? Binaries { get; init; }
}
