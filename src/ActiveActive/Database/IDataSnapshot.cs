using ActiveActive.Changes;
using NpgsqlTypes;

namespace ActiveActive.Database;

/// <summary>
/// The replicated tables as they stood at one place of the log, for a node that joins: every transaction whose commit record lies before <see cref="Position"/>
/// is in it, and no other. Several may read from it at once. Local writers go on.
/// </summary>
internal interface IDataSnapshot : IAsyncDisposable
{
    NpgsqlLogSequenceNumber Position { get; }

    /// <summary>The replicated tables (ordinary ones and roots of partitioned ones), the largest first.</summary>
    ValueTask<IReadOnlyList<SnapshotTable>> ReadTablesAsync(CancellationToken cancellationToken);

    /// <summary>
    /// A table's rows in the text form of <see href="https://www.postgresql.org/docs/current/sql-copy.html">COPY</see>, with the columns of <see cref="SnapshotTable.Table"/> in
    /// that order; cut anywhere. A chunk is valid until the next one is asked for.
    /// </summary>
    IAsyncEnumerable<ReadOnlyMemory<byte>> ReadRowsAsync(SnapshotTable table, CancellationToken cancellationToken);

    /// <summary>
    /// What the rows' text does not tell: which write a row shows, where that may be one of the local transactions from <paramref name="oldest"/> on (or is not known); the overrides and siblings
    /// that count; and the rows that lost a unique value.
    /// </summary>
    /// <param name="table">The table.</param>
    /// <param name="oldest">The first local transaction that somebody may not have seen; 0 for none.</param>
    /// <param name="cancellationToken">Ends it.</param>
    IAsyncEnumerable<SnapshotKey> ReadKeysAsync(SnapshotTable table, uint oldest, CancellationToken cancellationToken);

    /// <summary>
    /// The tombstones of a table, its own first. Not as of the snapshot, but as they stand now: BEFORE they are asked for, capture must have passed the snapshot's place.
    /// </summary>
    IAsyncEnumerable<Tombstone> ReadTombstonesAsync(SnapshotTable table, CancellationToken cancellationToken);
}

/// <summary>A replicated table of a snapshot.</summary>
/// <param name="Table">The table.</param>
/// <param name="Rows">About how many rows it has; an estimate of the server's.</param>
/// <param name="Bytes">How large it is on disk, with its partitions and what is stored out of line; without indexes.</param>
internal sealed record SnapshotTable(LocalTable Table, long Rows, long Bytes);

/// <summary>A key, and what its row's text does not tell.</summary>
/// <param name="Key">The key.</param>
/// <param name="Xid">The row's xmin; 0 where there is no row.</param>
/// <param name="Stamp">The stamp that the row shows; unknown where it has none any more.</param>
/// <param name="Origin">The origin that it shows.</param>
internal sealed record SnapshotKey(RowKey Key, uint Xid, CommitTimestamp Stamp, NodeName Origin)
{
    /// <summary>The row's true version, where it is stored and counts.</summary>
    public RowVersion? Override { get; init; }

    /// <summary>Whether that is never collected.</summary>
    public bool IsOverrideKept { get; init; }

    /// <summary>The concurrent versions that the state was folded from, where they are stored and count.</summary>
    public IReadOnlyList<Sibling> Siblings { get; init; } = [];

    /// <summary>A row that lost a unique value.</summary>
    public UniqueLoser? Loser { get; init; }

    /// <summary>The key of the row that had the value.</summary>
    public RowKey? Winner { get; init; }
}
