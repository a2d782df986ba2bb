using System.Diagnostics;
using System.Globalization;
using Npgsql;

namespace ActiveActive.Benchmarks.Clusters;

/// <summary>Where the processor's time goes during a drain, and how much memory the hosts take. CPU only on Linux, from <c>/proc</c>.</summary>
internal sealed class ProcessMeter : IAsyncDisposable
{
    private const double TicksPerSecond = 100;
    private static readonly TimeSpan s_interval = TimeSpan.FromMilliseconds(50);

    private readonly IReadOnlyList<BenchmarkDatabase> _databases;
    private readonly IReadOnlyList<int> _hosts;
    private readonly CancellationTokenSource _stopping = new();
    private readonly Dictionary<int, (string Role, double First, double Last)> _cpu = [];
    private readonly Task _sampling;
    private bool _hasBaseline;

    public ProcessMeter(IReadOnlyList<BenchmarkDatabase> databases, IReadOnlyList<int> hosts)
    {
        (_databases, _hosts) = (databases, hosts);
        IdleMegabytes = Megabytes();
        PeakMegabytes = IdleMegabytes;
        _sampling = SampleAsync();
    }

    /// <summary>Of the host that takes most.</summary>
    public double IdleMegabytes { get; }

    public double PeakMegabytes { get; private set; }

    /// <summary>Seconds of processor time by role, such as <c>host0</c>, <c>server0_walsender</c>.</summary>
    public IReadOnlyDictionary<string, double> CpuSeconds =>
        _cpu.Values.GroupBy(c => c.Role).ToDictionary(g => g.Key, g => Math.Round(g.Sum(c => c.Last - c.First), 2));

    /// <summary>The first call is the base line. What starts later, such as core's apply workers, counts from its start; what ends in between is not counted.</summary>
    public async Task ReadCpuAsync(CancellationToken cancellationToken)
    {
        if (!OperatingSystem.IsLinux()) return;
        for (var i = 0; i < _hosts.Count; i++) Note(_hosts[i], $"host{i}");
        for (var i = 0; i < _databases.Count; i++)
        {
            await using var source = NpgsqlDataSource.Create(_databases[i].SuperuserConnectionString);
            await using var command = source.CreateCommand("SELECT pid, replace(backend_type, ' ', '_') FROM pg_stat_activity WHERE pid <> pg_backend_pid()");
            await using var reader = await command.ExecuteReaderAsync(cancellationToken);
            while (await reader.ReadAsync(cancellationToken)) Note(reader.GetInt32(0), $"server{i}_{(reader.IsDBNull(1) ? "other" : reader.GetString(1))}");
        }

        _hasBaseline = true;
    }

    public async ValueTask DisposeAsync()
    {
        await _stopping.CancelAsync();
        await _sampling;
        _stopping.Dispose();
    }

    private async Task SampleAsync()
    {
        while (!_stopping.IsCancellationRequested)
        {
            PeakMegabytes = Math.Max(PeakMegabytes, Megabytes());
            await Task.Delay(s_interval, _stopping.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private double Megabytes()
    {
        var most = 0L;
        foreach (var id in _hosts)
        {
            using var process = Process.GetProcessById(id);
            most = Math.Max(most, process.WorkingSet64);
        }

        return Math.Round(most / 1e6);
    }

    private void Note(int process, string role)
    {
        try
        {
            // The name in parentheses may hold spaces; utime and stime are the 12th and 13th field behind it.
            var fields = File.ReadAllText($"/proc/{process}/stat").Split(')')[^1].Split(' ', StringSplitOptions.RemoveEmptyEntries);
            var seconds = (double.Parse(fields[11], CultureInfo.InvariantCulture) + double.Parse(fields[12], CultureInfo.InvariantCulture)) / TicksPerSecond;
            _cpu[process] = _cpu.TryGetValue(process, out var known) ? (known.Role, known.First, seconds) : (role, _hasBaseline ? 0 : seconds, seconds);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // It ended between the look and the read.
        }
    }
}
