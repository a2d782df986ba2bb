using ActiveActive.Simulation.Cluster;
using ActiveActive.Simulation.Workload;

namespace ActiveActive.Simulation.Checks;

/// <summary>The rows of all nodes at the end, and the checks that compare them with each other and with the acknowledged writes.</summary>
internal sealed class FinalRows
{
    private readonly SimulatedCluster _cluster;
    private readonly List<SimulatedNode> _alive;
    private readonly ExpectedRows _expected;
    private readonly SortedDictionary<string, (string Value, long Amount)>[,] _rows;

    public FinalRows(SimulatedCluster cluster)
    {
        _cluster = cluster;
        _alive = [.. cluster.Nodes.Where(n => !n.IsDead)];
        _expected = new ExpectedRows(cluster.History.All, cluster.Options);
        _rows = new SortedDictionary<string, (string, long)>[cluster.Nodes.Count, SimulatedTables.Names.Count];
        foreach (var node in _alive)
        {
            foreach (var table in cluster.Options.ComparedTables.Where(t => cluster.Options.Holds(node.Index, t)))
            {
                var rows = _rows[node.Index, table] = new(StringComparer.Ordinal);
                foreach (var (key, value, amount) in node.ReadRows(table)) rows.Add(key, (value, amount));
            }
        }
    }

    public void Check()
    {
        foreach (var table in _cluster.Options.ComparedTables)
        {
            for (var key = 0; key < _cluster.Options.Keys; key++) CheckKey(table, SimulatedTables.KeyOf(key));
        }
    }

    private void CheckKey(int table, string key)
    {
        if (_cluster.Options.Values && table == SimulatedTables.LastUpdateWins)
        {
            CheckRouted(key);
            return;
        }

        var holders = _alive.Where(n => _cluster.Options.Holds(n.Index, table)).ToList();
        if (holders.Count == 0) return;
        var first = RowOf(holders[0].Index, table, key);
        if (holders.Any(n => RowOf(n.Index, table, key) != first))
        {
            _cluster.Findings.Divergence($"{SimulatedTables.Names[table]}/{key}: {string.Join("; ", holders.Select(n => $"{n.Name} has {Show(RowOf(n.Index, table, key))}"))}; expected {Show(_expected.Of(table, key))}", table, key);
            return;
        }

        var expected = _expected.Of(table, key);
        if (first == expected) return;
        _cluster.Findings.Loss($"{SimulatedTables.Names[table]}/{key}: its nodes have {Show(first)}, and the acknowledged writes come to {Show(expected)}", table, key);
    }

    /// <summary>Of a row that is not on every node: those that hold it have it, and no other.</summary>
    private void CheckRouted(string key)
    {
        const int Table = SimulatedTables.LastUpdateWins;
        var expected = _expected.Of(Table, key);
        foreach (var node in _alive.Where(n => _cluster.Options.Holds(n.Index, Table)))
        {
            var wanted = expected is { } latest && _cluster.Options.HoldsRow(node.Index, latest.Amount) ? expected : null;
            // Nobody tells who may have a version that it was replaced, once the last home is dead: then no more is promised than that nobody has another's row.
            var row = RowOf(node.Index, Table, key);
            if (row == wanted || (!_alive.Any(n => _cluster.Options.IsHome(n.Index)) && (row is null || _cluster.Options.HoldsRow(node.Index, row.Value.Amount)))) continue;
            _cluster.Findings.Divergence($"{SimulatedTables.Names[Table]}/{key}: {node.Name} has {Show(RowOf(node.Index, Table, key))}, and should have {Show(wanted)}; the acknowledged writes come to {Show(expected)}", Table, key);
            return;
        }
    }

    private (string Value, long Amount)? RowOf(int node, int table, string key) => _rows[node, table].TryGetValue(key, out var row) ? row : null;

    private static string Show((string Value, long Amount)? row) => row is { } there ? $"({there.Value}, {there.Amount})" : "no row";
}
