using System.Diagnostics;
using ActiveActive.Benchmarks.Clusters;
using ActiveActive.Benchmarks.Reports;

namespace ActiveActive.Benchmarks.Verbs;

/// <summary>
/// How long until another instance of a node does the work of one that is killed, or stopped: until it says that it runs, and until a row that was committed right after the kill
/// is visible on a peer.
/// </summary>
internal sealed class TakeoverVerb(BenchmarkOptions options, Report report, Measurement measurement)
{
    private int _marker = 1_000_000;

    private int Rounds => options.GivenRounds ?? (options.Quick ? 2 : 20);

    public async Task RunAsync(CancellationToken cancellationToken)
    {
        var databases = await measurement.CreateDatabasesAsync(2, "", cancellationToken);
        try
        {
            await using var group = await InstanceGroup.StartAsync(databases, options.Verbose, cancellationToken);
            await MeasureAsync("takeover_kill", group, databases, group.KillAsync, cancellationToken);
            await MeasureAsync("takeover_stop", group, databases, group.StopAsync, cancellationToken);
            await Measurement.CompareAsync(databases, cancellationToken);
        }
        finally
        {
            foreach (var database in databases) await database.DisposeAsync();
        }
    }

    private async Task MeasureAsync(string name, InstanceGroup group, List<BenchmarkDatabase> databases, Func<int, Task> end, CancellationToken cancellationToken)
    {
        if (!options.Wants(name)) return;
        var (running, visible) = (new List<double>(), new List<double>());
        for (var round = 1; round <= Rounds; round++)
        {
            var leader = await group.UntilSettledAsync(cancellationToken);
            var seen = await Marker.ArmAsync(databases[1], ++_marker, options.Timeout, cancellationToken);
            var watch = Stopwatch.StartNew();
            var ending = end(leader);
            var leading = TimeAsync(group.UntilRunningAsync(1 - leader, cancellationToken), watch);
            await Marker.WriteAsync(databases[0], _marker, cancellationToken);
            var arriving = TimeAsync(seen, watch);
            running.Add(await leading);
            visible.Add(await arriving);
            report.Say($"{name} {round}: runs after {running[^1]:0.00} s, visible after {visible[^1]:0.00} s");
            await ending;
            await group.StartAsync(leader);
        }

        var (runs, sees) = (new Sample(running), new Sample(visible));
        report.Add(new CaseResult(name)
            .With("running_s", runs.Median).With("running_max_s", runs.Max).With("visible_s", sees.Median).With("visible_max_s", sees.Max)
            .Round("running_s", running).Round("visible_s", visible));
    }

    private static async Task<double> TimeAsync(Task task, Stopwatch watch)
    {
        await task;
        return watch.Elapsed.TotalSeconds;
    }
}
