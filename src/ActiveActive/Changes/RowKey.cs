namespace ActiveActive.Changes;

/// <summary>A primary key: the table (for a partition, its root) and the key's values as text in the primary key's column order.</summary>
internal readonly struct RowKey : IEquatable<RowKey>
{
    private readonly string[] _values;
    private readonly int _hash;

    public RowKey(TableName table, string[] values)
    {
        Table = table;
        _values = values;
        // Computed once, for a key is looked up often. Of the table's name a little is enough: few tables are written at once.
        var hash = table.Name.Length;
        foreach (var value in values) hash = HashCode.Combine(hash, value);
        _hash = hash;
    }

    public TableName Table { get; }

    public IReadOnlyList<string> Values => _values;

    public bool Equals(RowKey other) => _hash == other._hash && Table == other.Table && _values.AsSpan().SequenceEqual(other._values);

    public override bool Equals(object? obj) => obj is RowKey other && Equals(other);

    public override int GetHashCode() => _hash;

    /// <summary>The stored form: a JSON array of the values' texts, for example <c>["17","de"]</c>; empty for the table as a whole, which has no values.</summary>
    public string ToText() => _values.Length == 0 ? "" : KeyText.Write(_values);

    public override string ToString() => $"{Table}{ToText()}";

    public static bool operator ==(RowKey left, RowKey right) => left.Equals(right);

    public static bool operator !=(RowKey left, RowKey right) => !left.Equals(right);
}
