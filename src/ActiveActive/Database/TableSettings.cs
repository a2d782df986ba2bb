namespace ActiveActive.Database;

/// <summary>How one table replicates, resolved from the options. Must be the same on every node; compared at the handshake.</summary>
/// <param name="DeltaColumns">The columns that add up.</param>
/// <param name="Resolver">The custom resolver; null for last update wins.</param>
internal sealed record TableSettings(IReadOnlyList<DeltaColumn> DeltaColumns, IConflictResolver? Resolver)
{
    public static readonly TableSettings Default = new([], null);

    public bool HasDeltaColumns => DeltaColumns.Count > 0;

    /// <summary>The name that stands in the conflict history and in the handshake.</summary>
    public string ResolverName => Resolver?.GetType().FullName ?? (HasDeltaColumns ? "delta" : "last_update_wins");

    /// <summary>Needs the whole old row in the log: to ship <c>new − old</c>, or to give a resolver a row without gaps.</summary>
    public bool NeedsFullReplicaIdentity => HasDeltaColumns || Resolver is not null;
}
