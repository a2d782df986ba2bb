using ActiveActive.Apply;
using ActiveActive.Changes;
using ActiveActive.Progress;
using NpgsqlTypes;

namespace ActiveActive.Database;

/// <summary>
/// The database seam: everything that the engine asks of the node's own database. Two implementations: PostgreSQL (Npgsql) and
/// memory (ActiveActive.Testing). One compliance suite runs on both. All methods throw <see cref="ReplicationException"/> with a kind.
/// </summary>
internal interface ILocalDatabase : IAsyncDisposable
{
    /// <summary>Where transactions are noted that go through here and delete no row of an application, and those that apply a peer's.</summary>
    OwnTransactions OwnTransactions { get; }

    /// <summary>Where whoever operates the node meets the instance that leads it.</summary>
    INodeDesk Desk { get; }

    /// <summary>
    /// Waits until no other instance leads this node, and leads. BEFORE anything else of the node's life: what an earlier leader left open in the server (sessions that
    /// capture, apply or write) has ended on return, and what it opens later fails.
    /// </summary>
    /// <param name="standsBy">Told, perhaps repeatedly, that another instance leads, and which; null where that is not known.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    ValueTask<ILeaderLease> LeadAsync(Action<string?> standsBy, CancellationToken cancellationToken);

    /// <summary>Checks every precondition, and changes nothing; empty where set-up would find no problem.</summary>
    ValueTask<IReadOnlyList<SetUpProblem>> CheckAsync(CancellationToken cancellationToken);

    /// <summary>
    /// Checks every precondition, then creates what is missing (schema <c>active_active</c>, publication, slot, origins, replica
    /// identities). Idempotent.
    /// </summary>
    /// <param name="isJoining">Whether a node that was never set up gets its data from another one: then its slot and checkpoint are left to <see cref="EndJoinAsync"/>.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <exception cref="SetUpException">Lists all problems at once, each with the setting or SQL that fixes it; nothing was changed.</exception>
    ValueTask<DatabaseIdentity> SetUpAsync(bool isJoining, CancellationToken cancellationToken);

    /// <summary>Where capture starts and what it knew there; null where a node has not joined yet.</summary>
    ValueTask<CaptureCheckpoint?> FindCheckpointAsync(CancellationToken cancellationToken);

    /// <summary>The nodes of the cluster, this one among them, by name; none before <see cref="SaveMembersAsync"/>.</summary>
    ValueTask<IReadOnlyList<Member>> ReadMembersAsync(CancellationToken cancellationToken);

    /// <summary>Adds members, or says of some that they have joined. Durable on return.</summary>
    ValueTask SaveMembersAsync(IReadOnlyList<Member> members, CancellationToken cancellationToken);

    /// <summary>Holds the tables as they stand at a place of the log, for as long as the snapshot is open.</summary>
    ValueTask<IDataSnapshot> OpenSnapshotAsync(CancellationToken cancellationToken);

    /// <summary>Keeps local writers out of the replicated tables, and notes that the node is to get another one's data in place of its own; durable on return.</summary>
    ValueTask BeginResyncAsync(NodeName donor, CancellationToken cancellationToken);

    /// <summary>From whom the node is to get its data in place of its own; null where it is not, or has it.</summary>
    ValueTask<NodeName?> FindResyncAsync(CancellationToken cancellationToken);

    /// <summary>Gives the node's own data up, in one transaction: records what no other node has in the conflict history, empties the replicated tables and all notes beside them, and forgets checkpoint and members.</summary>
    ValueTask GiveUpDataAsync(IAsyncEnumerable<ConflictRecord> unsent, CancellationToken cancellationToken);

    /// <summary>
    /// Keeps local writers out of the replicated tables until <see cref="EndJoinAsync"/> (they get an error that says why), and empties the tables of what an earlier try has copied.
    /// </summary>
    /// <exception cref="ReplicationException">Misconfigured: a table has rows that no earlier try can have copied.</exception>
    ValueTask BeginJoinAsync(CancellationToken cancellationToken);

    /// <summary>Opens a session that copies into the tables, between <see cref="BeginJoinAsync"/> and <see cref="EndJoinAsync"/>.</summary>
    ValueTask<ICopySession> OpenCopySessionAsync(CancellationToken cancellationToken);

    /// <summary>Makes the slot, the origins' progress and the checkpoint from which the node goes on, saves the members, and lets local writers in; the last two in one transaction.</summary>
    /// <param name="copied">Per origin, the last transaction that what was copied holds.</param>
    /// <param name="greatestStamp">No stamp in it is greater.</param>
    /// <param name="members">All members, this node among them.</param>
    /// <param name="cancellationToken">Gives up.</param>
    ValueTask EndJoinAsync(DependencyVector copied, CommitTimestamp greatestStamp, IReadOnlyList<Member> members, CancellationToken cancellationToken);

    /// <summary>Durable on return. The slot is confirmed only up to a saved checkpoint.</summary>
    ValueTask SaveCheckpointAsync(CaptureCheckpoint checkpoint, CancellationToken cancellationToken);

    /// <summary>
    /// Opens the node's slot, or a copy of it that is dropped with the stream: for a peer that fell behind the change log, or that wants
    /// another node's transactions.
    /// Delivers every transaction whose commit record lies at or after <paramref name="start"/>, in commit order.
    /// </summary>
    ValueTask<IChangeStream> OpenChangeStreamAsync(NpgsqlLogSequenceNumber start, SlotCopy? copy, CancellationToken cancellationToken);

    /// <summary>Enters deletes of local transactions; durable on return. An entry never replaces a newer one of the same key.</summary>
    ValueTask SaveTombstonesAsync(IReadOnlyList<Tombstone> tombstones, CancellationToken cancellationToken);

    /// <summary>
    /// Commits a marker: everything visible to anyone before the call lies before it in the log, and the
    /// change stream will pass it (as a transaction without changes) without waiting for other traffic.
    /// </summary>
    /// <param name="floor">Local transactions behind the marker count as later than this; Unknown for none.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    ValueTask<LogMarker> WriteMarkerAsync(CommitTimestamp floor, CancellationToken cancellationToken);

    /// <summary>Commits a local transaction that writes no row and, to the change stream, makes these changes. Everything before it in the log is durable with it.</summary>
    ValueTask PublishAsync(IReadOnlyList<Change> changes, CancellationToken cancellationToken);

    /// <summary>
    /// The ids of the transactions that are not over for everybody. A transaction shows its rows some time after its commit record is
    /// written, even after the change stream has delivered it: until then it is among them.
    /// </summary>
    ValueTask<IReadOnlyList<uint>> ReadUnfinishedAsync(CancellationToken cancellationToken);

    /// <summary>Publishes the tables that were created since set-up and that the node's rules match, as far as they can be replicated as they are.</summary>
    /// <exception cref="ReplicationException">Transient: a lock was not granted in time.</exception>
    ValueTask<NewTables> PublishNewTablesAsync(CancellationToken cancellationToken);

    /// <summary>Opens the one session that applies an origin's transactions (the node's own: what it settles itself); fenced: a second one anywhere fails with <see cref="ReplicationErrorKind.InUse"/>.</summary>
    ValueTask<IApplySession> OpenApplySessionAsync(NodeName origin, CancellationToken cancellationToken);

    /// <summary>
    /// Reads committed rows without locking them, one after the other: one answer for each key, in order; null where there is no row.
    /// </summary>
    /// <exception cref="ReplicationException">ApplyRefused: a table is not replicated here, or its key has other columns.</exception>
    IAsyncEnumerable<StoredRow?> ReadRowsAsync(IReadOnlyList<RowToFetch> rows, CancellationToken cancellationToken);

    /// <summary>
    /// Drops tombstones, overrides and siblings whose position is covered by <paramref name="stable"/>; overrides and siblings only where the transaction that their row shows in their place
    /// is stable, too: a writer that has not seen it would meet an unseen row.
    /// </summary>
    /// <param name="stable">What every member has.</param>
    /// <param name="horizon">Every local transaction with an earlier id (modulo 2^32) is stable; 0 for none (<see cref="Progress.TransactionIndex.StableHorizon"/>).</param>
    /// <param name="cancellationToken">Gives up.</param>
    ValueTask CollectAsync(DependencyVector stable, uint horizon, CancellationToken cancellationToken);

    /// <summary>The transactions in quarantine (of one origin, or all), in the order in which they came.</summary>
    ValueTask<IReadOnlyList<QuarantinedTransaction>> ReadQuarantineAsync(NodeName? origin, CancellationToken cancellationToken);

    /// <summary>A stored part of a transaction in quarantine; null where it is not there.</summary>
    ValueTask<ReadOnlyMemory<byte>?> ReadQuarantinedPartAsync(QuarantinedTransaction transaction, int part, CancellationToken cancellationToken);

    /// <summary>Notes that a transaction in quarantine was refused again.</summary>
    ValueTask NoteRefusalAsync(QuarantinedTransaction transaction, string code, string reason, CancellationToken cancellationToken);

    /// <summary>The rows that lost a unique value (of one table, or all), oldest version first, those included that were replaced since.</summary>
    ValueTask<IReadOnlyList<HiddenRow>> ReadLosersAsync(TableName? table, int limit, CancellationToken cancellationToken);

    /// <summary>The tables in which rows have lost a unique value.</summary>
    ValueTask<IReadOnlyList<TableName>> ReadTablesWithLosersAsync(CancellationToken cancellationToken);

    /// <summary>The secondary unique keys of the replicated tables, in order.</summary>
    ValueTask<IReadOnlyList<UniqueKey>> ReadUniqueKeysAsync(CancellationToken cancellationToken);

    /// <summary>Reads the conflict history.</summary>
    IAsyncEnumerable<ConflictRecord> ReadConflictsAsync(ConflictQuery query, CancellationToken cancellationToken);

    /// <summary>Opens a session that finds and treats rows whose foreign key names a missing row.</summary>
    /// <param name="statementTimeout">How long one statement may take; zero for no limit.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    ValueTask<IOrphanSession> OpenOrphanSessionAsync(TimeSpan statementTimeout, CancellationToken cancellationToken);

    /// <summary>Deletes entries of the conflict history recorded before an instant; returns how many.</summary>
    ValueTask<long> DeleteConflictsAsync(DateTimeOffset before, CancellationToken cancellationToken);
}
