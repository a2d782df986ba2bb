namespace ActiveActive;

/// <summary>
/// A row that names, by a foreign key, a row that does not exist. Foreign keys are not checked on apply: a parent deleted on one node while a child
/// of it is inserted on another leaves the child.
/// </summary>
public sealed class OrphanedRow
{
    internal OrphanedRow(TableName table, IReadOnlyList<string> key, string constraint, IReadOnlyList<string?> values, TableName referenced, OrphanPolicy policy)
    {
        Table = table;
        Key = key;
        Constraint = constraint;
        Values = values;
        Referenced = referenced;
        Policy = policy;
    }

    /// <summary>The table that has the foreign key; for a partition, its root where that has the key.</summary>
    public TableName Table { get; }

    /// <summary>The primary key's values as text, in key order; empty where the table has none.</summary>
    public IReadOnlyList<string> Key { get; }

    /// <summary>The foreign key's name.</summary>
    public string Constraint { get; }

    /// <summary>What the foreign key's columns hold, as text, in its order; a null only under MATCH FULL.</summary>
    public IReadOnlyList<string?> Values { get; }

    /// <summary>The table that has no such row.</summary>
    public TableName Referenced { get; }

    /// <summary>What becomes of it.</summary>
    public OrphanPolicy Policy { get; }
}
