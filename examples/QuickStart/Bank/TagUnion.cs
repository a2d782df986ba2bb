using ActiveActive;

namespace QuickStart.Bank;

/// <summary>Documents keep every tag that anyone gave them; of the other columns the later write's values stay.</summary>
internal sealed class TagUnion : IConflictResolver
{
    public ConflictResolution Resolve(Conflict conflict)
    {
        var tags = conflict.Local.GetArray("tags")!.Union(conflict.Remote.GetArray("tags")!);
        // Sorted, so that the answer depends on the set of tags alone.
        return ConflictResolution.Merge(conflict.Remote.With("tags", tags.Order(StringComparer.Ordinal)));
    }
}
