namespace ActiveActive.Testing;

/// <summary>
/// What runs a server: a process on Unix, one on Windows, or a container. It launches and ends;
/// <see cref="PostgresServer"/> decides when the server is ready. One call at a time.
/// </summary>
internal interface IServerHost : IAsyncDisposable
{
    /// <summary>Where the server's data is, or null when only the server knows.</summary>
    string? DataDirectory { get; }

    /// <summary>The postmaster's process id on this machine, or null when there is none.</summary>
    int? ProcessId { get; }

    /// <summary>Whether the launched server has ended.</summary>
    bool HasExited { get; }

    /// <summary>Creates the cluster: once, before the first start.</summary>
    Task InitialiseAsync(CancellationToken cancellationToken);

    /// <summary>Launches the server on this port of 127.0.0.1; does not wait until it is ready.</summary>
    Task LaunchAsync(int port, CancellationToken cancellationToken);

    /// <summary>Ends the server and waits for its end.</summary>
    Task StopAsync(PostgresStopMode mode, CancellationToken cancellationToken);

    /// <summary>Crashes the server: no process of it runs any code after this call.</summary>
    Task KillAsync(CancellationToken cancellationToken);

    /// <summary>All that the server has logged.</summary>
    Task<string> ReadLogAsync(CancellationToken cancellationToken);
}
