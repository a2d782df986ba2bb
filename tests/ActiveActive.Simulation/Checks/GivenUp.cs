using ActiveActive.Simulation.Cluster;

namespace ActiveActive.Simulation.Checks;

/// <summary>A node that gives its data up has recorded each transaction that no other node has (M1).</summary>
internal sealed class GivenUp(SimulatedCluster cluster)
{
    public async Task CheckAsync(SimulatedNode node)
    {
        var recorded = new HashSet<ulong>();
        await foreach (var record in node.Database.ReadConflictsAsync(new ConflictQuery { Limit = 100_000 }, default))
        {
            if (record.Resolver == "resync") recorded.Add((ulong)record.RemoteVersion.Position);
        }

        // What it has told of data that it has no more, is checked no further; the others' histories have the same conflicts.
        await node.Database.DeleteConflictsAsync(DateTimeOffset.MaxValue, default);
        foreach (var lost in cluster.History.OnlyAt(node.Index))
        {
            if (!recorded.Contains(lost.Position)) cluster.Findings.Violation($"node {node.Name} gave up {lost.Name}, which no other node has, and did not record it");
        }
    }
}
