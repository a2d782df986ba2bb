using System.Collections.Concurrent;
using System.Diagnostics;
using Npgsql;

namespace ActiveActive.Testing;

/// <summary>
/// A PostgreSQL server of its own for tests: a fresh cluster on a free port of 127.0.0.1, ready for logical replication,
/// without Docker. Disposing ends it and removes its data; so does, on Linux and macOS, the end of the test process,
/// even by SIGKILL. Passwords are checked for every role (<c>scram-sha-256</c>).
/// </summary>
/// <remarks>
/// Start, stop and kill one at a time; everything else may run in parallel. Run by root, the server runs as the user
/// <c>postgres</c>, else <c>nobody</c>, since PostgreSQL refuses root.
/// </remarks>
public sealed class PostgresServer : IAsyncDisposable
{
    private const int PortAttempts = 10;
    private const int LogTailLines = 30;

    private readonly IServerHost _host;
    private readonly PostgresServerOptions _options;
    private readonly ConcurrentDictionary<string, bool> _connectionStrings = new();
    private string? _dataDirectory;
    private bool _disposed;

    private PostgresServer(IServerHost host, PostgresServerOptions options)
    {
        _host = host;
        _options = options;
    }

    /// <summary>The server's version, for example 18.4.</summary>
    public Version Version { get; private set; } = new();

    /// <summary>The TCP port on 127.0.0.1; stays the same over stops and starts.</summary>
    public int Port { get; private set; }

    /// <summary>The cluster's folder, as the server sees it.</summary>
    public string DataDirectory => _dataDirectory ?? throw new InvalidOperationException("The server was never ready.");

    /// <summary>The postmaster's process id; null while the server is stopped, and in a container.</summary>
    public int? ProcessId => _host.ProcessId;

    /// <summary>Connects the superuser <c>postgres</c> to the database <c>postgres</c>.</summary>
    public string SuperuserConnectionString => ConnectionStringFor("postgres");

    /// <summary>Finds, initialises and starts a server, and waits until a connection works.</summary>
    /// <param name="options">What to start; null takes the defaults.</param>
    /// <param name="cancellationToken">Gives up; nothing stays behind.</param>
    /// <exception cref="PostgresNotFoundException">This machine has no such server and no way to get one.</exception>
    /// <exception cref="PostgresServerException">It did not start; the message holds the end of its log.</exception>
    public static Task<PostgresServer> StartAsync(PostgresServerOptions? options = null, CancellationToken cancellationToken = default) =>
        StartAsync(options ?? new PostgresServerOptions(), BinarySources.FromEnvironment(), FreePort.Pick, cancellationToken);

    internal static async Task<PostgresServer> StartAsync(
        PostgresServerOptions options, BinarySources sources, Func<int> pickPort, CancellationToken cancellationToken)
    {
        if (options.Version is { } version)
            ArgumentOutOfRangeException.ThrowIfLessThan(version, BinarySearch.OldestVersion, nameof(options));
        _ = ServerConfiguration.Settings(options);
        PostgresServer server = new(await CreateHostAsync(options, sources, cancellationToken), options);
        try
        {
            await server._host.InitialiseAsync(cancellationToken);
            await server.StartOnFreePortAsync(pickPort, cancellationToken);
            return server;
        }
        catch
        {
            await server.DisposeAsync();
            throw;
        }
    }

    /// <summary>Stops the server; its data stays. Does nothing if it is stopped.</summary>
    /// <param name="mode">Whether it tidies up first.</param>
    /// <param name="cancellationToken">Stops waiting, not the stop.</param>
    /// <exception cref="PostgresServerException">It still runs after <see cref="PostgresServerOptions.StopTimeout"/>.</exception>
    public async Task StopAsync(PostgresStopMode mode = PostgresStopMode.Fast, CancellationToken cancellationToken = default)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        using CancellationTokenSource limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(_options.StopTimeout);
        try
        {
            await _host.StopAsync(mode, limit.Token);
        }
        catch (OperationCanceledException e) when (!cancellationToken.IsCancellationRequested)
        {
            throw await FailureAsync($"still runs {_options.StopTimeout.TotalSeconds} s after it was asked to stop", e);
        }

        ClearPools();
    }

    /// <summary>Starts the stopped or killed server again, on the same port, and waits until a connection works.</summary>
    /// <param name="cancellationToken">Gives up waiting.</param>
    /// <exception cref="InvalidOperationException">It runs.</exception>
    /// <exception cref="PostgresServerException">It did not start; the message holds the end of its log.</exception>
    public async Task StartAgainAsync(CancellationToken cancellationToken = default)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (!_host.HasExited)
            throw new InvalidOperationException($"The server on port {Port} runs already.");
        await _host.LaunchAsync(Port, cancellationToken);
        await AwaitReadyAsync(cancellationToken);
    }

    /// <summary>Crashes the server: SIGKILL to the postmaster and all of its children. The next start recovers.</summary>
    /// <param name="cancellationToken">Stops waiting for their end.</param>
    public async Task KillAsync(CancellationToken cancellationToken = default)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        await _host.KillAsync(cancellationToken);
        ClearPools();
    }

    /// <summary>Creates a database and returns the superuser's connection string for it.</summary>
    /// <param name="name">Its name; need not be quoted.</param>
    /// <param name="cancellationToken">Stops waiting.</param>
    public async Task<string> CreateDatabaseAsync(string name, CancellationToken cancellationToken = default)
    {
        await ExecuteAsync($"CREATE DATABASE {Identifier(name)}", cancellationToken: cancellationToken);
        return ConnectionStringFor(name);
    }

    /// <summary>Creates a role that can log in with a password and is no superuser.</summary>
    /// <param name="name">Its name; need not be quoted.</param>
    /// <param name="password">Its password, which the server checks.</param>
    /// <param name="replication">Whether it may use replication connections and slots.</param>
    /// <param name="cancellationToken">Stops waiting.</param>
    public Task CreateRoleAsync(string name, string password, bool replication = false, CancellationToken cancellationToken = default)
    {
        string attribute = replication ? "REPLICATION" : "NOREPLICATION";
        return ExecuteAsync($"CREATE ROLE {Identifier(name)} LOGIN {attribute} PASSWORD {Literal(password)}", cancellationToken: cancellationToken);
    }

    /// <summary>Runs SQL as the superuser.</summary>
    /// <param name="sql">One or more statements.</param>
    /// <param name="database">Where to run them.</param>
    /// <param name="cancellationToken">Cancels them.</param>
    public async Task ExecuteAsync(string sql, string database = "postgres", CancellationToken cancellationToken = default)
    {
        await using NpgsqlConnection connection = new(ConnectionStringFor(database));
        await connection.OpenAsync(cancellationToken);
        await using NpgsqlCommand command = new(sql, connection);
        await command.ExecuteNonQueryAsync(cancellationToken);
    }

    /// <summary>A connection string for a database of this server.</summary>
    /// <param name="database">The database.</param>
    /// <param name="username">The role; the superuser by default.</param>
    /// <param name="password">The role's password; the superuser's by default.</param>
    public string ConnectionStringFor(
        string database, string username = ServerConfiguration.Superuser, string password = ServerConfiguration.SuperuserPassword)
    {
        string text = new NpgsqlConnectionStringBuilder
        {
            Host = "127.0.0.1",
            Port = Port,
            Database = database,
            Username = username,
            Password = password,
            SslMode = SslMode.Disable,
            GssEncryptionMode = GssEncryptionMode.Disable,
            IncludeErrorDetail = true,
        }.ConnectionString;
        _connectionStrings.TryAdd(text, true);
        return text;
    }

    /// <summary>All that the server has logged since it was created.</summary>
    /// <param name="cancellationToken">Stops reading.</param>
    public Task<string> ReadLogAsync(CancellationToken cancellationToken = default) => _host.ReadLogAsync(cancellationToken);

    /// <summary>Ends the server at once and removes its data.</summary>
    public async ValueTask DisposeAsync()
    {
        if (_disposed)
            return;
        _disposed = true;
        ClearPools();
        await _host.DisposeAsync();
    }

    private static async Task<IServerHost> CreateHostAsync(
        PostgresServerOptions options, BinarySources sources, CancellationToken cancellationToken)
    {
        BinarySearch search = new(sources, options.Version);
        PostgresBinaries? binaries = options.Binaries ?? await search.RunAsync(cancellationToken);
        if (binaries is not null)
            return OperatingSystem.IsWindows() ? new WindowsServerHost(binaries, options) : new UnixServerHost(binaries, options);

        string? whyNoContainer = sources.Containers ? ContainerServerHost.WhyUnavailable() : "switched off";
        if (whyNoContainer is null)
            return new ContainerServerHost(options.Version ?? BinarySearch.NewestVersion, options);
        search.Add($"Docker: {whyNoContainer}");
        throw new PostgresNotFoundException(options.Version, search.Attempts);
    }

    private async Task StartOnFreePortAsync(Func<int> pickPort, CancellationToken cancellationToken)
    {
        for (int attempt = 1; ; attempt++)
        {
            Port = pickPort();
            _connectionStrings.Clear();
            int logged = (await _host.ReadLogAsync(cancellationToken)).Length;
            await _host.LaunchAsync(Port, cancellationToken);
            try
            {
                await AwaitReadyAsync(cancellationToken);
                return;
            }
            catch (PostgresServerException) when (attempt < PortAttempts && _host.HasExited)
            {
                // Somebody took the port between the pick and the bind; nothing else is worth another try.
                string log = await _host.ReadLogAsync(cancellationToken);
                if (!log[logged..].Contains("could not bind", StringComparison.Ordinal))
                    throw;
            }
        }
    }

    private async Task AwaitReadyAsync(CancellationToken cancellationToken)
    {
        Stopwatch waited = Stopwatch.StartNew();
        while (true)
        {
            NpgsqlException? lastError = null;
            try
            {
                if (await TryConnectAsync(cancellationToken))
                    return;
            }
            catch (NpgsqlException e)
            {
                lastError = e;
            }

            if (_host.HasExited)
                throw await FailureAsync("ended before it accepted a connection", lastError);
            if (waited.Elapsed > _options.StartTimeout)
                throw await FailureAsync($"accepted no connection within {_options.StartTimeout.TotalSeconds} s", lastError);
            await Task.Delay(10, cancellationToken);
        }
    }

    private async Task<bool> TryConnectAsync(CancellationToken cancellationToken)
    {
        NpgsqlConnectionStringBuilder builder = new(SuperuserConnectionString) { Pooling = false, Timeout = 5 };
        await using NpgsqlConnection connection = new(builder.ConnectionString);
        await connection.OpenAsync(cancellationToken);
        await using NpgsqlCommand command = new("SELECT current_setting('data_directory'), current_setting('server_version_num')::int", connection);
        await using NpgsqlDataReader reader = await command.ExecuteReaderAsync(cancellationToken);
        await reader.ReadAsync(cancellationToken);
        string directory = Path.GetFullPath(reader.GetString(0));

        // Another server may have taken the port in the meantime; ours is then about to end.
        if (_host.DataDirectory is { } expected && directory != Path.GetFullPath(expected))
            return false;
        _dataDirectory = directory;
        // Npgsql would tell the version of the first server that it met on this port.
        Version = new Version(reader.GetInt32(1) / 10_000, reader.GetInt32(1) % 10_000);
        return true;
    }

    private async Task<PostgresServerException> FailureAsync(string what, Exception? lastError)
    {
        string[] lines = (await _host.ReadLogAsync(CancellationToken.None)).TrimEnd().Split('\n');
        string tail = string.Join('\n', lines.TakeLast(LogTailLines));
        return new PostgresServerException(
            $"The PostgreSQL server on port {Port} ({_host.DataDirectory}) {what}. The end of its log:\n{tail}", lastError);
    }

    // A pooled connection to the ended server would fail its next user.
    private void ClearPools()
    {
        foreach (string text in _connectionStrings.Keys)
        {
            using NpgsqlConnection connection = new(text);
            NpgsqlConnection.ClearPool(connection);
        }
    }

    private static string Identifier(string name) => $"\"{name.Replace("\"", "\"\"", StringComparison.Ordinal)}\"";

    private static string Literal(string text) =>
        $"E'{text.Replace(@"\", @"\\", StringComparison.Ordinal).Replace("'", "''", StringComparison.Ordinal)}'";
}
