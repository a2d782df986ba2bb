using ActiveActive.Database;
using ActiveActive.Progress;

namespace ActiveActive.Apply;

/// <summary>What to write for one part of a transaction, decided; performed in order by an <see cref="IApplySession"/>.</summary>
internal sealed class ApplyPlan
{
    /// <summary>Whether each write is to be performed by itself, in its place, also where sets of rows would give the same.</summary>
    public bool IsInOrder { get; set; }

    public List<PlannedWrite> Writes { get; } = [];

    /// <summary>What <see cref="IApplySession.Prepare"/> has made of it.</summary>
    public object? Prepared { get; set; }

    public List<ConflictRecord> Conflicts { get; } = [];

    /// <summary>Versions of rows that are not on every node, and that others have replaced: who may have the one and not see the other must be told (convergence R9).</summary>
    public List<ReplacedVersion> Replaced { get; } = [];

    /// <summary>Rows whose values must be fetched from their origin first; the plan is not performed then, but made again with them.</summary>
    public List<(Changes.RowKey Key, RowToFetch Row)> RowsToFetch { get; } = [];

    /// <summary>Moves the tombstones of keys to a plan of their own. They depend on no other write, and none depends on them.</summary>
    public ApplyPlan TakeTombstones()
    {
        var taken = new ApplyPlan();
        foreach (var write in Writes)
        {
            if (write is SetTombstone) taken.Writes.Add(write);
        }

        if (taken.Writes.Count > 0) Writes.RemoveAll(static w => w is SetTombstone);
        return taken;
    }
}

/// <summary>A version of a row that a later one has replaced, by what decides where they are.</summary>
/// <param name="Table">The table.</param>
/// <param name="Key">The key.</param>
/// <param name="Region">Of the row that was replaced.</param>
/// <param name="NewRegion">Of the row that stands; null for none.</param>
/// <param name="ToldRegion">Of the row whose nodes the later write has told itself; null where that is not known.</param>
/// <param name="Version">The later one.</param>
internal sealed record ReplacedVersion(LocalTable Table, Changes.RowKey Key, Changes.ColumnValue Region, Changes.ColumnValue? NewRegion, Changes.ColumnValue? ToldRegion, RowVersion Version);

/// <summary>One write of an <see cref="ApplyPlan"/>.</summary>
internal abstract record PlannedWrite(LocalTable Table);

/// <summary>Inserts a row. A value that is <see cref="Changes.ColumnValue.Unchanged"/> is left to the column's default.</summary>
internal sealed record InsertRow(LocalTable Table, Changes.ColumnValue[] Values) : PlannedWrite(Table)
{
    /// <summary>Its key, where it is known already; else it is what <see cref="Values"/> hold.</summary>
    public Changes.RowKey? Key { get; init; }
}

/// <summary>
/// Updates the row under a key (as the local row shows it). Columns that are <see cref="Changes.ColumnValue.Unchanged"/> keep their
/// value; where all are, the row is rewritten as it is, so that it takes the transaction's version.
/// </summary>
internal sealed record UpdateRow(LocalTable Table, Changes.RowKey Key, Changes.ColumnValue[] Values) : PlannedWrite(Table);

/// <summary>Deletes the row under a key.</summary>
internal sealed record DeleteRow(LocalTable Table, Changes.RowKey Key) : PlannedWrite(Table);

/// <summary>
/// Deletes every row that the writer of the TRUNCATE had seen, and what this transaction wrote before, and enters the table's tombstone (convergence R7).
/// Rows that it may not have seen (<see cref="IApplySession.ReadUnseenAsync"/>) are decided about one by one: they stay here.
/// With a <paramref name="Partition"/>, only the rows of that leaf, and no tombstone: the table as a whole was not truncated.
/// </summary>
internal sealed record TruncateTable(LocalTable Table, RowVersion Version, IReadOnlyCollection<Progress.ShownVersion> Unseen, TableName? Partition = null) : PlannedWrite(Table);

/// <summary>Enters a tombstone; never replaces a newer one.</summary>
internal sealed record SetTombstone(LocalTable Table, Changes.RowKey Key, RowVersion Version) : PlannedWrite(Table);

/// <summary>Says which write the row, as written by this transaction, really shows; null drops the entry.</summary>
internal sealed record SetOverride(LocalTable Table, Changes.RowKey Key, RowVersion? Version) : PlannedWrite(Table)
{
    /// <summary>The xmin of a row that stands and is not written; null for one that this transaction has written.</summary>
    public uint? Xid { get; init; }

    /// <summary>Never collected: a loser that stands is compared with the row, however old both are (convergence R6).</summary>
    public bool IsKept { get; init; }
}

/// <summary>Stores a row that lost a unique value, and to which one; null drops what is stored under the key.</summary>
internal sealed record SetLoser(LocalTable Table, Changes.RowKey Key, UniqueLoser? Loser, Changes.RowKey? Winner = null) : PlannedWrite(Table);

/// <summary>Stores the concurrent versions that the key's state, as written by this transaction, was folded from; empty drops the entry.</summary>
internal sealed record SetSiblings(LocalTable Table, Changes.RowKey Key, IReadOnlyList<Sibling> Siblings) : PlannedWrite(Table);
