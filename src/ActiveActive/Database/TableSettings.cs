using ActiveActive.Routes;

namespace ActiveActive.Database;

/// <summary>How one table replicates, resolved from the options. Must be the same on every node; compared at the handshake.</summary>
/// <param name="DeltaColumns">The columns that add up.</param>
/// <param name="Resolver">The custom resolver; null for last update wins.</param>
internal sealed record TableSettings(IReadOnlyList<DeltaColumn> DeltaColumns, IConflictResolver? Resolver)
{
    public static readonly TableSettings Default = new([], null);

    /// <summary>Which nodes hold which rows; null where every node of the table holds all.</summary>
    public RowRoute? Route { get; init; }

    public bool HasDeltaColumns => DeltaColumns.Count > 0;

    /// <summary>The name that stands in the conflict history and in the handshake.</summary>
    public string ResolverName => Resolver?.GetType().FullName ?? (HasDeltaColumns ? "delta" : "last_update_wins");

    /// <summary>Needs the whole old row in the log: to ship <c>new − old</c>, to give a resolver a row without gaps, or to know where a row leaves and enter it whole elsewhere.</summary>
    public bool NeedsFullReplicaIdentity => HasDeltaColumns || Resolver is not null || Route is not null;
}
