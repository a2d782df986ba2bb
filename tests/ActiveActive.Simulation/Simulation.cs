using ActiveActive.Simulation.Checks;
using ActiveActive.Simulation.Cluster;
using ActiveActive.Simulation.Workload;

namespace ActiveActive.Simulation;

/// <summary>What one seed came to.</summary>
internal sealed record SimulationResult(SimulationOptions Options, Findings Findings, Trace Trace, long Steps, int Transactions, int Operations, int Relays, int Groups, int Treatments, bool IsValueNowhere);

/// <summary>One run: a workload under faults; then everything heals, and the nodes must become equal in bounded time; then the checkers.</summary>
internal static class Simulation
{
    private const long WorkloadTime = 600_000_000;
    private const long DrainTime = 30_000_000;
    private const long MostSteps = 400_000;

    public static SimulationResult Run(SimulationOptions options, bool keepTrace = false)
    {
        var trace = new Trace(keepTrace);
        var cluster = new SimulatedCluster(options, trace);
        var findings = cluster.Findings;
        var budget = new WorkloadBudget(options.Transactions, options.Nodes * options.ClientsPerNode);
        var faults = new FaultInjector(cluster);
        var isStarted = false;
        cluster.Loop.At(0, () =>
        {
            isStarted = true;
            foreach (var node in cluster.Nodes)
            {
                // What is committed before the slot exists is not replicated: set-up comes first.
                _ = node.Database.SetUpAsync(isJoining: node.IsLate, default).AsTask();
                if (node.IsLate) _ = new SimulatedJoin(node, cluster).RunAsync();
                node.Start();
                for (var i = 0; i < options.ClientsPerNode; i++) _ = new Client(node, cluster, budget).RunAsync();
            }

            _ = faults.RunAsync();
        });

        if (!cluster.Loop.Run(() => isStarted && budget.IsSpent, MostSteps, WorkloadTime)) Stuck(cluster, "the workload did not end");
        faults.Heal();
        var healed = cluster.Loop.Now;
        var isNowhere = false;
        if (findings.IsClean && !cluster.Loop.Run(() => (cluster.History.IsComplete && IsWhole(cluster)) || !findings.IsClean, MostSteps, healed + DrainTime))
        {
            // README, limits: what only such nodes have of a dead one that do not hold all that another does of it, nobody relays; and what a node that died for good left unchanged in its last update can be lost with it. Nothing more can be said of that run.
            isNowhere = (cluster.Network.Nowhere.Count > 0 || cluster.Network.NotRelayed.Count > 0) && cluster.Loop.Escaped is null;
            if (!isNowhere) Stuck(cluster, "the nodes did not take all transactions");
        }

        if (isNowhere) return End(isNowhere);
        if (findings.IsClean && !cluster.Loop.Run(() => IsSettled(cluster) || !findings.IsClean, MostSteps, cluster.Loop.Now + DrainTime)) Stuck(cluster, "losers of unique values were looked at for ever");
        if (findings.IsClean && options.Orphans is not null)
        {
            // Where rows differ, that is why.
            if (!cluster.Loop.Run(() => cluster.Treatments.AreOver || !findings.IsClean, MostSteps, cluster.Loop.Now + DrainTime)) new FinalRows(cluster).Check();
            if (findings.IsClean && !cluster.Treatments.AreOver) Stuck(cluster, "orphans were not told of, or not treated,");
            if (findings.IsClean) cluster.Treatments.Check();
        }

        if (findings.IsClean) new FinalRows(cluster).Check();
        // While a dead node is a member nothing more is stable.
        var mustCollect = cluster.Nodes.All(n => !n.IsDead || n.IsParted);
        if (findings.IsClean && mustCollect && !cluster.Loop.Run(() => IsCollected(cluster) || !findings.IsClean, MostSteps, cluster.Loop.Now + DrainTime)) Stuck(cluster, "tombstones, overrides or siblings were never collected");
        if (findings.IsClean) new FinalRows(cluster).Check();
        if (findings.IsClean) ConflictRecords.Check(cluster);
        return End(isNowhere);

        SimulationResult End(bool isNowhere)
        {
            foreach (var node in cluster.Nodes) node.Life?.End();
            return new SimulationResult(options, findings, trace, cluster.Loop.Steps, cluster.History.Committed.Sum(c => c.Count), cluster.History.Committed.Sum(c => c.Sum(t => t.Effects.Count)), cluster.Network.Relays, cluster.Groups, cluster.Treatments.Count, isNowhere);
        }
    }

    /// <summary>Nobody is on the way out or back.</summary>
    private static bool IsWhole(SimulatedCluster cluster) => cluster.Nodes.All(n => n.IsDead ? n.IsParted || !cluster.Options.HasParting : !n.IsAway);

    private static bool IsSettled(SimulatedCluster cluster) => cluster.Nodes.All(n => n.IsDead || n.Life is { IsOver: false, Losers.IsIdle: true, Evictions.First: null });

    private static bool IsCollected(SimulatedCluster cluster) => cluster.Nodes.All(n => n.IsDead || n.Database.NoteCount == 0);

    private static void Stuck(SimulatedCluster cluster, string what)
    {
        cluster.Findings.Violation(cluster.Loop.Escaped is { } escaped
            ? $"a continuation ran on another thread: {escaped}"
            : $"{what} within {cluster.Loop.Steps} steps and {cluster.Loop.Now} µs: "
                + string.Join("; ", cluster.Nodes.Select(n => $"{n.Name} shows {string.Join(' ', cluster.History.Seen[n.Index])} of {string.Join(' ', cluster.History.Committed.Select(c => c.Count))}, {n.Database.NoteCount} notes")));
    }
}
