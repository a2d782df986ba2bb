using ActiveActive.Changes;

namespace ActiveActive.Progress;

/// <summary>
/// Which rows a transaction has left behind, by the hashes of their keys: two with one hash count as one row, so that it may name a row too many, and never one too few.
/// </summary>
internal sealed class WrittenRows
{
    private readonly HashSet<int> _hashes = [];

    public void Add(IReadOnlyList<Change> changes)
    {
        foreach (var change in changes)
        {
            if (change.NewRow is { } row) _hashes.Add(change.Relation.KeyOf(row).GetHashCode());
        }
    }

    public bool Contains(RowKey key) => _hashes.Contains(key.GetHashCode());
}
