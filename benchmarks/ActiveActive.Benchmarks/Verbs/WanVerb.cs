using System.Globalization;
using ActiveActive.Benchmarks.Reports;
using ActiveActive.Benchmarks.Workloads;
using ActiveActive.Testing;

namespace ActiveActive.Benchmarks.Verbs;

/// <summary>
/// The same backlogs over lines with latency, in turn, against the same line without: what a long line costs. Every connection goes through a proxy in this process, so that
/// what the proxy takes, it takes in each case.
/// </summary>
internal sealed class WanVerb(BenchmarkOptions options, Report report, Measurement measurement)
{
    private static readonly int[] s_roundTrips = [0, 1, 25, 100];

    public async Task RunAsync(CancellationToken cancellationToken)
    {
        foreach (var workload in new[] { StandardWorkloads.W1(options.Scale), StandardWorkloads.W2(options.Scale) })
        {
            if (options.Wants(workload.Name)) await RunAsync(workload, cancellationToken);
        }
    }

    private async Task RunAsync(Workload workload, CancellationToken cancellationToken)
    {
        var seconds = s_roundTrips.ToDictionary(r => r, _ => new List<double>());
        var megabytes = 0.0;
        for (var round = 1; round <= options.Rounds; round++)
        {
            // Forth and back: what drifts within a round favours neither.
            foreach (var roundTrip in round % 2 == 1 ? s_roundTrips : s_roundTrips.Reverse())
            {
                var lines = new List<FaultProxy>();
                try
                {
                    measurement.AddressOf = (dialler, _, port) =>
                    {
                        var line = FaultProxy.Start(port);
                        line.Upstream.Latency = line.Downstream.Latency = TimeSpan.FromMilliseconds(roundTrip / 2.0);
                        lines.Add(line);
                        return line.Address;
                    };
                    var drained = await measurement.DrainAsync(true, workload, 2, [0], cancellationToken);
                    seconds[roundTrip].Add(drained.Seconds);
                    // Warm-up included.
                    megabytes = lines.Max(l => l.Downstream.PassedBytes) / 1e6;
                    var cpu = string.Join(' ', drained.CpuSeconds.Where(c => c.Value >= 0.05).OrderByDescending(c => c.Value).Select(c => string.Create(CultureInfo.InvariantCulture, $"{c.Key}={c.Value:0.00}")));
                    report.Say(string.Create(CultureInfo.InvariantCulture, $"{workload.Name} round {round} at {roundTrip} ms: {drained.Seconds:0.000} s; {megabytes:0} MB on the line with warm-up; cpu seconds: {cpu}"));
                }
                finally
                {
                    foreach (var line in lines) await line.DisposeAsync();
                }
            }
        }

        foreach (var roundTrip in s_roundTrips)
        {
            report.Add(new CaseResult($"wan_{workload.Name}_{roundTrip}ms")
                .With("ratio_vs_0ms", Sample.Ratio(seconds[0], seconds[roundTrip]))
                .With("ours_s", new Sample(seconds[roundTrip]))
                .With("units", workload.Units)
                .Round("ours_s", seconds[roundTrip]));
        }
    }
}
