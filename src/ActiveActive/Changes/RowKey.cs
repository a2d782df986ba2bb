namespace ActiveActive.Changes;

/// <summary>A primary key: the table (for a partition, its root) and the key's values as text in the primary key's column order.</summary>
internal readonly struct RowKey : IEquatable<RowKey>
{
    private readonly string[] _values;

    public RowKey(TableName table, string[] values)
    {
        Table = table;
        _values = values;
    }

    public TableName Table { get; }

    public IReadOnlyList<string> Values => _values;

    public bool Equals(RowKey other) => Table == other.Table && _values.AsSpan().SequenceEqual(other._values);

    public override bool Equals(object? obj) => obj is RowKey other && Equals(other);

    public override int GetHashCode()
    {
        var hash = new HashCode();
        hash.Add(Table);
        foreach (var value in _values) hash.Add(value, StringComparer.Ordinal);
        return hash.ToHashCode();
    }

    /// <summary>The stored form: a JSON array of the values' texts, for example <c>["17","de"]</c>.</summary>
    public string ToText() => KeyText.Write(_values);

    public override string ToString() => $"{Table}{ToText()}";

    public static bool operator ==(RowKey left, RowKey right) => left.Equals(right);

    public static bool operator !=(RowKey left, RowKey right) => !left.Equals(right);
}
