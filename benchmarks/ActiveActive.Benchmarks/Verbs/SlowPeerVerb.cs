using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using ActiveActive.Benchmarks.Clusters;
using ActiveActive.Benchmarks.Reports;
using ActiveActive.Benchmarks.Workloads;

namespace ActiveActive.Benchmarks.Verbs;

/// <summary>
/// W1's transactions on two of three nodes at a steady rate, with the third one's host running, and stopped (SIGSTOP) for the whole of the load; in turn. Then it goes on, and
/// all must come to the same rows.
/// </summary>
internal sealed class SlowPeerVerb(BenchmarkOptions options, Report report, Measurement measurement)
{
    private const int Continue = 18;
    private const int Stop = 19;
    private static readonly TimeSpan s_markInterval = TimeSpan.FromMilliseconds(50);

    public async Task RunAsync(CancellationToken cancellationToken)
    {
        var (up, stopped) = (new List<Run>(), new List<Run>());
        for (var round = 1; round <= options.Rounds; round++)
        {
            foreach (var isStopped in round % 2 == 1 ? (bool[])[false, true] : [true, false])
            {
                var run = await OneAsync(isStopped, cancellationToken);
                (isStopped ? stopped : up).Add(run);
                report.Say(string.Create(CultureInfo.InvariantCulture, $"slowpeer round {round} {(isStopped ? "one stopped" : "all up")}: {run}"));
            }
        }

        report.Add(Result("slowpeer_all_up", up));
        report.Add(Result("slowpeer_one_stopped", stopped)
            .With("tps_ratio", Sample.Ratio([.. stopped.Select(r => r.Tps)], [.. up.Select(r => r.Tps)]))
            .With("lag_p50_ratio", Sample.Ratio([.. stopped.Select(r => r.LagP50)], [.. up.Select(r => r.LagP50)]))
            .With("catch_up_s", new Sample(stopped.Select(r => r.CatchUp))));
    }

    private static CaseResult Result(string name, List<Run> runs) => new CaseResult(name)
        .With("tps", new Sample(runs.Select(r => r.Tps)))
        .With("lag_p50_ms", new Sample(runs.Select(r => r.LagP50)))
        .With("lag_p99_ms", new Sample(runs.Select(r => r.LagP99)))
        .With("host_growth_mb", new Sample(runs.Select(r => r.GrowthMegabytes)))
        .With("host_peak_mb", new Sample(runs.Select(r => r.PeakMegabytes)))
        .Round("tps", [.. runs.Select(r => r.Tps)]).Round("lag_p50_ms", [.. runs.Select(r => r.LagP50)]).Round("lag_p99_ms", [.. runs.Select(r => r.LagP99)]);

    private async Task<Run> OneAsync(bool isStopped, CancellationToken cancellationToken)
    {
        const int Branches = 10;
        List<(int From, int To)> pairs = [(0, 1), (0, 2), (1, 0), (1, 2)];
        var databases = await measurement.CreateDatabasesAsync(3, Pgbench.Seed(Branches), cancellationToken);
        try
        {
            await using var replication = await measurement.StartAsync(true, databases, pairs, cancellationToken);
            var third = replication.HostProcesses[2];
            // The writers warm up as well.
            await LoadAsync(databases, Branches, 2, cancellationToken);
            await measurement.MarkAsync(databases, [0, 1], pairs, 100_000, cancellationToken);
            if (isStopped) Signal(third, Stop);
            try
            {
                await using var meter = new ProcessMeter(databases, [.. replication.HostProcesses.Take(2)]);
                var load = LoadAsync(databases, Branches, options.Seconds, cancellationToken);
                var lags = await SampleLagAsync(databases, load, cancellationToken);
                var tps = await load;
                await measurement.MarkAsync(databases, [0, 1], [(0, 1), (1, 0)], 200_000, cancellationToken);
                if (isStopped) Signal(third, Continue);
                var watch = Stopwatch.StartNew();
                await measurement.MarkAsync(databases, [0, 1], pairs, 300_000, cancellationToken);
                var catchUp = watch.Elapsed.TotalSeconds;
                await Measurement.CompareAsync(databases, cancellationToken);
                return new Run(tps, lags[lags.Count / 2], lags[(int)(lags.Count * 0.99)], meter.PeakMegabytes, meter.PeakMegabytes - meter.IdleMegabytes, catchUp);
            }
            finally
            {
                if (isStopped) Signal(third, Continue);
            }
        }
        finally
        {
            foreach (var database in databases) await database.DisposeAsync();
        }
    }

    private async Task<double> LoadAsync(List<BenchmarkDatabase> databases, int branches, int seconds, CancellationToken cancellationToken) =>
        (await Task.WhenAll(Enumerable.Range(0, 2).Select(i => Pgbench.MeasureAsync(new WriterPlace(databases[i], i, 2), branches, seconds, options.Rate, cancellationToken)))).Sum();

    /// <summary>Milliseconds from a marker's commit on the first node until it is read on the second, sorted.</summary>
    private async Task<List<double>> SampleLagAsync(List<BenchmarkDatabase> databases, Task load, CancellationToken cancellationToken)
    {
        var lags = new List<double>();
        for (var id = 1_000_000; !load.IsCompleted; id++)
        {
            var visible = await Marker.ArmAsync(databases[1], id, options.Timeout, cancellationToken);
            await Marker.WriteAsync(databases[0], id, cancellationToken);
            var watch = Stopwatch.StartNew();
            await visible;
            lags.Add(watch.Elapsed.TotalMilliseconds);
            await Task.Delay(s_markInterval, cancellationToken);
        }

        lags.Sort();
        return lags;
    }

    private static void Signal(int process, int signal) => _ = Kill(process, signal);

    [DllImport("libc", EntryPoint = "kill")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int Kill(int process, int signal);

    /// <summary>What one load showed: both writers together, the lag between the two, and the larger of their hosts.</summary>
    private sealed record Run(double Tps, double LagP50, double LagP99, double PeakMegabytes, double GrowthMegabytes, double CatchUp);
}
