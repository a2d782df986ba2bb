namespace ActiveActive.Changes;

/// <summary>
/// A table as it was on the origin when a change was written. It travels with the changes: a reader needs nothing else to read them.
/// </summary>
internal sealed class Relation
{
    private readonly Dictionary<string, int> _ordinals;

    public Relation(TableName name, TableName root, IReadOnlyList<RelationColumn> columns)
    {
        Name = name;
        Root = root;
        Columns = columns;
        KeyOrdinals = [.. Enumerable.Range(0, columns.Count).Where(i => columns[i].IsKey).OrderBy(i => columns[i].KeyPlace)];
        _ordinals = new Dictionary<string, int>(columns.Count, StringComparer.Ordinal);
        for (var i = 0; i < columns.Count; i++) _ordinals.Add(columns[i].Name, i);
    }

    /// <summary>The table, or the leaf partition that holds the row.</summary>
    public TableName Name { get; }

    /// <summary>The topmost partitioned table; equal to <see cref="Name"/> for an ordinary table.</summary>
    public TableName Root { get; }

    /// <summary>Of the table or leaf in the database whose log was read, whatever its name is by now; 0 where it came from a peer.</summary>
    public uint Oid { get; init; }

    /// <summary>The published columns in the origin's order (generated columns are not published).</summary>
    public IReadOnlyList<RelationColumn> Columns { get; }

    /// <summary>Where the primary key's columns stand in <see cref="Columns"/>, in key order.</summary>
    public IReadOnlyList<int> KeyOrdinals { get; }

    /// <summary>The ordinal of a column, or -1.</summary>
    public int OrdinalOf(string column) => _ordinals.GetValueOrDefault(column, -1);

    /// <summary>The key that a row's image holds, as this node knows the row by it.</summary>
    public RowKey KeyOf(ColumnValue[] image)
    {
        var values = new string[KeyOrdinals.Count];
        for (var i = 0; i < values.Length; i++) values[i] = image[KeyOrdinals[i]].Text ?? "";
        return new RowKey(Root, values);
    }

    public override string ToString() => Name.ToString();
}

/// <summary>A column of a <see cref="Relation"/>.</summary>
/// <param name="Name">Its name.</param>
/// <param name="TypeName">As <c>format_type</c> prints it, for messages.</param>
/// <param name="KeyPlace">Its place in the primary key, from 1; 0 where it is not part of it.</param>
internal sealed record RelationColumn(string Name, string TypeName, int KeyPlace)
{
    public bool IsKey => KeyPlace > 0;
}
