namespace ActiveActive.Database;

/// <summary>A table of the local database as apply needs it: the partition root where there are partitions.</summary>
internal sealed class LocalTable
{
    private readonly Dictionary<string, int> _ordinals;

    public LocalTable(TableName name, IReadOnlyList<LocalColumn> columns, IReadOnlyList<int> keyOrdinals, TableSettings settings)
    {
        Name = name;
        Columns = columns;
        KeyOrdinals = keyOrdinals;
        Settings = settings;
        _ordinals = new Dictionary<string, int>(columns.Count, StringComparer.Ordinal);
        for (var i = 0; i < columns.Count; i++) _ordinals.Add(columns[i].Name, i);
        DeltaOrdinals = [.. settings.DeltaColumns.Select(d => OrdinalOf(d.Name))];
    }

    public TableName Name { get; }

    /// <summary>All columns but generated ones, in the local order.</summary>
    public IReadOnlyList<LocalColumn> Columns { get; }

    /// <summary>The primary key's columns, in key order.</summary>
    public IReadOnlyList<int> KeyOrdinals { get; }

    /// <summary>The delta columns, in the order of <see cref="TableSettings.DeltaColumns"/>.</summary>
    public IReadOnlyList<int> DeltaOrdinals { get; }

    public TableSettings Settings { get; }

    /// <summary>Whether it, or one of its partitions, has unique keys besides the primary key; or rows that are still out of sight for one.</summary>
    public bool HasUniqueKeys { get; init; }

    /// <summary>Whether one of them is deferrable. PostgreSQL checks such a key by a trigger, which does not fire for an applier.</summary>
    public bool HasDeferrableKeys { get; init; }

    /// <summary>Whether applied rows are seen by triggers or rules (ENABLE ALWAYS or REPLICA), which may look at each write as it comes.</summary>
    public bool HasTriggers { get; init; }

    /// <summary>
    /// Whether its rows can be written in any order. A row may need a unique value that another one has just let go, and a trigger may want to see each write.
    /// </summary>
    public bool IsWrittenInAnyOrder => !HasUniqueKeys && !HasTriggers;

    /// <summary>Whether the versions of two writes decide between them, whoever had seen what: last update wins.</summary>
    public bool IsDecidedByVersion => !Settings.HasDeltaColumns && Settings.Resolver is null;

    /// <summary>The ordinal of a column, or -1.</summary>
    public int OrdinalOf(string column) => _ordinals.GetValueOrDefault(column, -1);

    public override string ToString() => Name.ToString();
}

/// <summary>A column of a <see cref="LocalTable"/>; <see cref="TypeName"/> as <c>format_type</c> prints it.</summary>
/// <param name="Name">The column.</param>
/// <param name="TypeName">Its type with modifiers.</param>
/// <param name="IsIdentityAlways">GENERATED ALWAYS AS IDENTITY: may be inserted (overriding), never updated.</param>
internal sealed record LocalColumn(string Name, string TypeName, bool IsIdentityAlways = false);
