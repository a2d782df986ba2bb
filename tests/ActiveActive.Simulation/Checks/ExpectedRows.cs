using ActiveActive.Simulation.Workload;

namespace ActiveActive.Simulation.Checks;

/// <summary>What acknowledged transactions come to, by the tables' rules and nothing else.</summary>
internal sealed class ExpectedRows(IEnumerable<Acknowledged> transactions, SimulationOptions options)
{
    private readonly List<Acknowledged> _transactions = [.. transactions];
    private readonly Dictionary<int, Dictionary<string, (string Value, long Amount)>> _visible = [];

    public (string Value, long Amount)? Of(int table, string key)
    {
        if (!SimulatedTables.HasUniqueKeys(table)) return RowOf(table, key).Row;
        if (!_visible.TryGetValue(table, out var visible)) visible = _visible[table] = ChooseVisible(table);
        return visible.TryGetValue(key, out var row) ? row : null;
    }

    /// <summary>In the order of their versions.</summary>
    public List<KeyWrite> WritesOf(int table, string key)
    {
        var writes = new List<KeyWrite>();
        foreach (var transaction in _transactions)
        {
            for (var i = 0; i < transaction.Effects.Count; i++)
            {
                if (transaction.Effects[i].Touches(table, key)) writes.Add(new KeyWrite(transaction, i, transaction.Effects[i]));
            }
        }

        writes.Sort();
        return writes;
    }

    /// <summary>The row that a key has by its table's rule, visible or not, and the greatest of the writes that it is made of.</summary>
    private ((string Value, long Amount)? Row, KeyWrite? Latest) RowOf(int table, string key)
    {
        var writes = WritesOf(table, key);
        if (SimulatedTables.HasDeltas(table)) return SumOf(writes);
        // Else the greatest version stays, whoever had seen what.
        return SimulatedTables.HasResolver(table) ? FoldOf(writes) : (writes.LastOrDefault()?.Row, writes.LastOrDefault());
    }

    /// <summary>Of the rows that the keys have by their rule, from the latest on, those that share no unique value with one that is visible already.</summary>
    private Dictionary<string, (string Value, long Amount)> ChooseVisible(int table)
    {
        var visible = new Dictionary<string, (string Value, long Amount)>(StringComparer.Ordinal);
        var rows = new List<(KeyWrite Latest, string Key, (string Value, long Amount) Row)>();
        for (var number = 0; number < options.Keys; number++)
        {
            var key = SimulatedTables.KeyOf(number);
            if (RowOf(table, key) is ({ } row, { } latest)) rows.Add((latest, key, row));
        }

        // Of two rows of one transaction, whose sums or folds meet, the one with the greater key.
        rows.Sort(static (left, right) => ReferenceEquals(left.Latest.Transaction, right.Latest.Transaction) ? string.CompareOrdinal(right.Key, left.Key) : right.Latest.CompareTo(left.Latest));
        foreach (var (_, key, row) in rows)
        {
            if (SimulatedTables.UniqueOrdinals(table).Take(options.UniqueKeys).Any(o => visible.Values.Any(other => o == 1 ? other.Value == row.Value : other.Amount == row.Amount))) continue;
            visible.Add(key, row);
        }

        return visible;
    }

    /// <summary>Rule E: of what follows the greatest delete knowingly, amounts add up and the greatest version gives the value.</summary>
    private static ((string Value, long Amount)? Row, KeyWrite? Latest) SumOf(List<KeyWrite> writes)
    {
        var greatest = writes.FindLast(w => w.Effect.IsDelete);
        var alive = writes.Where(w => !w.Effect.IsDelete && (greatest is null || w.Covers(greatest))).ToList();
        return alive.Count == 0 ? (null, null) : ((alive[^1].Effect.Value!, alive.Sum(w => w.Effect.Delta)), alive[^1]);
    }

    /// <summary>The writes after the greatest truncate that no other write of the key had seen, folded in the order of their versions.</summary>
    private static ((string Value, long Amount)? Row, KeyWrite? Latest) FoldOf(List<KeyWrite> writes)
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
}

/// <summary>One write of one key.</summary>
internal sealed record KeyWrite(Acknowledged Transaction, int Index, Effect Effect) : IComparable<KeyWrite>
{
    public (string Value, long Amount)? Row => Effect.IsDelete ? null : (Effect.Value!, Effect.Amount);

    public bool Covers(KeyWrite other) =>
        ReferenceEquals(Transaction, other.Transaction) ? Index > other.Index : Transaction.Covers(other.Transaction);

    public int CompareTo(KeyWrite? other) =>
        ReferenceEquals(Transaction, other!.Transaction) ? Index.CompareTo(other.Index) : Transaction.CompareTo(other.Transaction);
}
