using System.Globalization;
using QuickStart.Checks;
using QuickStart.Cluster;
using QuickStart.Progress;
using QuickStart.Writes;

namespace QuickStart;

/// <summary>The whole run: start, write, wait for quiet, compare, count what is lost.</summary>
internal sealed class QuickStartRun(QuickStartOptions options)
{
    private const int FindingsShown = 20;
    private static readonly TimeSpan s_longestAbsence = TimeSpan.FromSeconds(3);

    private readonly WriteLog _log = new();

    /// <summary>Runs and cleans up; the verdict is for the last line.</summary>
    /// <exception cref="QuickStartException">The cluster did not start or did not become quiet.</exception>
    public async Task<Verdict> RunAsync(CancellationToken cancellationToken)
    {
        Console.WriteLine($"Starting {options.Nodes} PostgreSQL servers and {options.Nodes} hosts…");
        await using var cluster = await BankCluster.StartAsync(options, cancellationToken);
        foreach (var node in cluster.Nodes) Console.WriteLine($"  {node.Name,-8} PostgreSQL {node.Postgres}, host process {node.Host!.Id}, {node.AppAddress}status");

        using var viewing = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var view = new ProgressView(cluster, _log) { Phase = "seeding" };
        var showing = view.RunAsync(viewing.Token);
        try
        {
            await new BankTeller(cluster.Nodes[0], _log, new MessageBoard()).SeedAsync();
            await QuietWait.RunAsync(cluster, 1, cancellationToken);
            view.Phase = "writing";
            await WriteAsync(cluster, view, cancellationToken);
            view.Phase = "waiting for quiet";
            await QuietWait.RunAsync(cluster, 2, cancellationToken);
        }
        finally
        {
            await viewing.CancelAsync();
            await showing;
        }

        return await JudgeAsync(cluster, cancellationToken);
    }

    private async Task WriteAsync(BankCluster cluster, ProgressView view, CancellationToken cancellationToken)
    {
        using var writing = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        writing.CancelAfter(TimeSpan.FromSeconds(options.Seconds));
        var writers = new BankWriters(cluster, _log, options.Rate).RunAsync(writing.Token);
        try
        {
            if (options.Kill) await KillOneHostAsync(cluster.Nodes[^1], view, cancellationToken);
        }
        finally
        {
            await writers;
        }

        cancellationToken.ThrowIfCancellationRequested();
        if (!options.Kill) return;
        view.Phase = "waiting for all hosts to join";
        await cluster.UntilJoinedAsync(cancellationToken);
    }

    /// <summary>A host dies in the middle of it; its database is written on, and what it missed is there when it is back.</summary>
    private async Task KillOneHostAsync(BankNode node, ProgressView view, CancellationToken cancellationToken)
    {
        var third = TimeSpan.FromSeconds(options.Seconds / 3.0);
        await Task.Delay(third, cancellationToken);
        var (id, before) = (node.Host!.Id, _log.Transactions);
        await node.KillHostAsync();
        view.Say($"Killed the host of '{node.Name}' (process {id}, SIGKILL); writes go on, also in its database.");
        await Task.Delay(third < s_longestAbsence ? third : s_longestAbsence, cancellationToken);
        await node.StartHostAgainAsync();
        view.Say($"Started the host of '{node.Name}' again (process {node.Host!.Id}) after {_log.Transactions - before} more writes.");
    }

    private async Task<Verdict> JudgeAsync(BankCluster cluster, CancellationToken cancellationToken)
    {
        var differences = await TableComparison.FindDifferencesAsync(cluster, cancellationToken);
        foreach (var line in differences) Console.WriteLine($"differs: {line}");

        var committed = await CommitLookup.RunAsync(cluster, _log.ToList(), cancellationToken);
        var conflicts = await RecordedConflicts.ReadAsync(cluster, cancellationToken);
        var check = new LossCheck([.. cluster.Nodes.Select(n => n.Name)], committed, conflicts);
        var findings = new List<Finding>();
        foreach (var node in cluster.Nodes) findings.AddRange(check.Check(await BankState.ReadAsync(node, cancellationToken)));
        foreach (var finding in findings.Take(FindingsShown)) Console.WriteLine($"{(finding.IsLost ? "lost" : "wrong")}: {finding.Text}");
        if (findings.Count > FindingsShown) Console.WriteLine($"… and {findings.Count - FindingsShown} more");
        if (differences.Count + findings.Count > 0) Console.WriteLine(cluster.DescribeHosts());

        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"Checked {committed.Count:N0} committed transactions on each node: {check.Superseded:N0} row versions were superseded by later ones; {_log.Refused} transactions were rolled back by the database (deadlocks)."));
        return new Verdict(cluster.Nodes.Count, conflicts.Count, differences.Count, findings.Count(f => f.IsLost), findings.Count(f => !f.IsLost));
    }
}
