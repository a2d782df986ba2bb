using ActiveActive.Changes;

namespace ActiveActive.Progress;

/// <summary>
/// Which rows a transaction has left behind, by the hashes of their keys: two with one hash count as one row, so that it may name a row too many, and never one too few.
/// Of a transaction that has left too many to be counted one by one it names every row.
/// </summary>
internal sealed class WrittenRows
{
    /// <summary>Of a large transaction with a stamp that another shows, which stays in the index until it is stable.</summary>
    public const int Limit = 100_000;

    private HashSet<int>? _hashes = [];

    public void Add(IReadOnlyList<Change> changes)
    {
        if (_hashes is not { } hashes) return;
        foreach (var change in changes)
        {
            if (change.NewRow is { } row) hashes.Add(change.Relation.KeyOf(row).GetHashCode());
        }

        if (hashes.Count > Limit) _hashes = null;
    }

    public bool Contains(RowKey key) => _hashes?.Contains(key.GetHashCode()) ?? true;
}
