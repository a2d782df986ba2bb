using System.Diagnostics.CodeAnalysis;

namespace ActiveActive.Changes;

/// <summary>Compares relations by what they say; elsewhere a relation is its instance.</summary>
internal sealed class RelationShape : IEqualityComparer<Relation>
{
    public static readonly RelationShape Comparer = new();

    public bool Equals(Relation? x, Relation? y) =>
        ReferenceEquals(x, y) || (x is not null && y is not null && x.Name == y.Name && x.Root == y.Root && x.Columns.SequenceEqual(y.Columns));

    public int GetHashCode([DisallowNull] Relation obj) => HashCode.Combine(obj.Name, obj.Root, obj.Columns.Count);
}
