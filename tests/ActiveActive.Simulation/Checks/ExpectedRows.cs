using ActiveActive.Simulation.Workload;

namespace ActiveActive.Simulation.Checks;

/// <summary>What acknowledged transactions come to, by the tables' rules and nothing else.</summary>
internal sealed class ExpectedRows(IEnumerable<Acknowledged> transactions, SimulationOptions options)
{
    private readonly List<Acknowledged> _transactions = [.. transactions];
    private Dictionary<string, (string Value, long Amount)>? _visible;

    public (string Value, long Amount)? Of(int table, string key)
    {
        if (table == SimulatedTables.Unique) return (_visible ??= ChooseVisible()).TryGetValue(key, out var row) ? row : null;
        var writes = WritesOf(table, key);
        return writes.Count == 0 ? null : table switch
        {
            SimulatedTables.Delta => SumOf(writes),
            SimulatedTables.Merge => FoldOf(writes),
            // The greatest version stays, whoever had seen what.
            _ => writes[^1].Row,
        };
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

    /// <summary>Of the latest row of each key, from the latest on, those that share no unique value with one that is visible already.</summary>
    private Dictionary<string, (string Value, long Amount)> ChooseVisible()
    {
        var visible = new Dictionary<string, (string Value, long Amount)>(StringComparer.Ordinal);
        var latest = new List<(KeyWrite Write, string Key)>();
        for (var key = 0; key < options.Keys; key++)
        {
            var name = SimulatedTables.KeyOf(key);
            if (WritesOf(SimulatedTables.Unique, name) is [.., { Row: not null } last]) latest.Add((last, name));
        }

        latest.Sort(static (left, right) => right.Write.CompareTo(left.Write));
        foreach (var (write, key) in latest)
        {
            var row = write.Row!.Value;
            if (options.UniqueKeys > 0 && visible.Values.Any(other => other.Amount == row.Amount)) continue;
            if (options.UniqueKeys > 1 && visible.Values.Any(other => other.Value == row.Value)) continue;
            visible.Add(key, row);
        }

        return visible;
    }

    /// <summary>Rule E: of what follows the greatest delete knowingly, amounts add up and the greatest version gives the value.</summary>
    private static (string Value, long Amount)? SumOf(List<KeyWrite> writes)
    {
        var greatest = writes.FindLast(w => w.Effect.IsDelete);
        var alive = writes.Where(w => !w.Effect.IsDelete && (greatest is null || w.Covers(greatest))).ToList();
        return alive.Count == 0 ? null : (alive[^1].Effect.Value!, alive.Sum(w => w.Effect.Delta));
    }

    /// <summary>The writes after the greatest truncate that no other write of the key had seen, folded in the order of their versions.</summary>
    private static (string Value, long Amount)? FoldOf(List<KeyWrite> writes)
    {
        (string Value, long Amount)? folded = null;
        var isFirst = true;
        var truncate = writes.FindLastIndex(w => w.Effect.Key is null);
        writes = writes[Math.Max(truncate, 0)..];
        foreach (var write in writes.Where(w => !writes.Any(other => other != w && other.Covers(w))))
        {
            folded = isFirst || folded is null || write.Row is null ? write.Row : (TagSet.Union(folded.Value.Value, write.Row.Value.Value), write.Row.Value.Amount);
            isFirst = false;
        }

        return folded;
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
