using System.Diagnostics;
using System.Globalization;
using ActiveActive.Soak.Checks;
using ActiveActive.Soak.Cluster;
using ActiveActive.Soak.Faults;
using ActiveActive.Soak.Load;
using ActiveActive.Soak.Reports;
using ActiveActive.Testing;
using Npgsql;

namespace ActiveActive.Soak;

/// <summary>The whole run: start; then write and break, heal, wait, compare, until the time is over.</summary>
/// <param name="options">What to do.</param>
/// <param name="print">Gets each line of progress.</param>
internal sealed class SoakRun(SoakOptions options, Action<string> print)
{
    private const int WritersPerNode = 2;
    private static readonly TimeSpan s_sampleInterval = TimeSpan.FromSeconds(15);
    private static readonly TimeSpan s_settleTime = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan s_pollInterval = TimeSpan.FromMilliseconds(500);

    private readonly WriteCount _writes = new(SoakCluster.Size);
    private readonly LedgerCheck _check = new();
    private readonly Stopwatch _watch = Stopwatch.StartNew();
    private int _round;

    /// <summary>Runs and cleans up. What goes wrong stands in the report.</summary>
    public async Task<SoakReport> RunAsync(CancellationToken cancellationToken)
    {
        var report = new SoakReport(options, _writes);
        Say(string.Create(CultureInfo.InvariantCulture, $"seed {options.Seed}: {options.Duration.TotalMinutes:0.#} minutes, a fault about every {options.Every.TotalSeconds:0.#} s, {options.Rate} writes a second on each node"));
        string[] names = [];
        try
        {
            await using var cluster = await SoakCluster.StartAsync(options, cancellationToken);
            names = [.. cluster.Nodes.Select(n => n.Name)];
            report.Servers = string.Join(", ", cluster.Nodes.Select(n => $"{n.Name}: PostgreSQL {n.Server.Version}"));
            Say(report.Servers);
            using var injector = new FaultInjector(cluster, options, Say);
            report.Faults = injector.Counts;
            await RunAsync(cluster, injector, report, cancellationToken);
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            report.IsInterrupted = true;
        }
        catch (Exception e) when (e is SoakException or NpgsqlException or PostgresServerException or PostgresNotFoundException or QuickStart.QuickStartException or OperationCanceledException)
        {
            Say($"FAILED: {e}");
            report.Failures.Add(e.Message);
        }

        report.Elapsed = _watch.Elapsed;
        if (options.Report is { } file) await File.WriteAllTextAsync(file, report.ToMarkdown(names), CancellationToken.None);
        return report;
    }

    private async Task RunAsync(SoakCluster cluster, FaultInjector injector, SoakReport report, CancellationToken cancellationToken)
    {
        await SeedAsync(cluster, cancellationToken);
        _watch.Restart();
        while (_watch.Elapsed < options.Duration && report.Failures.Count == 0)
        {
            var left = options.Duration - _watch.Elapsed;
            await BreakAsync(cluster, injector, report, left < options.CheckEvery ? left : options.CheckEvery, cancellationToken);
            var findings = await CompareAsync(cluster, report, cancellationToken);
            if (findings.Count == 0) continue;
            report.Findings.AddRange(findings);
            foreach (var finding in findings.Take(30)) Say($"{(finding.IsLost ? "lost" : "divergent")}: {finding.Text}");
            Say((await cluster.ReadStatusAsync(cancellationToken)).Troubles());
            break;
        }

        report.Conflicts = await CountConflictsAsync(cluster, cancellationToken);
    }

    /// <summary>Writes and breaks for so long, then ends both and heals.</summary>
    private async Task BreakAsync(SoakCluster cluster, FaultInjector injector, SoakReport report, TimeSpan duration, CancellationToken cancellationToken)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var writers = cluster.Nodes.SelectMany(node => Enumerable.Range(0, WritersPerNode)
            .Select(i => Task.Run(() => new SoakWriter(node, _writes, HashCode.Combine(options.Seed, _round, node.Index, i)).RunAsync((double)options.Rate / WritersPerNode, stop.Token), CancellationToken.None))).ToList();
        using var calm = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var breaking = injector.RunAsync(calm.Token);
        try
        {
            var until = _watch.Elapsed + duration;
            while (until - _watch.Elapsed is { Ticks: > 0 } left && !cancellationToken.IsCancellationRequested)
            {
                Sample(cluster, injector, report);
                await Task.Delay(left < s_sampleInterval ? left : s_sampleInterval, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }
        finally
        {
            await calm.CancelAsync();
            await breaking;
            await injector.HealAsync();
            await stop.CancelAsync();
            await Task.WhenAll(writers);
        }

        Sample(cluster, injector, report);
        cancellationToken.ThrowIfCancellationRequested();
        Say(string.Create(CultureInfo.InvariantCulture, $"healed after {_writes.Total:N0} transactions; comparing"));
    }

    private void Sample(SoakCluster cluster, FaultInjector injector, SoakReport report)
    {
        report.AddMemory(_watch.Elapsed, cluster.Nodes.Select(n => n.HostBytes));
        foreach (var node in cluster.Nodes)
        {
            if (node.Bank.Host is { HasExited: true } host && !injector.HoldsHost(node.Index)) report.Failures.Add($"The host of node '{node.Name}' ended by itself.\n{host.Output}");
        }
    }

    private async Task<IReadOnlyList<Finding>> CompareAsync(SoakCluster cluster, SoakReport report, CancellationToken cancellationToken)
    {
        var watch = Stopwatch.StartNew();
        await LastWords.ArriveAsync(cluster, ++_round, cancellationToken);
        var arrived = watch.Elapsed;
        var acknowledged = _writes.Take();
        while (true)
        {
            var nodes = new List<NodeRows>();
            foreach (var node in cluster.Nodes) nodes.Add(await NodeRows.ReadAsync(node, cancellationToken));
            var findings = _check.Check(nodes, acknowledged);
            if (findings.Count == 0)
            {
                Say(string.Create(CultureInfo.InvariantCulture, $"all arrived after {arrived.TotalSeconds:0.0} s, equal after {watch.Elapsed.TotalSeconds:0.0} s: {acknowledged.Count:N0} acknowledged since the last check, {nodes[0].Ledger.Count:N0} in the ledger, {nodes[0].Handles.Count} handles and {nodes[0].Hidden.Count} out of sight; none lost"));
                report.AddCheck(_watch.Elapsed, _writes.Total, watch.Elapsed);
                _check.Accept(nodes[0]);
                await TrimAsync(cluster, cancellationToken);
                return findings;
            }

            // Losers of unique values settle by writes of their own, a little later.
            if (watch.Elapsed > s_settleTime) return findings;
            await Task.Delay(s_pollInterval, cancellationToken);
        }
    }

    /// <summary>The tables that only grow start again, from one node for all.</summary>
    private async Task TrimAsync(SoakCluster cluster, CancellationToken cancellationToken)
    {
        await using (var command = cluster.Nodes[_round % SoakCluster.Size].App.CreateCommand("DELETE FROM ledger; DELETE FROM bulk; UPDATE documents SET tags = '{}'")) await command.ExecuteNonQueryAsync(cancellationToken);
        await LastWords.ArriveAsync(cluster, ++_round, cancellationToken);
    }

    private async Task SeedAsync(SoakCluster cluster, CancellationToken cancellationToken)
    {
        await using (var command = cluster.Nodes[0].App.CreateCommand($"""
            INSERT INTO accounts SELECT i, 'owner ' || i, 0 FROM generate_series(0, {SoakWriter.Accounts - 1}) i;
            INSERT INTO documents SELECT i, 'document ' || i, ARRAY[]::text[] FROM generate_series(0, {SoakWriter.Documents - 1}) i
            """)) await command.ExecuteNonQueryAsync(cancellationToken);
        await LastWords.ArriveAsync(cluster, ++_round, cancellationToken);
    }

    private static async Task<long> CountConflictsAsync(SoakCluster cluster, CancellationToken cancellationToken)
    {
        var conflicts = 0L;
        foreach (var node in cluster.Nodes)
        {
            await using var command = node.Bank.History.CreateCommand("SELECT count(*) FROM active_active.conflict");
            conflicts += (long)(await command.ExecuteScalarAsync(cancellationToken))!;
        }

        return conflicts;
    }

    private void Say(string text) => print(string.Create(CultureInfo.InvariantCulture, $"[{_watch.Elapsed:hh\\:mm\\:ss\\.f}] {text}"));
}
