using System.Text;
using ActiveActive.Changes;
using ActiveActive.Database;

namespace ActiveActive.Testing;

/// <summary>Whether a cluster's nodes agree; and where not, in which rows, and what keeps them apart.</summary>
internal sealed class ConvergenceReport(InMemoryCluster cluster)
{
    private const int MostRows = 10;

    /// <summary>Those whose rows must be equal: a node that another one has parted is on its own.</summary>
    private InMemoryNode[] Running => [.. cluster.Nodes.Where(n => n.IsRunning && !cluster.Nodes.Any(other => other != n && other.IsRunning && IsLeaving(other, n)))];

    public bool IsConverged
    {
        get
        {
            if (cluster.Network.AcceptorFaults is { Count: > 0 } faults) throw new AggregateException("A node failed in an inbound connection.", faults);
            var running = Running;
            return running.All(to => running.All(from => Missing(to, from) is null)) && running.All(n => n.Database.IsRunning) && Differences(running).Count == 0;
        }
    }

    public string Describe(TimeSpan limit)
    {
        var running = Running;
        var differences = Differences(running);
        var text = new StringBuilder($"The nodes did not converge within {limit} of the cluster's time: ");
        text.Append(differences.Count == 0 ? "their rows are equal, but not everything is applied everywhere.\n" : $"{differences.Count} {(differences.Count == 1 ? "row differs" : "rows differ")}.\n");
        foreach (var (table, key, states) in differences.Take(MostRows))
        {
            text.Append(null, $"{table.Name} {key}\n");
            for (var i = 0; i < running.Length; i++) text.Append(null, $"  {running[i].Name}: {states[i]}\n");
        }

        if (differences.Count > MostRows) text.Append(null, $"and {differences.Count - MostRows} more.\n");
        return text.Append(DescribeNodes()).ToString();
    }

    /// <summary>What each node lacks, and what it says itself.</summary>
    public string DescribeNodes()
    {
        var text = new StringBuilder();
        foreach (var node in cluster.Nodes)
        {
            var status = node.Replication.Status;
            text.Append(null, $"Node {node.Name} {(node.IsRunning ? status.State : "is crashed")}, {node.Conflicts.Count} conflicts recorded{(status.Message is { } fault ? $": {fault}" : ".")}\n");
            if (!node.IsRunning) continue;
            foreach (var peer in cluster.Nodes)
            {
                if (peer == node) continue;
                var link = node.StatusOf(peer);
                text.Append(null, $"  from {peer.Name}: {Missing(node, peer) ?? "all applied"}; {link.Receiving}{(link.Message is { } why ? $": {why}" : ".")}\n");
            }
        }

        foreach (var (a, b) in cluster.Network.CutLinks) text.Append(null, $"{a} and {b} are partitioned.\n");
        foreach (var node in cluster.Nodes.Where(n => n.Clock.Offset != TimeSpan.Zero)) text.Append(null, $"The clock of {node.Name} is {node.Clock.Offset} ahead.\n");
        return text.ToString();
    }

    private static bool IsLeaving(InMemoryNode node, InMemoryNode peer) =>
        node.Replication.Status.Peers.FirstOrDefault(p => p.Peer == peer.Name) is { Receiving: PeerLinkState.Parting or PeerLinkState.Parted };

    private static string? Missing(InMemoryNode to, InMemoryNode from)
    {
        if (to == from) return null;
        var applied = to.Database.ProgressOf(from.Name);
        return applied >= from.LastCommit ? null : $"not applied after {(applied == default ? "the start" : applied)}, {from.Name} has committed up to {from.LastCommit}";
    }

    private static List<(LocalTable Table, string Key, string[] States)> Differences(InMemoryNode[] nodes)
    {
        var differences = new List<(LocalTable, string, string[])>();
        foreach (var table in nodes.SelectMany(static n => n.Tables).DistinctBy(static t => t.Name))
        {
            // Which nodes hold it, and which of its rows, the table rules say.
            var holders = nodes.Where(n => n.Tables.Any(t => t.Name == table.Name)).ToArray();
            var tables = holders.Select(n => n.Database.ReadVersions(n.Tables.First(t => t.Name == table.Name)).ToDictionary(v => v.Key)).ToArray();
            foreach (var key in tables.SelectMany(table => table.Keys).Distinct().OrderBy(k => k.ToText(), StringComparer.Ordinal))
            {
                var rows = tables.Select(table => table.TryGetValue(key, out var found) ? found : (key, null, default)).ToArray();
                var one = rows.FirstOrDefault(static row => row.Row is not null).Row;
                if (rows.Select((row, i) => AreEqual(row.Row, IsOn(holders[i], table, one) ? one : null)).All(static equal => equal)) continue;
                differences.Add((table, key.ToText(), [.. nodes.Select(n => Array.IndexOf(holders, n) is var i and >= 0 ? StateOf(table, rows[i].Row, rows[i].Version) : "not on this node")]));
            }
        }

        return differences;
    }

    private static bool IsOn(InMemoryNode node, LocalTable table, ColumnValue[]? row) => row is null || table.Settings.Route is not { } route || route.Holds(node.Name, row[table.OrdinalOf(route.Column)]);

    private static bool AreEqual(ColumnValue[]? left, ColumnValue[]? right) =>
        left is null || right is null ? ReferenceEquals(left, right) : left.AsSpan().SequenceEqual(right);

    private static string StateOf(LocalTable table, ColumnValue[]? row, RowVersion version)
    {
        if (row is null) return version.Origin.IsNone ? "no row" : $"no row, deleted by {version.Origin} at {version.Stamp}";
        return $"{string.Join(", ", row.Select((value, i) => $"{table.Columns[i].Name}={value}"))}   (written by {version.Origin} at {version.Stamp})";
    }
}
