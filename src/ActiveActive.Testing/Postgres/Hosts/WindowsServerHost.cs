using System.Diagnostics;
using System.Globalization;

namespace ActiveActive.Testing;

/// <summary>
/// Runs the server through <c>pg_ctl</c>, which gives up administrator rights on its own. A test process that is killed
/// leaves its server behind here: there is no watchdog on Windows.
/// </summary>
internal sealed class WindowsServerHost : IServerHost
{
    private readonly PostgresBinaries _binaries;
    private readonly PostgresServerOptions _options;
    private readonly string _folder = Path.Combine(Path.GetTempPath(), "activeactive-pg-" + Guid.NewGuid().ToString("N"));

    public WindowsServerHost(PostgresBinaries binaries, PostgresServerOptions options)
    {
        _binaries = binaries;
        _options = options;
        AppDomain.CurrentDomain.ProcessExit += OnProcessExit;
    }

    public string DataDirectory => Path.Combine(_folder, "data");

    public int? ProcessId
    {
        get
        {
            using Process? process = FindPostmaster();
            return process?.Id;
        }
    }

    // pg_ctl has returned by now; until the lock file is there, the server is still starting.
    public bool HasExited => File.Exists(LockFile) && ProcessId is null;

    private string LockFile => Path.Combine(DataDirectory, "postmaster.pid");

    public async Task InitialiseAsync(CancellationToken cancellationToken)
    {
        Directory.CreateDirectory(_folder);
        string passwordFile = Path.Combine(_folder, "password");
        await File.WriteAllTextAsync(passwordFile, ServerConfiguration.SuperuserPassword + "\n", cancellationToken);
        await RunAsync(
            "initdb",
            [
                "--pgdata", DataDirectory, "--username", ServerConfiguration.Superuser, "--pwfile", passwordFile,
                "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-sync",
            ],
            cancellationToken);
        await File.AppendAllTextAsync(
            Path.Combine(DataDirectory, "postgresql.conf"), ServerConfiguration.FileText(_options), cancellationToken);
    }

    public async Task LaunchAsync(int port, CancellationToken cancellationToken)
    {
        // Its output is not redirected: the server would inherit the pipe and keep it open.
        string[] arguments =
        [
            "start", "--no-wait", "--silent", "--pgdata", DataDirectory, "--log", Path.Combine(_folder, "server.log"),
            "--options", "-p " + port.ToString(CultureInfo.InvariantCulture),
        ];
        using Process start = Process.Start(ToolCommand.StartInfo(_binaries.Program("pg_ctl"), arguments, user: null))!;
        await start.WaitForExitAsync(cancellationToken);
    }

    public async Task StopAsync(PostgresStopMode mode, CancellationToken cancellationToken)
    {
        if (ProcessId is not null)
            await RunAsync("pg_ctl", StopArguments(mode), cancellationToken);
    }

    public async Task KillAsync(CancellationToken cancellationToken)
    {
        using Process? process = FindPostmaster();
        if (process is null)
            return;
        process.Kill(entireProcessTree: true);
        await process.WaitForExitAsync(cancellationToken);
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
        AppDomain.CurrentDomain.ProcessExit -= OnProcessExit;
        await StopAsync(PostgresStopMode.Immediate, CancellationToken.None);
        if (Directory.Exists(_folder))
            Directory.Delete(_folder, recursive: true);
    }

    private Process? FindPostmaster()
    {
        try
        {
            using StreamReader lockFile = new(new FileStream(LockFile, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete));
            return Process.GetProcessById(int.Parse(lockFile.ReadLine() ?? "", CultureInfo.InvariantCulture));
        }
        catch (Exception e) when (e is IOException or ArgumentException or FormatException)
        {
            return null;
        }
    }

    private void OnProcessExit(object? sender, EventArgs e)
    {
        using Process? stop = Process.Start(
            ToolCommand.StartInfo(_binaries.Program("pg_ctl"), StopArguments(PostgresStopMode.Immediate), user: null));
        stop?.WaitForExit();
    }

    private string[] StopArguments(PostgresStopMode mode) =>
        ["stop", "--silent", "--pgdata", DataDirectory, "--mode", mode is PostgresStopMode.Fast ? "fast" : "immediate"];

    private async Task RunAsync(string program, string[] arguments, CancellationToken cancellationToken)
    {
        ToolResult result = await ToolCommand.RunAsync(_binaries.Program(program), arguments, cancellationToken);
        if (!result.Succeeded)
            throw new PostgresServerException($"{program} ended with {result.ExitCode}: {result.Output.Trim()}");
    }
}
