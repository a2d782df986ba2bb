using ActiveActive.Changes;

namespace ActiveActive.Database;

/// <summary>All that a node holds under one key.</summary>
/// <param name="Row">The visible row; null where there is none.</param>
/// <param name="Tombstone">The newer of the key's and the table's tombstone; null where there is none.</param>
/// <param name="Override">The row's true version, already checked against its xmin; null where xmin tells it.</param>
/// <param name="Siblings">The concurrent versions that the visible state was folded from, already checked against xmin; empty where it is a single write's.</param>
internal sealed record KeyState(LocalRow? Row, RowVersion? Tombstone, RowVersion? Override, IReadOnlyList<Sibling> Siblings)
{
    public static readonly KeyState Nothing = new(null, null, null, []);

    /// <summary>The table's tombstone, whether the key's is newer or not.</summary>
    public RowVersion? TableTombstone { get; init; }
}

/// <summary>A visible row and what its <c>xmin</c> says.</summary>
/// <param name="Values">In the order of <see cref="LocalTable.Columns"/>.</param>
/// <param name="Xid">The row's xmin.</param>
/// <param name="Stamp">The commit timestamp of xmin; <see cref="CommitTimestamp.Unknown"/> where the server has none.</param>
/// <param name="Origin">The origin of xmin; the local node where it was committed here.</param>
/// <param name="IsOwnWrite">Whether the running apply transaction wrote it (an earlier part).</param>
internal sealed record LocalRow(ColumnValue[] Values, uint Xid, CommitTimestamp Stamp, NodeName Origin, bool IsOwnWrite);

/// <summary>One of several concurrent versions of a key in a table with a resolver; null <see cref="Values"/> for a delete (convergence R8).</summary>
/// <param name="Version">Which write it is.</param>
/// <param name="Values">The whole row in the order of <see cref="LocalTable.Columns"/>; null for a delete.</param>
internal sealed record Sibling(RowVersion Version, ColumnValue[]? Values);
