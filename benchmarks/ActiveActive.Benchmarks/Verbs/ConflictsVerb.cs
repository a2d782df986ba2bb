using System.Diagnostics;
using ActiveActive.Benchmarks.Clusters;
using ActiveActive.Benchmarks.Reports;
using ActiveActive.Benchmarks.Workloads;
using Npgsql;

namespace ActiveActive.Benchmarks.Verbs;

/// <summary>
/// n0 updates each row in a transaction of its own; n1 has updated a share of the same rows, half of them before and half after, without
/// having seen n0's. Timed is n1's apply; its history is written.
/// </summary>
internal sealed class ConflictsVerb(BenchmarkOptions options, Report report, Measurement measurement)
{
    private const int FirstRound = 2000;

    // Every n-th row conflicts; 0 for none.
    private static readonly (string Name, int Every)[] s_shares = [("conflicts_0", 0), ("conflicts_1", 100), ("conflicts_50", 2), ("conflicts_100", 1)];

    public async Task RunAsync(CancellationToken cancellationToken)
    {
        var seconds = s_shares.ToDictionary(s => s.Name, _ => new List<double>());
        var recorded = s_shares.ToDictionary(s => s.Name, _ => 0L);
        var rows = StandardWorkloads.Count(100_000, options.Scale);
        for (var round = 1; round <= options.Rounds; round++)
        {
            foreach (var (name, every) in s_shares)
            {
                (var one, recorded[name]) = await OneAsync(every, rows, cancellationToken);
                seconds[name].Add(one);
                report.Say($"{name} round {round} {one:0.000} s, {recorded[name]} recorded");
            }
        }

        foreach (var (name, _) in s_shares)
        {
            report.Add(new CaseResult(name)
                .With("share_of_clean", Sample.Ratio(seconds["conflicts_0"], seconds[name]))
                .With("ours_s", new Sample(seconds[name]))
                .With("units", rows)
                .With("recorded", recorded[name])
                .Round("ours_s", seconds[name]));
        }
    }

    private async Task<(double Seconds, long Recorded)> OneAsync(int every, int rows, CancellationToken cancellationToken)
    {
        var databases = await measurement.CreateDatabasesAsync(2, StandardWorkloads.Filled(rows), cancellationToken);
        try
        {
            await using var replication = await measurement.StartAsync(true, databases, [(0, 1)], cancellationToken);
            for (var node = 0; node < 2; node++) await replication.PauseAsync(node, cancellationToken);
            if (every > 0) await UpdateAsync(databases[1], 1, rows / 2, every, cancellationToken);
            await UpdateAsync(databases[0], 1, rows, 1, cancellationToken);
            if (every > 0) await UpdateAsync(databases[1], rows / 2 + 1, rows, every, cancellationToken);
            await Marker.WriteAsync(databases[0], 0, cancellationToken);

            var visible = await Marker.ArmAsync(databases[1], 0, options.Timeout, cancellationToken);
            var watch = Stopwatch.StartNew();
            await replication.ResumeAsync(1, cancellationToken);
            await visible;
            var seconds = watch.Elapsed.TotalSeconds;
            await replication.ResumeAsync(0, cancellationToken);
            await measurement.MarkAsync(databases, [1], [(1, 0)], FirstRound, cancellationToken);
            await Measurement.CompareAsync(databases, cancellationToken);
            await using var source = NpgsqlDataSource.Create(databases[1].SuperuserConnectionString);
            await using var command = source.CreateCommand("SELECT count(*) FROM active_active.conflict");
            return (seconds, (long)(await command.ExecuteScalarAsync(cancellationToken))!);
        }
        finally
        {
            foreach (var database in databases) await database.DisposeAsync();
        }
    }

    private static Task UpdateAsync(BenchmarkDatabase database, int from, int to, int every, CancellationToken cancellationToken) => database.ExecuteAsync(
        $"DO $$ BEGIN FOR i IN {from}..{to} LOOP IF i % {every} = 0 THEN UPDATE item SET v = v + 1, t = current_database() || '{database.Server.Port}' WHERE id = i; COMMIT; END IF; END LOOP; END $$", cancellationToken);
}
