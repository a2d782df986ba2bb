using System.Collections;
using NpgsqlTypes;

namespace ActiveActive.Changes;

/// <summary>
/// Per origin, the last position of that origin's log which a node had applied: what a transaction committed there could have seen.
/// Immutable. An origin that is not named stands at zero. Coverage is always by position and never by stamp (convergence R1).
/// A transaction that the node had put into quarantine is a gap: what comes after it had been applied, and it had not.
/// </summary>
internal sealed class DependencyVector : IReadOnlyCollection<KeyValuePair<NodeName, NpgsqlLogSequenceNumber>>, IEquatable<DependencyVector>
{
    public static readonly DependencyVector Empty = new([], []);

    // Sorted by node name; clusters are small, so a linear scan beats a dictionary.
    private readonly KeyValuePair<NodeName, NpgsqlLogSequenceNumber>[] _entries;

    private readonly KeyValuePair<NodeName, NpgsqlLogSequenceNumber>[] _gaps;

    private DependencyVector(KeyValuePair<NodeName, NpgsqlLogSequenceNumber>[] entries, KeyValuePair<NodeName, NpgsqlLogSequenceNumber>[] gaps)
    {
        _entries = entries;
        _gaps = gaps;
    }

    public static DependencyVector Of(
        IEnumerable<KeyValuePair<NodeName, NpgsqlLogSequenceNumber>> entries, IEnumerable<KeyValuePair<NodeName, NpgsqlLogSequenceNumber>>? gaps = null)
    {
        var sorted = entries.ToArray();
        Array.Sort(sorted, static (a, b) => a.Key.CompareTo(b.Key));
        return sorted.Length == 0 ? Empty : new(sorted, gaps is null ? [] : Sorted(gaps));
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

    /// <summary>Transactions before an origin's position that had not been applied; by node, then position.</summary>
    public IReadOnlyList<KeyValuePair<NodeName, NpgsqlLogSequenceNumber>> Gaps => _gaps;

    public bool Covers(NodeName origin, NpgsqlLogSequenceNumber position) => this[origin] >= position && !HasGap(origin, position);

    /// <summary>The position of an origin up to which there is no gap.</summary>
    public NpgsqlLogSequenceNumber CompleteUpTo(NodeName origin)
    {
        foreach (var (node, position) in _gaps)
        {
            if (node == origin) return new((ulong)position - 1);
        }

        return this[origin];
    }

    /// <summary>The vector after a transaction was put aside: its origin moves forward, over a gap.</summary>
    public DependencyVector WithGap(NodeName origin, NpgsqlLogSequenceNumber position) =>
        HasGap(origin, position) ? this : new(Advance(origin, position)._entries, Sorted(_gaps.Append(new(origin, position))));

    /// <summary>The vector after a transaction that had been put aside was applied after all.</summary>
    public DependencyVector WithoutGap(NodeName origin, NpgsqlLogSequenceNumber position) =>
        HasGap(origin, position) ? new(_entries, [.. _gaps.Where(g => g.Key != origin || g.Value != position)]) : this;

    /// <summary>The vector with one origin moved forward; the same instance where that origin is already there or further.</summary>
    public DependencyVector Advance(NodeName origin, NpgsqlLogSequenceNumber position)
    {
        for (var i = 0; i < _entries.Length; i++)
        {
            if (_entries[i].Key != origin) continue;
            if (_entries[i].Value >= position) return this;
            var copy = (KeyValuePair<NodeName, NpgsqlLogSequenceNumber>[])_entries.Clone();
            copy[i] = new(origin, position);
            return new(copy, _gaps);
        }

        return Of(_entries.Append(new(origin, position)), _gaps);
    }

    public IEnumerator<KeyValuePair<NodeName, NpgsqlLogSequenceNumber>> GetEnumerator() =>
        ((IEnumerable<KeyValuePair<NodeName, NpgsqlLogSequenceNumber>>)_entries).GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    public bool Equals(DependencyVector? other) => other is not null && _entries.AsSpan().SequenceEqual(other._entries) && _gaps.AsSpan().SequenceEqual(other._gaps);

    public override bool Equals(object? obj) => Equals(obj as DependencyVector);

    public override int GetHashCode()
    {
        var hash = new HashCode();
        foreach (var entry in _entries) hash.Add(entry);
        foreach (var gap in _gaps) hash.Add(gap);
        return hash.ToHashCode();
    }

    public override string ToString() =>
        $"{{{string.Join(", ", _entries.Select(e => $"{e.Key}:{e.Value}"))}{string.Concat(_gaps.Select(g => $" without {g.Key}:{g.Value}"))}}}";

    private bool HasGap(NodeName origin, NpgsqlLogSequenceNumber position)
    {
        foreach (var (node, at) in _gaps)
        {
            if (node == origin && at == position) return true;
        }

        return false;
    }

    private static KeyValuePair<NodeName, NpgsqlLogSequenceNumber>[] Sorted(IEnumerable<KeyValuePair<NodeName, NpgsqlLogSequenceNumber>> gaps)
    {
        var sorted = gaps.ToArray();
        Array.Sort(sorted, static (a, b) => a.Key.CompareTo(b.Key) is var order and not 0 ? order : a.Value.CompareTo(b.Value));
        return sorted;
    }
}
