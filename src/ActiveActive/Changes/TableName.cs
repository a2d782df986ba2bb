namespace ActiveActive;

/// <summary>The schema-qualified name of a table, unquoted and case-sensitive as in the catalog.</summary>
/// <param name="Schema">The schema, for example <c>public</c>.</param>
/// <param name="Name">The table.</param>
public readonly record struct TableName(string Schema, string Name) : IComparable<TableName>
{
    /// <summary>Parses <c>schema.table</c>; a name without a dot is in <c>public</c>.</summary>
    public static TableName Parse(string text)
    {
        ArgumentException.ThrowIfNullOrEmpty(text);
        var dot = text.IndexOf('.', StringComparison.Ordinal);
        return dot < 0 ? new("public", text) : new(text[..dot], text[(dot + 1)..]);
    }

    /// <inheritdoc/>
    public int CompareTo(TableName other) =>
        string.CompareOrdinal(Schema, other.Schema) is var order and not 0 ? order : string.CompareOrdinal(Name, other.Name);

    /// <inheritdoc/>
    public override string ToString() => $"{Schema}.{Name}";

    /// <summary>Whether <paramref name="left"/> sorts before <paramref name="right"/>.</summary>
    public static bool operator <(TableName left, TableName right) => left.CompareTo(right) < 0;
    /// <summary>Whether <paramref name="left"/> sorts after <paramref name="right"/>.</summary>
    public static bool operator >(TableName left, TableName right) => left.CompareTo(right) > 0;
    /// <summary>Whether <paramref name="left"/> does not sort after <paramref name="right"/>.</summary>
    public static bool operator <=(TableName left, TableName right) => left.CompareTo(right) <= 0;
    /// <summary>Whether <paramref name="left"/> does not sort before <paramref name="right"/>.</summary>
    public static bool operator >=(TableName left, TableName right) => left.CompareTo(right) >= 0;
}
