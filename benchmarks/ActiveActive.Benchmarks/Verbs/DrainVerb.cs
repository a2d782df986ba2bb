using System.Globalization;
using ActiveActive.Benchmarks.Reports;
using ActiveActive.Benchmarks.Workloads;

namespace ActiveActive.Benchmarks.Verbs;

/// <summary>Drains of ours and core's in turn; <c>drain</c>, <c>mesh</c> and <c>wide</c> are made of it.</summary>
internal sealed class DrainVerb(BenchmarkOptions options, Report report, Measurement measurement)
{
    private readonly List<double> _ratios = [];

    /// <param name="name">The case.</param>
    /// <param name="workload">What each writer writes.</param>
    /// <param name="nodes">How many nodes.</param>
    /// <param name="writers">Which of them write.</param>
    /// <param name="withMemory">Whether the line tells the hosts' memory.</param>
    /// <param name="cancellationToken">Gives up.</param>
    public async Task RunAsync(string name, Workload workload, int nodes, IReadOnlyList<int> writers, bool withMemory, CancellationToken cancellationToken)
    {
        if (!options.Wants(name)) return;
        var (ours, core) = (new List<Drained>(), new List<Drained>());
        try
        {
            for (var round = 1; round <= options.Rounds; round++)
            {
                // Each first in turn: what drifts within a round favours neither.
                foreach (var isOurs in round % 2 == 1 ? (bool[])[true, false] : [false, true])
                {
                    if (isOurs || !options.OnlyOurs) (isOurs ? ours : core).Add(await OneAsync(name, round, isOurs, workload, nodes, writers, cancellationToken));
                }
            }
        }
        catch (BenchmarkException e)
        {
            report.Add(new CaseResult(name) { Void = e.Message });
            return;
        }

        report.Add(Result(name, workload, ours, core, withMemory));
    }

    /// <summary>Over all cases so far that count.</summary>
    public void AddGeometricMean()
    {
        if (_ratios.Count > 1) report.Add(new CaseResult("geometric_mean").With("ratio_vs_core", Sample.GeometricMean(_ratios)).With("cases", _ratios.Count));
    }

    private async Task<Drained> OneAsync(string name, int round, bool ours, Workload workload, int nodes, IReadOnlyList<int> writers, CancellationToken cancellationToken)
    {
        var drained = await measurement.DrainAsync(ours, workload, nodes, writers, cancellationToken);
        var cpu = string.Join(' ', drained.CpuSeconds.Where(c => c.Value >= 0.05).OrderByDescending(c => c.Value).Select(c => string.Create(CultureInfo.InvariantCulture, $"{c.Key}={c.Value:0.00}")));
        report.Say(string.Create(CultureInfo.InvariantCulture, $"{name} round {round} {(ours ? "ours" : "core")} {drained.Seconds:0.000} s; cpu seconds: {cpu}"));
        return drained;
    }

    private CaseResult Result(string name, Workload workload, List<Drained> ours, List<Drained> core, bool withMemory)
    {
        var result = new CaseResult(name);
        var (ourSeconds, coreSeconds) = (Seconds(ours), Seconds(core));
        result.Round("ours_s", ourSeconds).Round("core_s", coreSeconds);
        if (core.Count > 0)
        {
            // Above 1: ours is faster.
            var ratio = Sample.Ratio(coreSeconds, ourSeconds);
            _ratios.Add(ratio.Median);
            result.With("ratio_vs_core", ratio);
        }

        result.With("ours_s", new Sample(ourSeconds));
        if (core.Count > 0) result.With("core_s", new Sample(coreSeconds)).With("limit_s", new Sample(core.Select(d => d.LimitSeconds!.Value)));
        result.With("units", workload.Units);
        if (withMemory) result.With("host_peak_mb", new Sample(ours.Select(d => d.PeakMegabytes))).With("host_idle_mb", new Sample(ours.Select(d => d.IdleMegabytes)));
        foreach (var role in ours.Concat(core).SelectMany(d => d.CpuSeconds.Keys).Distinct())
        {
            result.Round($"cpu_ours_{role}", [.. ours.Select(d => d.CpuSeconds.GetValueOrDefault(role))]);
            result.Round($"cpu_core_{role}", [.. core.Select(d => d.CpuSeconds.GetValueOrDefault(role))]);
        }

        return result;
    }

    private static List<double> Seconds(IEnumerable<Drained> drained) => [.. drained.Select(d => d.Seconds)];
}
