using ActiveActive.Apply;
using ActiveActive.Changes;
using NpgsqlTypes;

namespace ActiveActive.Database;

/// <summary>
/// One connection that applies one origin's transactions, one at a time: Begin, then (ReadKeys, Execute) for each part, then Commit.
/// Triggers and foreign keys do not fire (<c>session_replication_role = replica</c>).
/// </summary>
internal interface IApplySession : IAsyncDisposable
{
    /// <summary>
    /// The last position of this origin committed here, durable or not; at the beginning, what the database has as the origin's progress
    /// (<see cref="Capture.ChangeCapture.SettleProgressAsync"/>).
    /// </summary>
    NpgsqlLogSequenceNumber AppliedPosition { get; }

    /// <summary>The latest reading of the server's clock: the clock now stands there or later.</summary>
    CommitTimestamp ServerTime { get; }

    ValueTask<CommitTimestamp> ReadServerTimeAsync(CancellationToken cancellationToken);

    /// <summary>
    /// The local table for a relation, from the catalog: the root where that is partitioned; null where the database has no such
    /// table. Cached; <see cref="ForgetTables"/> after an error that a schema change explains.
    /// </summary>
    ValueTask<LocalTable?> FindTableAsync(Relation relation, CancellationToken cancellationToken);

    void ForgetTables();

    ValueTask BeginAsync(CancellationToken cancellationToken);

    /// <summary>
    /// Keeps local writers out of a table until the transaction ends; readers go on. Waits for those under way, but not long: they
    /// would queue up behind it.
    /// </summary>
    /// <exception cref="ReplicationException">Transient: somebody else's transaction was not over in time.</exception>
    ValueTask LockTableAsync(LocalTable table, CancellationToken cancellationToken);

    /// <summary>
    /// Reads and row-locks what stands under each key, in the order asked: row, tombstone (of the key or the table, the newer),
    /// override and siblings. Tombstones are read after the rows are locked.
    /// </summary>
    ValueTask<IReadOnlyList<KeyState>> ReadKeysAsync(IReadOnlyList<LocalKey> keys, CancellationToken cancellationToken);

    /// <summary>
    /// Which rows, visible or hidden, have a unique value of the given ones, and which of these of each other. Locks nothing; a row's own key is
    /// left out.
    /// </summary>
    ValueTask<UniqueClashes> FindClashesAsync(LocalTable table, IReadOnlyList<ColumnValue[]> rows, CancellationToken cancellationToken);

    /// <summary>The keys under which losers of unique values are stored, in the order of their texts.</summary>
    ValueTask<IReadOnlyList<RowKey>> ReadLosersAsync(LocalTable table, RowKey? after, int limit, CancellationToken cancellationToken);

    /// <summary>
    /// The keys of a table whose rows <see cref="TruncateTable"/> leaves to be decided about: those that show an unseen version, and those whose
    /// true version or versions are stored beside them. Some at a time, as they stand at the call; what is done with them meanwhile does not matter.
    /// </summary>
    /// <param name="table">The table, locked against local writers (<see cref="LockTableAsync"/>).</param>
    /// <param name="partition">The leaf that is truncated alone; null for all.</param>
    /// <param name="unseen">What the rows show that the writer of the TRUNCATE had not seen.</param>
    /// <param name="cancellationToken">Ends it.</param>
    IAsyncEnumerable<IReadOnlyList<LocalKey>> ReadUnseenAsync(LocalTable table, TableName? partition, IReadOnlyCollection<Progress.ShownVersion> unseen, CancellationToken cancellationToken);

    /// <summary>
    /// Lets the transaction fail (Transient) where it would have to wait long for a lock. One that applies several holds those of all of them, so that it could be in a circle
    /// of waits that none of them would be in; then it is not a user's transaction that is given up.
    /// </summary>
    void GiveWay();

    /// <summary>
    /// Says that the transaction applies several of the origin, and whose the rows are that it writes from now on. That goes into the log ahead of them,
    /// for capture and for all who read the log again.
    /// </summary>
    void Group(GroupedVersions versions);

    /// <summary>
    /// Makes a plan ready for <see cref="TryWriteSeenAsync"/>, as far as that needs no database. May be called while another transaction is under way, by one caller at a time.
    /// </summary>
    void Prepare(ApplyPlan plan);

    /// <summary>
    /// Performs writes of rows without a look at them: each must find its row, or for an insert none, and that must have been seen. Returns
    /// false where one of them does not, or where beside rows of a table something is stored that says more than <c>xmin</c>. The transaction must then be rolled back.
    /// </summary>
    /// <param name="plan">Inserts, updates and deletes in tables without secondary unique keys.</param>
    /// <param name="seen">What counts as seen.</param>
    /// <param name="cancellationToken">Ends the wait for locks; the transaction must then be rolled back.</param>
    ValueTask<bool> TryWriteSeenAsync(ApplyPlan plan, SeenRows seen, CancellationToken cancellationToken);

    /// <summary>Looks for a tombstone under one of the keys, or for one of their tables.</summary>
    ValueTask<TombstoneLook> FindTombstoneAsync(IReadOnlyList<RowKey> keys, CancellationToken cancellationToken);

    /// <summary>Looks for a tombstone of a table, or under the key of a row of it that the running transaction has written.</summary>
    /// <param name="table">The table.</param>
    /// <param name="except">The version of tombstones that do not count: the transaction's own.</param>
    /// <param name="cancellationToken">Ends it; the transaction must then be rolled back.</param>
    ValueTask<TombstoneLook> FindTombstoneOfOwnRowAsync(LocalTable table, RowVersion except, CancellationToken cancellationToken);

    /// <summary>Performs the writes in their order; a failed write leaves the transaction to be rolled back.</summary>
    ValueTask ExecuteAsync(ApplyPlan plan, CancellationToken cancellationToken);

    /// <summary>Stores one part of a transaction that is put aside instead of being applied.</summary>
    ValueTask StoreQuarantinedPartAsync(NpgsqlLogSequenceNumber position, int part, ReadOnlyMemory<byte> content, CancellationToken cancellationToken);

    /// <summary>
    /// Enters a transaction whose parts are stored into the quarantine and returns its number. The commit that follows tells capture that
    /// it was put aside, and not applied.
    /// </summary>
    ValueTask<long> QuarantineAsync(QuarantinedTransaction transaction, CancellationToken cancellationToken);

    /// <summary>Takes a transaction out of quarantine, with the commit that follows, which names its position and stamp once more.</summary>
    /// <exception cref="ReplicationException">Corrupt: it is not there.</exception>
    ValueTask ReleaseAsync(QuarantinedTransaction transaction, CancellationToken cancellationToken);

    /// <summary>
    /// Writes a part into the log as it was received, in the transaction under way: a peer that can't get it from its origin any more
    /// reads it from here (convergence R10: the rows written tell neither what lost nor what its writer had seen).
    /// </summary>
    ValueTask KeepReceivedAsync(ChangeTransaction part, CancellationToken cancellationToken);

    /// <summary>
    /// Commits with the origin's stamp and position, so that rows and progress become visible in one step. A transaction that
    /// wrote nothing is made visible to capture, too. The origin's progress never moves back. With an unknown stamp the server's clock gives one:
    /// that is how the session of the node's own origin commits, which capture passes over.
    /// </summary>
    ValueTask CommitAsync(NpgsqlLogSequenceNumber position, CommitTimestamp stamp, CancellationToken cancellationToken);

    /// <summary>
    /// Ends the transaction, if there is one. False where the connection is lost: the server may still be rolling it back, or even committing
    /// it; a new session of the origin opens only after that.
    /// </summary>
    ValueTask<bool> RollbackAsync(CancellationToken cancellationToken);

    /// <summary>Sets the origin's progress back to what was committed of it. Between transactions.</summary>
    ValueTask SetBackAsync(NpgsqlLogSequenceNumber position, CancellationToken cancellationToken);

    /// <summary>Makes all that was committed durable and returns the position that may be acknowledged.</summary>
    ValueTask<NpgsqlLogSequenceNumber> FlushAsync(CancellationToken cancellationToken);
}

/// <summary>What a look for tombstones showed.</summary>
/// <param name="IsFound">Whether there was one.</param>
/// <param name="NextXid">Every transaction that had written and ended before the look has an earlier id (modulo 2^32).</param>
internal readonly record struct TombstoneLook(bool IsFound, uint NextXid);
