using System.Diagnostics;
using System.Globalization;
using System.Runtime.Versioning;

namespace ActiveActive.Testing;

/// <summary>
/// Runs the server as a child process. Each server gets its own <c>initdb</c> (half a second without sync) rather than
/// a copy of a template: a copy would share the template's system identifier, by which nodes are told apart, and
/// <c>pg_resetwal</c>, which can change it, is not part of the embedded packages.
/// </summary>
[UnsupportedOSPlatform("windows")]
internal sealed class UnixServerHost : IServerHost
{
    // Run as the server's user, so that all files are its own: the folder is closed to everybody else.
    private const string InitialiseScript = """
        umask 077
        folder=$1; password=$2; shift 2
        mkdir "$folder" && printf '%s\n' "$password" >"$folder/password" && exec "$@" --pwfile="$folder/password"
        """;

    // The shell becomes the server, so the id it writes is the postmaster's, and no output of the test process is inherited.
    private const string LaunchScript = """
        folder=$1; shift
        echo $$ >"$folder/pid"
        exec "$@" </dev/null >>"$folder/server.log" 2>&1
        """;

    private static readonly TimeSpan KillTimeout = TimeSpan.FromSeconds(10);

    private readonly PostgresBinaries _binaries;
    private readonly PostgresServerOptions _options;
    private readonly string _folder;
    private readonly Watchdog _watchdog;
    private Process? _process;

    public UnixServerHost(PostgresBinaries binaries, PostgresServerOptions options)
    {
        _binaries = binaries;
        _options = options;
        _folder = Path.Combine(ServerUser.Current.TemporaryFolder, "activeactive-pg-" + Guid.NewGuid().ToString("N"));
        _watchdog = Watchdog.Start(_folder);
    }

    public string DataDirectory => Path.Combine(_folder, "data");

    public int? ProcessId => _process is { HasExited: false } running ? running.Id : null;

    public bool HasExited => _process is null or { HasExited: true };

    public async Task InitialiseAsync(CancellationToken cancellationToken)
    {
        string[] arguments =
        [
            "-c", InitialiseScript, "sh", _folder, ServerConfiguration.SuperuserPassword,
            _binaries.Program("initdb"), "--pgdata", DataDirectory, "--username", ServerConfiguration.Superuser,
            "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-sync", "--no-instructions",
        ];
        ToolResult result = await ToolCommand.RunAsync("sh", arguments, cancellationToken, ServerUser.Current.Name);
        if (!result.Succeeded)
            throw new PostgresServerException($"initdb of PostgreSQL {_binaries.Version} ended with {result.ExitCode}: {result.Output.Trim()}");
        await File.AppendAllTextAsync(
            Path.Combine(DataDirectory, "postgresql.conf"), ServerConfiguration.FileText(_options), cancellationToken);
    }

    public Task LaunchAsync(int port, CancellationToken cancellationToken)
    {
        string[] arguments =
        [
            "-c", LaunchScript, "sh", _folder,
            _binaries.Program("postgres"), "-D", DataDirectory, "-p", port.ToString(CultureInfo.InvariantCulture),
        ];
        _process?.Dispose();
        _process = Process.Start(ToolCommand.StartInfo("sh", arguments, ServerUser.Current.Name));
        return Task.CompletedTask;
    }

    public async Task StopAsync(PostgresStopMode mode, CancellationToken cancellationToken)
    {
        if (_process is null or { HasExited: true })
            return;
        UnixProcesses.Send(_process.Id, mode is PostgresStopMode.Fast ? UnixProcesses.Interrupt : UnixProcesses.Quit);
        await _process.WaitForExitAsync(cancellationToken);
    }

    public async Task KillAsync(CancellationToken cancellationToken)
    {
        if (_process is null or { HasExited: true })
            return;

        // Stopped first: it can neither fork nor tidy up while its children are listed and killed.
        int postmaster = _process.Id;
        UnixProcesses.Send(postmaster, UnixProcesses.Stop);
        IReadOnlyList<int> children = await UnixProcesses.ChildrenOfAsync(postmaster);
        UnixProcesses.Send(postmaster, UnixProcesses.Kill);
        foreach (int child in children)
            UnixProcesses.Send(child, UnixProcesses.Kill);

        // A start refuses a data directory whose shared memory a dying child still holds.
        await _process.WaitForExitAsync(cancellationToken);
        Stopwatch waited = Stopwatch.StartNew();
        while (children.Any(UnixProcesses.IsAlive))
        {
            if (waited.Elapsed > KillTimeout)
                throw new PostgresServerException($"Processes of the killed server {postmaster} still run after {KillTimeout.TotalSeconds} s.");
            await Task.Delay(5, cancellationToken);
        }
    }

    public async Task<string> ReadLogAsync(CancellationToken cancellationToken)
    {
        string path = Path.Combine(_folder, "server.log");
        if (!File.Exists(path))
            return "";
        await using FileStream file = new(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        using StreamReader reader = new(file);
        return await reader.ReadToEndAsync(cancellationToken);
    }

    public async ValueTask DisposeAsync()
    {
        await _watchdog.DisposeAsync();

        // Only if somebody ended the watchdog.
        await KillAsync(CancellationToken.None);
        if (Directory.Exists(_folder))
            Directory.Delete(_folder, recursive: true);
        _process?.Dispose();
    }
}
