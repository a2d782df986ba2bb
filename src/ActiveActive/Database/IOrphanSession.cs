using ActiveActive.Changes;

namespace ActiveActive.Database;

/// <summary>
/// A session that finds rows whose foreign key names a missing row, and treats them. What it writes are ordinary local transactions, which capture
/// publishes. All methods throw <see cref="ReplicationException"/> with a kind; a statement that takes too long is Transient.
/// </summary>
internal interface IOrphanSession : IAsyncDisposable
{
    /// <summary>The enforced foreign keys of the replicated tables, by table and name.</summary>
    ValueTask<IReadOnlyList<ForeignKey>> ReadForeignKeysAsync(CancellationToken cancellationToken);

    /// <summary>Rows whose foreign key names a missing row, by primary key. The answer is a function of the rows alone, so nodes with equal rows give equal answers.</summary>
    ValueTask<IReadOnlyList<OrphanedRow>> ReadOrphansAsync(ForeignKey key, int limit, CancellationToken cancellationToken);

    /// <summary>Treats one as its foreign key's policy says, if it is still the orphan that was found, in one local transaction.</summary>
    /// <returns>Whether anything was written.</returns>
    ValueTask<bool> RepairAsync(ForeignKey key, OrphanedRow orphan, CancellationToken cancellationToken);

    /// <summary>The rows that the policy has moved out of sight (of one table, or all), by table and key.</summary>
    ValueTask<IReadOnlyList<QuarantinedOrphan>> ReadQuarantinedAsync(TableName? table, int limit, CancellationToken cancellationToken);

    /// <summary>
    /// Brings a row back, in one local transaction, if none of the given foreign keys of its table would make an orphan of it. Where another row has its key,
    /// it notes that instead.
    /// </summary>
    /// <param name="key">Which row.</param>
    /// <param name="keys">The foreign keys whose parents must be there.</param>
    /// <param name="isDryRun">Writes nothing and says what would be.</param>
    /// <param name="cancellationToken">Ends it.</param>
    ValueTask<OrphanReturn> ReturnAsync(RowKey key, IReadOnlyList<ForeignKey> keys, bool isDryRun, CancellationToken cancellationToken);

    /// <summary>Deletes a row that is out of sight, on all nodes.</summary>
    /// <returns>False where there is none.</returns>
    ValueTask<bool> DiscardAsync(RowKey key, CancellationToken cancellationToken);
}

/// <summary>What became of a row that was to come back.</summary>
internal enum OrphanReturn
{
    /// <summary>It is not out of sight any more, or was replaced before.</summary>
    Gone,

    /// <summary>A parent is still missing.</summary>
    Waits,

    /// <summary>It is back.</summary>
    Returned,

    /// <summary>Another row has its key.</summary>
    Replaced,
}
