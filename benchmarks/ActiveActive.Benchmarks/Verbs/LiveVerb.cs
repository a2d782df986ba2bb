using System.Diagnostics;
using ActiveActive.Benchmarks.Clusters;
using ActiveActive.Benchmarks.Reports;
using HdrHistogram;
using Npgsql;

namespace ActiveActive.Benchmarks.Verbs;

/// <summary>
/// From commit to visible. The start is the row's commit timestamp on its origin; the end is the clock that a deferred trigger reads on the
/// receiver, as the last thing before the commit. One machine, so one clock. Writes are due by a timetable, whatever the earlier ones took, and on
/// several connections; else a stall would also stop the writer, and hide itself.
/// </summary>
internal sealed class LiveVerb(BenchmarkOptions options, Report report, Measurement measurement)
{
    private const int Writers = 8;
    private const int MostRate = 64_000;
    private const double SustainedShare = 0.97;
    private const string Table = "CREATE TABLE live (id int PRIMARY KEY, v int NOT NULL);";

    private const string Arrivals = """
        CREATE SCHEMA measure;
        CREATE UNLOGGED TABLE measure.arrival (id int, at timestamptz);
        CREATE FUNCTION measure.arrive() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO measure.arrival VALUES (NEW.id, clock_timestamp()); RETURN NULL; END $$;
        GRANT USAGE ON SCHEMA measure TO PUBLIC;
        GRANT INSERT ON measure.arrival TO PUBLIC;
        CREATE CONSTRAINT TRIGGER arrive AFTER INSERT ON live DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION measure.arrive();
        ALTER TABLE live ENABLE ALWAYS TRIGGER arrive;
        """;

    public async Task RunAsync(CancellationToken cancellationToken)
    {
        foreach (var rate in new[] { 200, 2000 })
        {
            var name = $"live_{rate}tps";
            if (options.Wants(name)) await RunRateAsync(name, rate, cancellationToken);
        }

        if (!options.Wants("live_highest")) return;
        var highest = new CaseResult("live_highest").With("ours_tps", await FindHighestAsync(true, cancellationToken));
        if (!options.OnlyOurs) highest.With("core_tps", await FindHighestAsync(false, cancellationToken));
        report.Add(highest);
    }

    private async Task RunRateAsync(string name, int rate, CancellationToken cancellationToken)
    {
        var (ours, core) = (new List<Latency>(), new List<Latency>());
        try
        {
            for (var round = 1; round <= options.Rounds; round++)
            {
                ours.Add(await OneAsync(true, rate, cancellationToken));
                if (!options.OnlyOurs) core.Add(await OneAsync(false, rate, cancellationToken));
            }
        }
        catch (BenchmarkException e)
        {
            report.Add(new CaseResult(name) { Void = e.Message });
            return;
        }

        var result = new CaseResult(name);
        foreach (var (prefix, runs) in new[] { ("", ours), ("core_", core) })
        {
            if (runs.Count == 0) continue;
            result.With($"{prefix}p50_ms", new Sample(runs.Select(r => r.P50))).With($"{prefix}p99_ms", new Sample(runs.Select(r => r.P99))).With($"{prefix}max_ms", runs.Max(r => r.Max))
                // The second half against the first: what grows is not sustained.
                .With($"{prefix}growth", new Sample(runs.Select(r => r.Growth))).With($"{prefix}written_tps", new Sample(runs.Select(r => r.Rate)))
                .Round($"{prefix}p50_ms", [.. runs.Select(r => r.P50)]).Round($"{prefix}p99_ms", [.. runs.Select(r => r.P99)]).Round($"{prefix}max_ms", [.. runs.Select(r => r.Max)]);
        }

        report.Add(result);
    }

    /// <summary>Doubles the rate while the writer keeps to it and the last rows are not later than half a second.</summary>
    private async Task<double> FindHighestAsync(bool ours, CancellationToken cancellationToken)
    {
        var best = 0;
        for (var rate = options.Quick ? 500 : 250; rate <= (options.Quick ? 1000 : MostRate); rate *= 2)
        {
            try
            {
                var latency = await OneAsync(ours, rate, cancellationToken);
                if (latency.Rate < SustainedShare * rate || latency.Last > 500) break;
                best = rate;
            }
            catch (BenchmarkException e)
            {
                report.Say(e.Message);
                break;
            }
        }

        return best;
    }

    private async Task<Latency> OneAsync(bool ours, int rate, CancellationToken cancellationToken)
    {
        var databases = await measurement.CreateDatabasesAsync(2, Table, cancellationToken);
        try
        {
            await databases[1].SuperuserAsync(Arrivals, cancellationToken);
            await using var replication = await measurement.StartAsync(ours, databases, [(0, 1)], cancellationToken);
            // A second that does not count: connections, statements, compiled code.
            await WriteAsync(databases[0], 1_000_000_000, Math.Min(rate, 500), 1, cancellationToken);
            await measurement.MarkAsync(databases, [0], [(0, 1)], 1, cancellationToken);
            var written = await WriteAsync(databases[0], 1, rate, options.Seconds, cancellationToken);
            await measurement.MarkAsync(databases, [0], [(0, 1)], 2, cancellationToken);
            await Measurement.CompareAsync(databases, cancellationToken);
            var latency = await ReadAsync(databases, written, cancellationToken);
            report.Say($"live {rate} tps {(ours ? "ours" : "core")}: {latency}");
            return latency;
        }
        finally
        {
            foreach (var database in databases) await database.DisposeAsync();
        }
    }

    /// <summary>Writes by the timetable; how many per second it really were.</summary>
    private static async Task<double> WriteAsync(BenchmarkDatabase database, int firstId, int rate, int seconds, CancellationToken cancellationToken)
    {
        var (count, next) = (rate * seconds, -1);
        var watch = new Stopwatch();
        async Task WriterAsync(NpgsqlConnection connection)
        {
            await using var _ = connection;
            await using var command = new NpgsqlCommand("INSERT INTO live VALUES ($1, $1)", connection) { Parameters = { new NpgsqlParameter<int>() } };
            await command.PrepareAsync(cancellationToken);
            while (Interlocked.Increment(ref next) is var i && i < count)
            {
                var due = TimeSpan.FromSeconds((double)i / rate);
                // A timer is late by up to some milliseconds; those written late together make bursts, alike for both systems.
                if (due - watch.Elapsed is { Ticks: > 0 } early) await Task.Delay(early, cancellationToken);
                ((NpgsqlParameter<int>)command.Parameters[0]).TypedValue = firstId + i;
                await command.ExecuteNonQueryAsync(cancellationToken);
            }
        }

        var connections = new List<NpgsqlConnection>();
        for (var i = 0; i < Writers; i++) connections.Add(await database.OpenAsync(cancellationToken));
        watch.Start();
        await Task.WhenAll(connections.Select(WriterAsync));
        return count / watch.Elapsed.TotalSeconds;
    }

    private static async Task<Latency> ReadAsync(List<BenchmarkDatabase> databases, double rate, CancellationToken cancellationToken)
    {
        var committed = await ReadTimesAsync(databases[0], "SELECT id, pg_xact_commit_timestamp(xmin) FROM live WHERE id < 1000000000", cancellationToken);
        var arrived = await ReadTimesAsync(databases[1], "SELECT id, at FROM measure.arrival WHERE id < 1000000000", cancellationToken);
        if (committed.Count != arrived.Count) throw new BenchmarkException($"live: {committed.Count} rows were written, {arrived.Count} arrived");
        // Microseconds, up to ten minutes.
        var (all, halves) = (new LongHistogram(600_000_000, 3), new[] { new LongHistogram(600_000_000, 3), new LongHistogram(600_000_000, 3) });
        var last = 0L;
        foreach (var (id, at) in arrived.OrderBy(a => a.Key))
        {
            last = Math.Max(1, (long)(at - committed[id]).TotalMicroseconds);
            all.RecordValue(last);
            halves[id > committed.Count / 2 ? 1 : 0].RecordValue(last);
        }

        return new Latency(Milliseconds(all, 50), Milliseconds(all, 99), all.GetMaxValue() / 1e3, Milliseconds(halves[1], 50) / Milliseconds(halves[0], 50), last / 1e3, rate);
    }

    private static double Milliseconds(LongHistogram histogram, double percentile) => histogram.GetValueAtPercentile(percentile) / 1e3;

    private static async Task<Dictionary<int, DateTime>> ReadTimesAsync(BenchmarkDatabase database, string sql, CancellationToken cancellationToken)
    {
        await using var source = NpgsqlDataSource.Create(database.SuperuserConnectionString);
        await using var command = source.CreateCommand(sql);
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        var times = new Dictionary<int, DateTime>();
        while (await reader.ReadAsync(cancellationToken)) times.Add(reader.GetInt32(0), reader.GetDateTime(1));
        return times;
    }

    /// <summary>Milliseconds from commit to visible; <c>Last</c> is the last row's, <c>Growth</c> the median of the second half over that of the first.</summary>
    private sealed record Latency(double P50, double P99, double Max, double Growth, double Last, double Rate);
}
