using System.Diagnostics.CodeAnalysis;

namespace ActiveActive;

/// <summary>
/// The name of one node of a cluster: 1 to 40 characters, lower-case letters, digits, <c>-</c> and <c>_</c>, a letter first.
/// It is part of slot and replication-origin names and breaks ties between equal commit timestamps, so it never changes.
/// </summary>
public readonly record struct NodeName : IComparable<NodeName>
{
    /// <summary>The greatest length of a name, in characters; PostgreSQL cuts identifiers at 63 bytes.</summary>
    public const int MaxLength = 40;

    private readonly string? _value;

    /// <summary>Creates a name.</summary>
    /// <exception cref="ArgumentException">The text is not a valid node name.</exception>
    public NodeName(string value)
    {
        if (!IsValid(value))
        {
            throw new ArgumentException(
                $"'{value}' is not a node name: use 1 to {MaxLength} lower-case letters, digits, '-' or '_', a letter first.", nameof(value));
        }

        _value = value;
    }

    /// <summary>The text of the name; empty for <c>default</c>.</summary>
    public string Value => _value ?? "";

    /// <summary>Whether this is <c>default</c>, which names no node.</summary>
    public bool IsNone => _value is null;

    /// <summary>Whether a text is a valid node name.</summary>
    public static bool IsValid([NotNullWhen(true)] string? value)
    {
        if (string.IsNullOrEmpty(value) || value.Length > MaxLength || !char.IsAsciiLetterLower(value[0])) return false;
        foreach (var c in value)
        {
            if (!char.IsAsciiLetterLower(c) && !char.IsAsciiDigit(c) && c is not ('-' or '_')) return false;
        }

        return true;
    }

    /// <summary>Ordinal comparison: the same on every node, whatever its locale.</summary>
    public int CompareTo(NodeName other) => string.CompareOrdinal(Value, other.Value);

    /// <inheritdoc/>
    public override string ToString() => Value;

    /// <summary>Whether <paramref name="left"/> sorts before <paramref name="right"/>.</summary>
    public static bool operator <(NodeName left, NodeName right) => left.CompareTo(right) < 0;
    /// <summary>Whether <paramref name="left"/> sorts after <paramref name="right"/>.</summary>
    public static bool operator >(NodeName left, NodeName right) => left.CompareTo(right) > 0;
    /// <summary>Whether <paramref name="left"/> does not sort after <paramref name="right"/>.</summary>
    public static bool operator <=(NodeName left, NodeName right) => left.CompareTo(right) <= 0;
    /// <summary>Whether <paramref name="left"/> does not sort before <paramref name="right"/>.</summary>
    public static bool operator >=(NodeName left, NodeName right) => left.CompareTo(right) >= 0;
}
