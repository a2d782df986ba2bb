using System.Diagnostics;
using System.Text.Json;

namespace ActiveActive.Benchmarks.Hosts;

/// <summary>
/// One host in a process of its own: this program, started once more as <c>host</c>. Its standard input brings the settings and then
/// stays open; when it closes, be it on purpose or because this process died, the host stops.
/// </summary>
internal sealed class HostProcess : IAsyncDisposable
{
    private const int KeptLines = 40;
    private static readonly TimeSpan s_stopTimeout = TimeSpan.FromSeconds(15);

    private readonly Process _process;
    private readonly Action<string>? _printed;
    private readonly Queue<string> _lines = new();

    private HostProcess(Process process, Action<string>? printed)
    {
        _process = process;
        _printed = printed;
    }

    public bool HasExited => _process.HasExited;

    public int Id => _process.Id;

    /// <summary>The end of what it printed.</summary>
    public string Output
    {
        get
        {
            lock (_lines) return string.Join('\n', _lines);
        }
    }

    /// <param name="settings">What the host is told.</param>
    /// <param name="printed">Gets every line that the host prints, as it comes, on any thread.</param>
    public static async Task<HostProcess> StartAsync(HostSettings settings, Action<string>? printed)
    {
        var program = Environment.ProcessPath ?? throw new BenchmarkException("This program can't find itself to start hosts.");
        var start = new ProcessStartInfo(program) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true, UseShellExecute = false };
        // Run as `dotnet ActiveActive.Benchmarks.dll`, the program is dotnet and its first argument the assembly.
        if (Path.GetFileNameWithoutExtension(program) == "dotnet") start.ArgumentList.Add(Environment.GetCommandLineArgs()[0]);
        start.ArgumentList.Add("host");

        var host = new HostProcess(Process.Start(start)!, printed);
        host._process.OutputDataReceived += (_, e) => host.Keep(e.Data);
        host._process.ErrorDataReceived += (_, e) => host.Keep(e.Data);
        host._process.BeginOutputReadLine();
        host._process.BeginErrorReadLine();
        try
        {
            await host._process.StandardInput.WriteLineAsync(JsonSerializer.Serialize(settings));
            await host._process.StandardInput.FlushAsync();
        }
        catch (IOException)
        {
            // It ended at once; whoever waits for it to be ready tells why.
        }

        return host;
    }

    /// <summary>The other end of <see cref="StartAsync"/>: what <c>ActiveActive.Benchmarks host</c> does.</summary>
    public static async Task<int> RunHostAsync()
    {
        var settings = await Console.In.ReadLineAsync() is { } line ? JsonSerializer.Deserialize<HostSettings>(line) : null;
        if (settings is null)
        {
            await Console.Error.WriteLineAsync("'host' is for this program itself: it reads its settings from the standard input.");
            return 2;
        }

        using var parentGone = new CancellationTokenSource();
        var watch = Task.Run(async () =>
        {
            while (await Console.In.ReadLineAsync() is not null)
            {
            }

            await parentGone.CancelAsync();
        });
        await BenchmarkHost.RunAsync(settings, parentGone.Token);
        return 0;
    }

    /// <summary>SIGKILL: no clean-up, no drain.</summary>
    public async Task KillAsync()
    {
        _process.Kill();
        await _process.WaitForExitAsync();
    }

    public async ValueTask DisposeAsync()
    {
        try
        {
            _process.StandardInput.Close();
        }
        catch (IOException)
        {
            // It is gone already.
        }

        using var patience = new CancellationTokenSource(s_stopTimeout);
        try
        {
            await _process.WaitForExitAsync(patience.Token);
        }
        catch (OperationCanceledException)
        {
            await KillAsync();
        }

        _process.Dispose();
    }

    private void Keep(string? line)
    {
        if (line is null) return;
        _printed?.Invoke(line);
        lock (_lines)
        {
            _lines.Enqueue(line);
            if (_lines.Count > KeptLines) _lines.Dequeue();
        }
    }
}
