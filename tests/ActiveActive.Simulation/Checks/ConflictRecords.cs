using ActiveActive.Changes;
using ActiveActive.Simulation.Cluster;
using ActiveActive.Simulation.Workload;

namespace ActiveActive.Simulation.Checks;

/// <summary>
/// The conflict history against what the simulation knows: each record names two writes of its key that did not know of each other,
/// and a node records a pair once. A write that nobody replaced knowingly and that is not the one that stands is in some node's history (M1).
/// </summary>
internal static class ConflictRecords
{
    public static void Check(SimulatedCluster cluster)
    {
        var recorded = new HashSet<(Acknowledged, int, string)>();
        foreach (var node in cluster.Nodes.Where(n => !n.IsDead))
        {
            var seen = new Dictionary<(int, int, string, int, bool), int>();
            var truncated = new HashSet<(Acknowledged, int, string, RowVersion?)>();
            foreach (var record in Read(node))
            {
                var table = SimulatedTables.IndexOf(record.Table.Name);
                var key = record.Key.Count == 0 ? "" : table == SimulatedTables.Orphan ? KeyText.Read(record.Key[1])[0] : record.Key[0];
                // Of a node that has given up what nobody else had.
                if (IsGivenUp(cluster, record.RemoteVersion) || IsGivenUp(cluster, record.LocalVersion)) continue;
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
                if (record.Type == ConflictType.TruncateOriginDiffers && !truncated.Add((incoming, table, key, record.LocalVersion))) cluster.Findings.Violation($"{what} for {incoming.Name} against the same write more than once", (table, key));
                CheckPair(cluster, record, incoming, table, key, what);
                recorded.Add((incoming, table, key));
                if (record.LocalVersion is { } version && cluster.History.Find(node.IndexOf(version.Origin), (ulong)version.Position) is { } local) recorded.Add((local, table, key));
            }
        }

        // Writes of rows that no living node may have together meet nowhere, once the last home is dead: see FinalRows.
        var hasHome = cluster.Nodes.Any(n => !n.IsDead && cluster.Options.IsHome(n.Index));
        foreach (var table in cluster.Options.ComparedTables.Where(t => !(cluster.Options.Values && t == SimulatedTables.LastUpdateWins && !hasHome) && t is SimulatedTables.LastUpdateWins or SimulatedTables.Child or SimulatedTables.Orphan)) CheckNothingIsMissing(cluster, table, recorded);
    }

    private static void CheckNothingIsMissing(SimulatedCluster cluster, int table, HashSet<(Acknowledged, int, string)> recorded)
    {
        for (var at = 0; at < cluster.Options.Keys; at++)
        {
            var key = SimulatedTables.KeyOf(at);
            var writes = cluster.History.All.Where(t => t.Effects.Any(e => e.Touches(table, key))).ToList();
            writes.Sort((left, right) => left.CompareTo(right));
            foreach (var write in writes.SkipLast(1))
            {
                if (writes.Any(other => other != write && other.Covers(write)) || recorded.Contains((write, table, key))) continue;
                if (LeavesTheSame(write, writes[^1], writes.Where(write.Covers), table, key)) continue;
                cluster.Findings.Loss($"{SimulatedTables.Names[table]}/{key}: {write.Name} lost, and no node recorded it", table, key);
            }
        }
    }

    /// <summary>Equal rows are no conflict; a large value that a write found and left as it was, its log does not hold, so that is not compared.</summary>
    private static bool LeavesTheSame(Acknowledged write, Acknowledged winner, IEnumerable<Acknowledged> seen, int table, string key)
    {
        var (left, right) = (LastOf(write), LastOf(winner));
        return left.Amount == right.Amount && (left.Value == right.Value || (left.Value is not null && seen.Any(s => s != write && LastOf(s).Value == left.Value)));

        Effect LastOf(Acknowledged transaction) => transaction.Effects.Last(e => e.Touches(table, key));
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

    private static bool IsGivenUp(SimulatedCluster cluster, RowVersion? version) => version is { } known && cluster.History.GivenUp.Contains((known.Origin.Value[0] - 'a', (ulong)known.Position));

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
