using System.Diagnostics;
using System.Net.Http.Json;
using System.Text.Json;
using QuickStart.Bank;

namespace ActiveActive.Postgres.Tests.Instances;

/// <summary>One instance of the example's application, in a process of its own.</summary>
internal sealed class InstanceProcess(HostSettings settings) : IAsyncDisposable
{
    private static readonly HttpClient s_http = new() { Timeout = TimeSpan.FromSeconds(2) };

    private readonly List<string> _lines = [];
    private Process? _process;

    public bool IsRunning => _process is not null;

    /// <summary>The end of what it printed.</summary>
    public string Output
    {
        get
        {
            lock (_lines) return string.Join('\n', _lines.TakeLast(25));
        }
    }

    public async Task StartAsync()
    {
        var start = new ProcessStartInfo(Environment.GetEnvironmentVariable("DOTNET_HOST_PATH") ?? "dotnet", [Path.Combine(AppContext.BaseDirectory, "QuickStart.dll"), "host"])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        _process = Process.Start(start)!;
        _process.OutputDataReceived += (_, e) => Keep(e.Data);
        _process.ErrorDataReceived += (_, e) => Keep(e.Data);
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
        await _process.StandardInput.WriteLineAsync(JsonSerializer.Serialize(settings));
        await _process.StandardInput.FlushAsync();
    }

    /// <summary>Null while it does not answer.</summary>
    public async Task<HostStatus?> ReadStatusAsync()
    {
        if (_process is null) return null;
        try
        {
            return await s_http.GetFromJsonAsync<HostStatus>(new Uri($"http://127.0.0.1:{settings.AppPort}/status"), TestContext.Current.CancellationToken);
        }
        catch (Exception e) when (e is HttpRequestException or JsonException or IOException || (e is OperationCanceledException && !TestContext.Current.CancellationToken.IsCancellationRequested))
        {
            return null;
        }
    }

    /// <summary>SIGKILL.</summary>
    public async Task KillAsync()
    {
        _process!.Kill();
        await EndAsync();
    }

    /// <summary>As on SIGTERM; returns when it has ended.</summary>
    public async Task StopAsync()
    {
        _process!.StandardInput.Close();
        await EndAsync();
    }

    /// <summary>SIGSTOP: the process does nothing any more, and its connections stay open.</summary>
    public Task FreezeAsync() => SignalAsync("STOP");

    /// <summary>SIGCONT.</summary>
    public Task WakeAsync() => SignalAsync("CONT");

    public async ValueTask DisposeAsync()
    {
        if (_process is not null) await KillAsync();
    }

    private async Task EndAsync()
    {
        await _process!.WaitForExitAsync(CancellationToken.None);
        _process.Dispose();
        _process = null;
    }

    private async Task SignalAsync(string signal)
    {
        using var kill = Process.Start("kill", [$"-{signal}", $"{_process!.Id}"]);
        await kill.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.Equal(0, kill.ExitCode);
    }

    private void Keep(string? line)
    {
        if (line is null) return;
        lock (_lines) _lines.Add(line);
    }
}
