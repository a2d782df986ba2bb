namespace ActiveActive.Changes;

internal enum ChangeKind
{
    Insert,
    Update,
    Delete,
    Truncate,

    /// <summary>Nobody's write: a version of a key has been replaced by one that not all may see who had it (convergence R9).</summary>
    Superseded,
}

/// <summary>
/// One row change (or TRUNCATE of one table). Row images are arrays in the order of <see cref="Relation.Columns"/>.
/// </summary>
internal sealed class Change
{
    private Change(ChangeKind kind, Relation relation, ColumnValue[]? oldRow, bool oldIsKeyOnly, ColumnValue[]? newRow)
    {
        Kind = kind;
        Relation = relation;
        OldRow = oldRow;
        OldIsKeyOnly = oldIsKeyOnly;
        NewRow = newRow;
    }

    public ChangeKind Kind { get; }

    public Relation Relation { get; }

    /// <summary>
    /// Insert and truncate: null. Delete: the key, or the whole row under REPLICA IDENTITY FULL. Update: null unless the key
    /// changed (then the old key) or the replica identity is FULL (then the whole old row).
    /// </summary>
    public ColumnValue[]? OldRow { get; }

    /// <summary>Whether only the key columns of <see cref="OldRow"/> hold values (the others read as NULL and mean nothing).</summary>
    public bool OldIsKeyOnly { get; }

    /// <summary>Insert and update: the whole new row; values may be <see cref="ColumnValue.Unchanged"/> in an update.</summary>
    public ColumnValue[]? NewRow { get; }

    /// <summary>Of <see cref="ChangeKind.Superseded"/>: the version that stands.</summary>
    public RowVersion Version { get; private init; }

    /// <summary>Of <see cref="ChangeKind.Superseded"/>: whom it concerns.</summary>
    public IReadOnlyList<NodeName> Nodes { get; private init; } = [];

    public static Change Insert(Relation relation, ColumnValue[] newRow) => new(ChangeKind.Insert, relation, null, false, newRow);

    public static Change Update(Relation relation, ColumnValue[]? oldRow, bool oldIsKeyOnly, ColumnValue[] newRow) =>
        new(ChangeKind.Update, relation, oldRow, oldIsKeyOnly, newRow);

    public static Change Delete(Relation relation, ColumnValue[] oldRow, bool oldIsKeyOnly) =>
        new(ChangeKind.Delete, relation, oldRow, oldIsKeyOnly, null);

    /// <summary>A key, and the version that has replaced what <paramref name="nodes"/> may have of it.</summary>
    public static Change Superseded(Relation relation, ColumnValue[] key, RowVersion version, IReadOnlyList<NodeName> nodes) =>
        new(ChangeKind.Superseded, relation, key, true, null) { Version = version, Nodes = nodes };

    public static Change Truncate(Relation relation) => new(ChangeKind.Truncate, relation, null, false, null);

    public override string ToString() => $"{Kind} {Relation.Name}";
}
