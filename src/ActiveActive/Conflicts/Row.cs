using System.Collections;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace ActiveActive;

/// <summary>
/// A row image: column names and their values as PostgreSQL's text output (ISO dates, UTC, hex bytea), null for SQL NULL.
/// Immutable; equal where all columns are equal.
/// </summary>
public sealed class Row : IReadOnlyDictionary<string, string?>, IEquatable<Row>
{
    private readonly KeyValuePair<string, string?>[] _columns;

    /// <summary>Creates a row; the column order is kept.</summary>
    /// <exception cref="ArgumentException">A column is named twice.</exception>
    public Row(IEnumerable<KeyValuePair<string, string?>> columns)
    {
        ArgumentNullException.ThrowIfNull(columns);
        _columns = [.. columns];
        for (var i = 0; i < _columns.Length; i++)
        {
            if (IndexOf(_columns[i].Key) != i) throw new ArgumentException($"Column '{_columns[i].Key}' is named twice.", nameof(columns));
        }
    }

    /// <summary>Creates a row from name and text pairs.</summary>
    public static Row Of(params ReadOnlySpan<(string Column, string? Text)> columns)
    {
        var pairs = new KeyValuePair<string, string?>[columns.Length];
        for (var i = 0; i < columns.Length; i++) pairs[i] = new(columns[i].Column, columns[i].Text);
        return new Row(pairs);
    }

    /// <summary>The text of a column; null for SQL NULL.</summary>
    /// <exception cref="KeyNotFoundException">The row has no such column.</exception>
    public string? this[string column] => IndexOf(column) is var i and >= 0
        ? _columns[i].Value
        : throw new KeyNotFoundException($"The row has no column '{column}'; it has: {string.Join(", ", Keys)}.");

    /// <summary>A column parsed with the invariant culture, for example <c>row.Get&lt;int&gt;("age")</c>; null for SQL NULL.</summary>
    public T? Get<T>(string column) where T : struct, IParsable<T> =>
        this[column] is { } text ? T.Parse(text, CultureInfo.InvariantCulture) : null;

    /// <summary>The elements of a one-dimensional array column such as <c>text[]</c>; null for SQL NULL.</summary>
    /// <exception cref="FormatException">The text is not a one-dimensional array.</exception>
    public IReadOnlyList<string?>? GetArray(string column) => this[column] is { } text ? ArrayText.Parse(text) : null;

    /// <summary>A copy with one column's text replaced.</summary>
    /// <exception cref="KeyNotFoundException">The row has no such column.</exception>
    public Row With(string column, string? text)
    {
        var i = IndexOf(column);
        if (i < 0) throw new KeyNotFoundException($"The row has no column '{column}'; it has: {string.Join(", ", Keys)}.");
        var copy = (KeyValuePair<string, string?>[])_columns.Clone();
        copy[i] = new(column, text);
        return new Row(copy);
    }

    /// <summary>A copy with one array column replaced.</summary>
    public Row With(string column, IEnumerable<string?> elements) => With(column, ArrayText.Write(elements));

    /// <inheritdoc/>
    public IEnumerable<string> Keys => _columns.Select(c => c.Key);

    /// <inheritdoc/>
    public IEnumerable<string?> Values => _columns.Select(c => c.Value);

    /// <inheritdoc/>
    public int Count => _columns.Length;

    /// <inheritdoc/>
    public bool ContainsKey(string key) => IndexOf(key) >= 0;

    /// <inheritdoc/>
    public bool TryGetValue(string key, [MaybeNullWhen(false)] out string? value)
    {
        var i = IndexOf(key);
        value = i < 0 ? null : _columns[i].Value;
        return i >= 0;
    }

    /// <inheritdoc/>
    public IEnumerator<KeyValuePair<string, string?>> GetEnumerator() => ((IEnumerable<KeyValuePair<string, string?>>)_columns).GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    /// <inheritdoc/>
    public bool Equals(Row? other)
    {
        if (other is null || other.Count != Count) return false;
        foreach (var (column, text) in _columns)
        {
            if (!other.TryGetValue(column, out var otherText) || !string.Equals(text, otherText, StringComparison.Ordinal)) return false;
        }

        return true;
    }

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as Row);

    /// <inheritdoc/>
    public override int GetHashCode()
    {
        var hash = 0;
        foreach (var (column, text) in _columns) hash ^= HashCode.Combine(column, text);
        return hash;
    }

    /// <summary>Names only: values never reach a log.</summary>
    public override string ToString() => $"Row({string.Join(", ", Keys)})";

    private int IndexOf(string column)
    {
        for (var i = 0; i < _columns.Length; i++)
        {
            if (string.Equals(_columns[i].Key, column, StringComparison.Ordinal)) return i;
        }

        return -1;
    }
}
