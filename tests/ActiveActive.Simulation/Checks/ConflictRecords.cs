using ActiveActive.Simulation.Cluster;
using ActiveActive.Simulation.Workload;

namespace ActiveActive.Simulation.Checks;

/// <summary>
/// The conflict history against what the simulation knows: each record names two writes of its key that did not know of each other,
/// and a node records a pair once.
/// </summary>
internal static class ConflictRecords
{
    public static void Check(SimulatedCluster cluster)
    {
        foreach (var node in cluster.Nodes.Where(n => !n.IsDead))
        {
            var seen = new Dictionary<(int, int, string, int, bool), int>();
            foreach (var record in Read(node))
            {
                var table = SimulatedTables.Names.ToList().IndexOf(record.Table.Name);
                var key = record.Key.Count > 0 ? record.Key[0] : "";
                var incoming = cluster.History.Find(node.IndexOf(record.RemoteVersion.Origin), (ulong)record.RemoteVersion.Position);
                var what = $"node {node.Name} recorded {record.Type}, {record.Outcome} of {SimulatedTables.Names[table]}/{key} (\"{record.Reason}\")";
                if (incoming is null || !incoming.Effects.Any(e => e.Touches(table, key)))
                {
                    cluster.Findings.Violation($"{what} for a write that nobody made: {record.RemoteVersion}", (table, key));
                    continue;
                }

                var pair = (incoming.Node, incoming.Index, key, table, IsUnique(record));
                var count = seen[pair] = seen.GetValueOrDefault(pair) + 1;
                if (count > incoming.Effects.Count(e => e.Touches(table, key))) cluster.Findings.Violation($"{what} for {incoming.Name} more than once", (table, key));
                CheckPair(cluster, record, incoming, table, key, what);
            }
        }
    }

    private static void CheckPair(SimulatedCluster cluster, ConflictRecord record, Acknowledged incoming, int table, string key, string what)
    {
        if (record.LocalVersion is not { } version)
        {
            cluster.Findings.Violation($"{what} for {incoming.Name} against nothing", (table, key));
            return;
        }

        var local = cluster.History.Find(version.Origin.Value[0] - 'a', (ulong)version.Position);
        // Rows of different keys can have one unique value.
        if (local is null || !local.Effects.Any(e => IsUnique(record) ? e.Table == table && e.Key != key : e.Touches(table, key))) cluster.Findings.Violation($"{what} for {incoming.Name} against a write that nobody made: {version}", (table, key));
        else if (incoming.Covers(local)) cluster.Findings.Violation($"{what} for {incoming.Name} against {local.Name}, which its writer had seen", (table, key));
    }

    private static bool IsUnique(ConflictRecord record) => record.Resolver == "unique";

    private static List<ConflictRecord> Read(SimulatedNode node)
    {
        var records = new List<ConflictRecord>();
        var reading = ReadAsync();
        if (!reading.IsCompleted) throw new InvalidOperationException("The in-memory history is read at once.");
        return records;

        async Task ReadAsync()
        {
            await foreach (var record in node.Database.ReadConflictsAsync(new ConflictQuery { Limit = 100_000 }, default)) records.Add(record);
        }
    }
}
