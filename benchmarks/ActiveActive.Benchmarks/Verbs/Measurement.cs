using System.Diagnostics;
using ActiveActive.Benchmarks.Clusters;
using ActiveActive.Benchmarks.Reports;
using ActiveActive.Benchmarks.Workloads;
using Npgsql;

namespace ActiveActive.Benchmarks.Verbs;

/// <summary>One drain of one system.</summary>
/// <param name="Seconds">From resuming apply until the last marker was read.</param>
/// <param name="IdleMegabytes">The greatest host's memory before.</param>
/// <param name="PeakMegabytes">And its peak.</param>
/// <param name="CpuSeconds">Processor time by role.</param>
/// <param name="LimitSeconds">Decoding alone; only with core, whose slot it needs.</param>
internal sealed record Drained(double Seconds, double IdleMegabytes, double PeakMegabytes, IReadOnlyDictionary<string, double> CpuSeconds, double? LimitSeconds);

/// <summary>Brings databases and a replication up, and drains a backlog.</summary>
internal sealed class Measurement(BenchmarkOptions options, Report report, ServerGroup group)
{
    private static int s_number;

    /// <summary>Where our hosts dial each other, by dialler, target and the target's port; null for the port itself.</summary>
    public Func<int, int, int, Uri>? AddressOf { get; set; }

    /// <summary>Fresh databases on the first servers of the group.</summary>
    public async Task<List<BenchmarkDatabase>> CreateDatabasesAsync(int count, string seed, CancellationToken cancellationToken)
    {
        var name = $"bench{Interlocked.Increment(ref s_number)}";
        var databases = new List<BenchmarkDatabase>();
        for (var i = 0; i < count; i++) databases.Add(await BenchmarkDatabase.CreateAsync(group.Servers[i], name, seed, cancellationToken));
        return databases;
    }

    /// <summary>A replication between these, warm.</summary>
    public async Task<IReplication> StartAsync(bool ours, IReadOnlyList<BenchmarkDatabase> databases, IReadOnlyList<(int From, int To)> pairs, CancellationToken cancellationToken)
    {
        IReplication replication = ours
            ? await ActiveActiveReplication.StartAsync(databases, databases.Count, new Dictionary<string, string>(), options.Verbose, AddressOf, cancellationToken)
            : await CoreReplication.StartAsync(databases, pairs, cancellationToken);
        int[] writers = [.. pairs.Select(p => p.From).Distinct()];
        for (var pass = 0; pass < options.WarmUps; pass++)
        {
            foreach (var receiver in Receivers(pairs)) await replication.PauseAsync(receiver, cancellationToken);
            foreach (var writer in writers) await databases[writer].ExecuteAsync(StandardWorkloads.WarmUp(writer), cancellationToken);
            foreach (var receiver in Receivers(pairs)) await replication.ResumeAsync(receiver, cancellationToken);
            await MarkAsync(databases, writers, pairs, 1000 * (pass + 1), cancellationToken);
        }

        return replication;
    }

    /// <summary>Writes a marker on each writer and waits until it is everywhere that it should go.</summary>
    public async Task MarkAsync(IReadOnlyList<BenchmarkDatabase> databases, IReadOnlyList<int> writers, IReadOnlyList<(int From, int To)> pairs, int id, CancellationToken cancellationToken)
    {
        foreach (var writer in writers) await Marker.WriteAsync(databases[writer], id + writer, cancellationToken);
        await Task.WhenAll(pairs.Where(p => writers.Contains(p.From)).Select(p => Marker.WaitAsync(databases[p.To], id + p.From, options.Timeout, cancellationToken)));
    }

    /// <summary>Databases, replication, warm-up, pause, backlog, resume, time, compare, clean up.</summary>
    /// <exception cref="BenchmarkException">The nodes differ in the end, or it took too long.</exception>
    public async Task<Drained> DrainAsync(bool ours, Workload workload, int nodes, IReadOnlyList<int> writers, CancellationToken cancellationToken)
    {
        List<(int From, int To)> pairs = [.. from w in writers from n in Enumerable.Range(0, nodes) where n != w select (w, n)];
        var receivers = Receivers(pairs);
        report.Say($"{workload.Name} {(ours ? "ours" : "core")}: seeding {nodes} databases");
        var databases = await CreateDatabasesAsync(nodes, workload.Seed, cancellationToken);
        try
        {
            await using var replication = await StartAsync(ours, databases, pairs, cancellationToken);
            foreach (var receiver in receivers) await replication.PauseAsync(receiver, cancellationToken);
            if (!ours) await databases[writers[0]].SuperuserAsync($"SELECT pg_create_logical_replication_slot('limit_{databases[0].Name}', 'pgoutput')", cancellationToken);

            await Task.WhenAll(writers.Select((w, part) => workload.WriteAsync(new WriterPlace(databases[w], part, writers.Count), cancellationToken)));
            foreach (var writer in writers) await Marker.WriteAsync(databases[writer], writer, cancellationToken);

            await using var meter = new ProcessMeter(databases, replication.HostProcesses);
            await meter.ReadCpuAsync(cancellationToken);
            var visible = new List<Task>();
            foreach (var (from, to) in pairs) visible.Add(await Marker.ArmAsync(databases[to], from, options.Timeout, cancellationToken));
            report.Say($"{workload.Name} {(ours ? "ours" : "core")}: backlog of {workload.Units} is written, draining");
            var watch = Stopwatch.StartNew();
            await Task.WhenAll(receivers.Select(r => replication.ResumeAsync(r, cancellationToken)));
            await UntilVisibleAsync(Task.WhenAll(visible), meter, replication, cancellationToken);
            var seconds = watch.Elapsed.TotalSeconds;
            await meter.ReadCpuAsync(cancellationToken);
            await CompareAsync(databases, cancellationToken);
            return new Drained(seconds, meter.IdleMegabytes, meter.PeakMegabytes, meter.CpuSeconds, ours ? null : await DecodeAsync(databases[writers[0]], cancellationToken));
        }
        finally
        {
            foreach (var database in databases) await database.DisposeAsync();
        }
    }

    /// <exception cref="BenchmarkException">Two nodes differ: whatever was measured is void.</exception>
    public static async Task CompareAsync(IReadOnlyList<BenchmarkDatabase> databases, CancellationToken cancellationToken)
    {
        var first = await databases[0].DigestAsync(cancellationToken);
        foreach (var other in databases.Skip(1))
        {
            foreach (var (table, digest) in await other.DigestAsync(cancellationToken))
            {
                if (first[table] != digest) throw new BenchmarkException($"nodes differ in table {table}: {first[table]} against {digest}");
            }
        }
    }

    private static int[] Receivers(IReadOnlyList<(int From, int To)> pairs) => [.. pairs.Select(p => p.To).Distinct()];

    private async Task UntilVisibleAsync(Task visible, ProcessMeter meter, IReplication replication, CancellationToken cancellationToken)
    {
        try
        {
            // Core's apply worker starts with the resume; it must be seen while it lives.
            if (await Task.WhenAny(visible, Task.Delay(100, cancellationToken)) != visible) await meter.ReadCpuAsync(cancellationToken);
            await visible;
        }
        catch (BenchmarkException e)
        {
            var why = replication is ActiveActiveReplication ours ? await ours.DescribeAsync() : "";
            report.Say($"gave up: {e.Message} {why}");
            throw new BenchmarkException($"{(replication is ActiveActiveReplication ? "ours" : "core")} {e.Message}", e);
        }
    }

    /// <summary>The limit: the server decodes the same changes once more and copies them out; nothing else is done with them.</summary>
    private static async Task<double> DecodeAsync(BenchmarkDatabase database, CancellationToken cancellationToken)
    {
        await using var connection = new NpgsqlConnection(new NpgsqlConnectionStringBuilder(database.SuperuserConnectionString) { CommandTimeout = 0 }.ConnectionString);
        await connection.OpenAsync(cancellationToken);
        var watch = Stopwatch.StartNew();
        await using (var copy = await connection.BeginRawBinaryCopyAsync(
            $"COPY (SELECT data FROM pg_logical_slot_peek_binary_changes('limit_{database.Name}', NULL, NULL, 'proto_version', '1', 'publication_names', '{CoreReplication.Publication}')) TO STDOUT (FORMAT binary)", cancellationToken))
        {
            await copy.CopyToAsync(Stream.Null, cancellationToken);
        }

        return watch.Elapsed.TotalSeconds;
    }
}
