using ActiveActive.Benchmarks.Clusters;
using ActiveActive.Benchmarks.Reports;
using ActiveActive.Benchmarks.Workloads;

namespace ActiveActive.Benchmarks.Verbs;

/// <summary>
/// What a node's own writers pay. The peer's host does not run: its apply would take the writers' processors, which on machines of their own it does not.
/// </summary>
internal sealed class WritersVerb(BenchmarkOptions options, Report report, Measurement measurement)
{
    private static readonly Dictionary<string, string> s_deltaColumns = new()
    {
        ["public.pgbench_accounts"] = "abalance",
        ["public.pgbench_tellers"] = "tbalance",
        ["public.pgbench_branches"] = "bbalance",
    };

    public async Task RunAsync(CancellationToken cancellationToken)
    {
        var (bare, attached, delta) = (new List<double>(), new List<double>(), new List<double>());
        for (var round = 1; round <= options.Rounds; round++)
        {
            bare.Add(await OneAsync("bare", round, null, cancellationToken));
            attached.Add(await OneAsync("attached", round, [], cancellationToken));
            delta.Add(await OneAsync("delta", round, s_deltaColumns, cancellationToken));
        }

        report.Add(new CaseResult("writers_bare").With("tps", new Sample(bare)).Round("tps", bare));
        report.Add(new CaseResult("writers_attached").With("tps_ratio", Sample.Ratio(attached, bare)).With("tps", new Sample(attached)).Round("tps", attached));
        report.Add(new CaseResult("writers_delta").With("tps_ratio", Sample.Ratio(delta, bare)).With("tps", new Sample(delta)).Round("tps", delta));
    }

    private async Task<double> OneAsync(string name, int round, Dictionary<string, string>? deltaColumns, CancellationToken cancellationToken)
    {
        var branches = options.Quick ? 2 : 10;
        var databases = await measurement.CreateDatabasesAsync(2, Pgbench.Seed(branches), cancellationToken);
        try
        {
            await using var replication = deltaColumns is null
                ? null
                : await ActiveActiveReplication.StartAsync(databases, 1, deltaColumns, options.Verbose, null, cancellationToken);
            var place = new WriterPlace(databases[0], 0, 1);
            await Pgbench.MeasureAsync(place, branches, 1, cancellationToken);
            var tps = await Pgbench.MeasureAsync(place, branches, options.Seconds, cancellationToken);
            report.Say($"writers round {round} {name}: {tps:0} tps");
            return tps;
        }
        finally
        {
            foreach (var database in databases) await database.DisposeAsync();
        }
    }
}
