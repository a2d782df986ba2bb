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

    /// <summary>Whether the override is stored, and never collected (<see cref="Apply.SetOverride.IsKept"/>).</summary>
    public bool IsOverrideKept { get; init; }

    /// <summary>What is stored of a row that lost a unique value, whether it still counts or not; null where nothing is.</summary>
    public UniqueLoser? Loser { get; init; }

    /// <summary>
    /// The key's current version, where that is a row which a unique value keeps out of sight (convergence R6). A visible row of the key, or a newer
    /// delete, has replaced it; in a table with delta columns the visible row adds to it.
    /// </summary>
    public UniqueLoser? Hidden => Row is null ? LiveLoser : null;

    /// <summary>What is stored of a row that lost a unique value, if no newer delete has replaced it.</summary>
    public UniqueLoser? LiveLoser => Loser is { } loser && !(Tombstone is { } deleted && deleted.IsNewerThan(loser.Version)) ? loser : null;

    /// <summary>The table's tombstone, whether the key's is newer or not.</summary>
    public RowVersion? TableTombstone { get; init; }
}

/// <summary>A row that lost a unique value to another row: out of sight, and a version of its key all the same (convergence R6).</summary>
/// <param name="Version">Which write it is.</param>
/// <param name="Values">The whole row in the order of <see cref="LocalTable.Columns"/>; unchanged for a column that takes its default.</param>
internal sealed record UniqueLoser(RowVersion Version, ColumnValue[] Values);

/// <summary>Which rows can't stand beside each other in a table with secondary unique keys.</summary>
/// <param name="Stored">The asked row, by its number, and the key of another row, visible or hidden, that has one of its unique values.</param>
/// <param name="Pairs">Two of the asked rows, the lower number first.</param>
internal sealed record UniqueClashes(IReadOnlyList<(int Row, RowKey Key)> Stored, IReadOnlyList<(int First, int Second)> Pairs);

/// <summary>A visible row and what its <c>xmin</c> says.</summary>
/// <param name="Values">In the order of <see cref="LocalTable.Columns"/>.</param>
/// <param name="Xid">The row's xmin.</param>
/// <param name="Stamp">The commit timestamp of xmin; <see cref="CommitTimestamp.Unknown"/> where the server has none.</param>
/// <param name="Origin">The origin of xmin; the local node where it was committed here.</param>
/// <param name="IsOwnWrite">Whether the running apply transaction wrote it (an earlier part).</param>
internal sealed record LocalRow(ColumnValue[] Values, uint Xid, CommitTimestamp Stamp, NodeName Origin, bool IsOwnWrite)
{
    /// <summary>Of an own write: the origin's transaction that it was, where the running one applies several; else that is the incoming one.</summary>
    public RowVersion? OwnVersion { get; init; }
}

/// <summary>One of several concurrent versions of a key in a table with a resolver; null <see cref="Values"/> for a delete (convergence R8).</summary>
/// <param name="Version">Which write it is.</param>
/// <param name="Values">The whole row in the order of <see cref="LocalTable.Columns"/>; null for a delete.</param>
internal sealed record Sibling(RowVersion Version, ColumnValue[]? Values);
