using System.Diagnostics.CodeAnalysis;
using ActiveActive.Changes;
using ActiveActive.Database;

namespace ActiveActive.Testing.Database;

/// <summary>A stored row. <see cref="Values"/> are never changed in place: readers and the log hold on to them.</summary>
internal sealed record InMemoryRow(ColumnValue[] Values, InMemoryCommit WrittenBy);

/// <summary>A place for one key: the committed row, the row that the lock's owner is about to commit, and the lock itself.</summary>
internal sealed class InMemoryCell(InMemoryTable table, RowKey key) : InMemoryLock
{
    public InMemoryTable Table { get; } = table;

    public RowKey Key { get; } = key;

    public InMemoryRow? Committed { get; set; }

    public InMemoryRow? Pending { get; private set; }

    public bool IsPending { get; private set; }

    public InMemoryRow? SeenBy(InMemoryTransaction transaction) => IsPending && IsOwnedBy(transaction) ? Pending : Committed;

    public void Write(InMemoryRow? row)
    {
        Pending = row;
        IsPending = true;
    }

    public void Install()
    {
        Committed = Pending;
        Forget();
    }

    public void Forget()
    {
        Pending = null;
        IsPending = false;
    }
}

/// <summary>A place for one value of a unique key: whoever takes or frees the value holds it until the end, and others wait to know.</summary>
internal sealed class InMemoryUniqueValue(InMemoryTable table, (InMemoryUniqueKey Key, RowKey Value) place) : InMemoryLock
{
    public InMemoryTable Table { get; } = table;

    public (InMemoryUniqueKey Key, RowKey Value) Place { get; } = place;
}

/// <summary>A table's rows by primary key, and what the library notes about its keys.</summary>
internal sealed class InMemoryTable
{
    private readonly Dictionary<RowKey, InMemoryCell> _cells = new(KeyValuesComparer.Instance);
    private readonly Dictionary<(InMemoryUniqueKey Key, RowKey Value), InMemoryUniqueValue> _uniqueValues = [];
    private readonly bool[] _isToast;

    public InMemoryTable(InMemoryTableDefinition definition)
    {
        Definition = definition.Table;
        Check = definition.Check;
        UniqueKeys = definition.UniqueKeys;
        ForeignKeys = definition.ForeignKeys;
        var columns = new RelationColumn[Definition.Columns.Count];
        var key = Definition.KeyOrdinals.ToList();
        _isToast = new bool[columns.Length];
        for (var i = 0; i < columns.Length; i++)
        {
            var column = Definition.Columns[i];
            columns[i] = new RelationColumn(column.Name, column.TypeName, key.IndexOf(i) + 1);
            _isToast[i] = definition.ToastColumns.Contains(column.Name);
        }

        Relation = new Relation(Definition.Name, Definition.Name, columns);
        WholeTable = new RowKey(Definition.Name, []);
    }

    public LocalTable Definition { get; }

    public Relation Relation { get; }

    /// <summary>The name of the check constraint that a row violates; null where it violates none.</summary>
    public Func<ColumnValue[], string?> Check { get; }

    /// <summary>The key under which the tombstone of the whole table is noted.</summary>
    public RowKey WholeTable { get; }

    /// <summary>The table's lock: shared by writers of rows, exclusive for TRUNCATE.</summary>
    public InMemoryLock Lock { get; } = new();

    public InMemoryNotes Tombstones { get; } = new(InMemoryNoteKind.Tombstone);

    public InMemoryNotes Overrides { get; } = new(InMemoryNoteKind.Override);

    public IReadOnlyList<InMemoryUniqueKey> UniqueKeys { get; set; }

    public IReadOnlyList<ForeignKey> ForeignKeys { get; }

    /// <summary>Rows that lost a unique value: one sibling each.</summary>
    public InMemoryNotes Losers { get; } = new(InMemoryNoteKind.Loser);

    public InMemoryNotes Siblings { get; } = new(InMemoryNoteKind.Siblings);

    public bool IsToast(int ordinal) => _isToast[ordinal];

    /// <summary>The cells in the order in which their keys first came; including ones without a committed row.</summary>
    public Dictionary<RowKey, InMemoryCell>.ValueCollection Cells => _cells.Values;

    public RowKey KeyOf(ColumnValue[] values)
    {
        var ordinals = Definition.KeyOrdinals;
        var texts = new string[ordinals.Count];
        for (var i = 0; i < texts.Length; i++)
        {
            texts[i] = values[ordinals[i]].Text ?? throw new ReplicationException(ReplicationErrorKind.ApplyRefused,
                $"A primary-key column of {Definition.Name} is null or unchanged in a new row.");
        }

        return new RowKey(Definition.Name, texts);
    }

    public InMemoryCell? Find(RowKey key) => _cells.GetValueOrDefault(key);

    public InMemoryCell CellOf(RowKey key)
    {
        if (_cells.TryGetValue(key, out var cell)) return cell;
        cell = new InMemoryCell(this, new RowKey(Definition.Name, [.. key.Values]));
        _cells.Add(cell.Key, cell);
        return cell;
    }

    /// <summary>Drops a cell that holds nothing and that nobody wants.</summary>
    public void Prune(InMemoryCell cell)
    {
        if (cell.Committed is null && cell.IsFree) _cells.Remove(cell.Key);
    }

    public InMemoryUniqueValue PlaceOf(InMemoryUniqueKey key, RowKey value)
    {
        if (_uniqueValues.TryGetValue((key, value), out var place)) return place;
        place = new InMemoryUniqueValue(this, (key, value));
        _uniqueValues.Add(place.Place, place);
        return place;
    }

    public void Prune(InMemoryUniqueValue place)
    {
        if (place.IsFree) _uniqueValues.Remove(place.Place);
    }

    /// <summary>Whether two rows share a value of a unique key.</summary>
    public bool Clash(ColumnValue[] left, ColumnValue[] right)
    {
        foreach (var key in UniqueKeys)
        {
            if (key.ValueOf(Definition.Name, left) is { } value && key.ValueOf(Definition.Name, right) == value) return true;
        }

        return false;
    }

    /// <summary>Within one table only the values tell keys apart.</summary>
    public sealed class KeyValuesComparer : IEqualityComparer<RowKey>
    {
        public static readonly KeyValuesComparer Instance = new();

        public bool Equals(RowKey x, RowKey y)
        {
            var left = x.Values;
            var right = y.Values;
            if (left.Count != right.Count) return false;
            for (var i = 0; i < left.Count; i++)
            {
                if (!string.Equals(left[i], right[i], StringComparison.Ordinal)) return false;
            }

            return true;
        }

        public int GetHashCode([DisallowNull] RowKey obj)
        {
            var hash = 17;
            var values = obj.Values;
            for (var i = 0; i < values.Count; i++) hash = (hash * 31) + string.GetHashCode(values[i], StringComparison.Ordinal);
            return hash;
        }
    }
}
