using ActiveActive.Simulation.Cluster;
using ActiveActive.Simulation.Workload;

namespace ActiveActive.Simulation.Checks;

/// <summary>The rows of all nodes at the end, and the checks that compare them with each other and with the acknowledged writes.</summary>
internal sealed class FinalRows
{
    private readonly SimulatedCluster _cluster;
    private readonly List<SimulatedNode> _alive;
    private readonly SortedDictionary<string, (string Value, long Amount)>[,] _rows;
    private readonly Dictionary<(int Table, string Key), (string Value, long Amount)> _visible = [];

    public FinalRows(SimulatedCluster cluster)
    {
        _cluster = cluster;
        _alive = [.. cluster.Nodes.Where(n => !n.IsDead)];
        _rows = new SortedDictionary<string, (string, long)>[cluster.Nodes.Count, SimulatedTables.Names.Count];
        foreach (var node in _alive)
        {
            for (var table = 0; table < SimulatedTables.Names.Count; table++)
            {
                var rows = _rows[node.Index, table] = new(StringComparer.Ordinal);
                foreach (var row in node.Database.ReadRows(node.Tables[table])) rows.Add(row[0].Text!, (row[1].Text!, long.Parse(row[2].Text!, System.Globalization.CultureInfo.InvariantCulture)));
            }
        }
    }

    public void Check()
    {
        foreach (var table in _cluster.Options.Tables)
        {
            if (SimulatedTables.HasUniqueKeys(table)) ChooseVisible(table);
            for (var key = 0; key < _cluster.Options.Keys; key++) CheckKey(table, ((char)('p' + key)).ToString());
        }
    }

    private void CheckKey(int table, string key)
    {
        var writes = WritesOf(table, key);
        var first = RowOf(_alive[0].Index, table, key);
        if (_alive.Any(n => RowOf(n.Index, table, key) != first))
        {
            _cluster.Findings.Divergence($"{SimulatedTables.Names[table]}/{key}: {string.Join("; ", _alive.Select(n => $"{n.Name} has {Show(RowOf(n.Index, table, key))}"))}; expected {Show(Expected(table, key, writes))}", table, key);
            return;
        }

        var expected = Expected(table, key, writes);
        if (first == expected) return;
        _cluster.Findings.Loss($"{SimulatedTables.Names[table]}/{key}: all nodes have {Show(first)}, and the acknowledged writes come to {Show(expected)}", table, key);
    }

    /// <summary>In the order of their versions.</summary>
    private List<KeyWrite> WritesOf(int table, string key)
    {
        var writes = (
            from transaction in _cluster.History.All
            from step in transaction.Effects.Select((effect, index) => (effect, index))
            where step.effect.Touches(table, key)
            select new KeyWrite(transaction, step.index, step.effect)).ToList();
        writes.Sort();
        return writes;
    }

    /// <summary>Of the rows that the keys have by their rule, from the latest on, those that share no unique value with one that is visible already.</summary>
    private void ChooseVisible(int table)
    {
        var rows = new List<(KeyWrite Latest, string Key, (string Value, long Amount) Row)>();
        for (var number = 0; number < _cluster.Options.Keys; number++)
        {
            var key = ((char)('p' + number)).ToString();
            var writes = WritesOf(table, key);
            var (row, latest) = SimulatedTables.HasDeltas(table) ? ExpectedSum(writes) : SimulatedTables.HasResolver(table) ? ExpectedFold(writes) : (writes.LastOrDefault()?.Row, writes.LastOrDefault());
            if (row is { } there) rows.Add((latest!, key, there));
        }

        // Of two rows of one transaction, whose sums or folds meet, the one with the greater key.
        rows.Sort(static (left, right) => ReferenceEquals(left.Latest.Transaction, right.Latest.Transaction) ? string.CompareOrdinal(right.Key, left.Key) : right.Latest.CompareTo(left.Latest));
        var visible = new List<(string Value, long Amount)>();
        foreach (var (_, key, row) in rows)
        {
            if (SimulatedTables.UniqueOrdinals(table).Take(_cluster.Options.UniqueKeys).Any(o => visible.Exists(other => o == 1 ? other.Value == row.Value : other.Amount == row.Amount))) continue;
            visible.Add(row);
            _visible.Add((table, key), row);
        }
    }

    private (string Value, long Amount)? RowOf(int node, int table, string key) => _rows[node, table].TryGetValue(key, out var row) ? row : null;

    private (string Value, long Amount)? Expected(int table, string key, List<KeyWrite> writes) => writes.Count == 0 ? null : table switch
    {
        SimulatedTables.Delta => ExpectedSum(writes).Row,
        SimulatedTables.Merge => ExpectedFold(writes).Row,
        >= SimulatedTables.Unique => _visible.TryGetValue((table, key), out var row) ? row : null,
        // The greatest version stays, whoever had seen what.
        _ => writes[^1].Row,
    };

    /// <summary>Rule E: of what follows the greatest delete knowingly, amounts add up and the greatest version gives the value.</summary>
    private static ((string Value, long Amount)? Row, KeyWrite? Latest) ExpectedSum(List<KeyWrite> writes)
    {
        var greatest = writes.FindLast(w => w.Effect.IsDelete);
        var alive = writes.Where(w => !w.Effect.IsDelete && (greatest is null || w.Covers(greatest))).ToList();
        return alive.Count == 0 ? (null, null) : ((alive[^1].Effect.Value!, alive.Sum(w => w.Effect.Delta)), alive[^1]);
    }

    /// <summary>The writes after the greatest truncate that no other write of the key had seen, folded in the order of their versions.</summary>
    private static ((string Value, long Amount)? Row, KeyWrite? Latest) ExpectedFold(List<KeyWrite> writes)
    {
        (string Value, long Amount)? folded = null;
        KeyWrite? latest = null;
        var truncate = writes.FindLastIndex(w => w.Effect.Key is null);
        writes = writes[Math.Max(truncate, 0)..];
        foreach (var write in writes.Where(w => !writes.Any(other => other != w && other.Covers(w))))
        {
            folded = latest is null || folded is null || write.Row is null ? write.Row : (TagSet.Union(folded.Value.Value, write.Row.Value.Value), write.Row.Value.Amount);
            latest = write;
        }

        return (folded, latest);
    }

    private static string Show((string Value, long Amount)? row) => row is { } there ? $"({there.Value}, {there.Amount})" : "no row";

    private sealed record KeyWrite(Acknowledged Transaction, int Index, Effect Effect) : IComparable<KeyWrite>
    {
        public (string Value, long Amount)? Row => Effect.IsDelete ? null : (Effect.Value!, Effect.Amount);

        public bool Covers(KeyWrite other) =>
            ReferenceEquals(Transaction, other.Transaction) ? Index > other.Index : Transaction.Covers(other.Transaction);

        public int CompareTo(KeyWrite? other) =>
            ReferenceEquals(Transaction, other!.Transaction) ? Index.CompareTo(other.Index) : Transaction.CompareTo(other.Transaction);
    }
}
