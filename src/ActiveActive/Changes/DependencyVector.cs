using System.Collections;
using NpgsqlTypes;

namespace ActiveActive.Changes;

/// <summary>
/// Per origin, the last position of that origin's log which a node had applied: what a transaction committed there could have seen.
/// Immutable. An origin that is not named stands at zero. Coverage is always by position and never by stamp (convergence R1).
/// </summary>
internal sealed class DependencyVector : IReadOnlyCollection<KeyValuePair<NodeName, NpgsqlLogSequenceNumber>>, IEquatable<DependencyVector>
{
    public static readonly DependencyVector Empty = new([]);

    // Sorted by node name; clusters are small, so a linear scan beats a dictionary.
    private readonly KeyValuePair<NodeName, NpgsqlLogSequenceNumber>[] _entries;

    private DependencyVector(KeyValuePair<NodeName, NpgsqlLogSequenceNumber>[] entries) => _entries = entries;

    public static DependencyVector Of(IEnumerable<KeyValuePair<NodeName, NpgsqlLogSequenceNumber>> entries)
    {
        var sorted = entries.ToArray();
        Array.Sort(sorted, static (a, b) => a.Key.CompareTo(b.Key));
        return sorted.Length == 0 ? Empty : new(sorted);
    }

    public int Count => _entries.Length;

    public NpgsqlLogSequenceNumber this[NodeName origin]
    {
        get
        {
            foreach (var (node, position) in _entries)
            {
                if (node == origin) return position;
            }

            return default;
        }
    }

    public bool Covers(NodeName origin, NpgsqlLogSequenceNumber position) => this[origin] >= position;

    /// <summary>The vector with one origin moved forward; the same instance where that origin is already there or further.</summary>
    public DependencyVector Advance(NodeName origin, NpgsqlLogSequenceNumber position)
    {
        for (var i = 0; i < _entries.Length; i++)
        {
            if (_entries[i].Key != origin) continue;
            if (_entries[i].Value >= position) return this;
            var copy = (KeyValuePair<NodeName, NpgsqlLogSequenceNumber>[])_entries.Clone();
            copy[i] = new(origin, position);
            return new(copy);
        }

        return Of(_entries.Append(new(origin, position)));
    }

    public IEnumerator<KeyValuePair<NodeName, NpgsqlLogSequenceNumber>> GetEnumerator() =>
        ((IEnumerable<KeyValuePair<NodeName, NpgsqlLogSequenceNumber>>)_entries).GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    public bool Equals(DependencyVector? other) => other is not null && _entries.AsSpan().SequenceEqual(other._entries);

    public override bool Equals(object? obj) => Equals(obj as DependencyVector);

    public override int GetHashCode()
    {
        var hash = new HashCode();
        foreach (var entry in _entries) hash.Add(entry);
        return hash.ToHashCode();
    }

    public override string ToString() => $"{{{string.Join(", ", _entries.Select(e => $"{e.Key}:{e.Value}"))}}}";
}
