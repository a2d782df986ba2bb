using System.Runtime.CompilerServices;
using ActiveActive.Apply;
using ActiveActive.Changes;
using ActiveActive.Database;
using ActiveActive.Progress;
using ActiveActive.Simulation.Checks;
using ActiveActive.Simulation.Time;
using ActiveActive.Testing.Database;
using NpgsqlTypes;

namespace ActiveActive.Simulation.Cluster;

/// <summary>
/// The node's database as one life of its engine reaches it: each call takes its time, in which others go on, and after the host's
/// crash nothing of that life reaches the database any more.
/// </summary>
internal sealed class LifeDatabase(SimulatedNode node, InMemoryDatabase inner, EventLoop loop, int slowness) : ILocalDatabase, IPauseGuard
{
    /// <summary>Whether the host that this life ran in has crashed.</summary>
    public bool IsCut { get; set; }

    public SimulatedNode Node => node;

    public OwnTransactions OwnTransactions => inner.OwnTransactions;

    /// <summary>Nobody operates a simulated node.</summary>
    public INodeDesk Desk => inner.Desk;

    /// <summary>How many checks in a row have found an orphan, and what the node had seen at the first.</summary>
    public Dictionary<(string Key, string Parent), (int Count, Acknowledged First)> OrphanSights { get; set; } = [];

    public ValueTask PauseAsync()
    {
        ThrowIfCut();
        return Interruption.PauseAsync(loop, 300 * slowness, this);
    }

    public async ValueTask<ILeaderLease> LeadAsync(Action<string?> standsBy, CancellationToken cancellationToken)
    {
        await PauseAsync();
        return await inner.LeadAsync(standsBy, cancellationToken);
    }

    public ValueTask<IReadOnlyList<SetUpProblem>> CheckAsync(CancellationToken cancellationToken) => inner.CheckAsync(cancellationToken);

    public async ValueTask<DatabaseIdentity> SetUpAsync(bool isJoining, CancellationToken cancellationToken)
    {
        await PauseAsync();
        return await inner.SetUpAsync(isJoining, cancellationToken);
    }

    public async ValueTask<CaptureCheckpoint?> FindCheckpointAsync(CancellationToken cancellationToken)
    {
        await PauseAsync();
        return await inner.FindCheckpointAsync(cancellationToken);
    }

    public async ValueTask<IReadOnlyList<Member>> ReadMembersAsync(CancellationToken cancellationToken)
    {
        await PauseAsync();
        return await inner.ReadMembersAsync(cancellationToken);
    }

    public async ValueTask SaveMembersAsync(IReadOnlyList<Member> members, CancellationToken cancellationToken)
    {
        await PauseAsync();
        await inner.SaveMembersAsync(members, cancellationToken);
        await PauseAsync();
    }

    public async ValueTask<IDataSnapshot> OpenSnapshotAsync(CancellationToken cancellationToken)
    {
        await PauseAsync();
        return await inner.OpenSnapshotAsync(cancellationToken);
    }

    public async ValueTask BeginResyncAsync(NodeName donor, CancellationToken cancellationToken)
    {
        await PauseAsync();
        await inner.BeginResyncAsync(donor, cancellationToken);
    }

    public async ValueTask<NodeName?> FindResyncAsync(CancellationToken cancellationToken)
    {
        await PauseAsync();
        return await inner.FindResyncAsync(cancellationToken);
    }

    public async ValueTask GiveUpDataAsync(IAsyncEnumerable<ConflictRecord> unsent, CancellationToken cancellationToken)
    {
        await PauseAsync();
        await inner.GiveUpDataAsync(unsent, cancellationToken);
    }

    public async ValueTask BeginJoinAsync(CancellationToken cancellationToken)
    {
        await PauseAsync();
        await inner.BeginJoinAsync(cancellationToken);
    }

    public async ValueTask<ICopySession> OpenCopySessionAsync(CancellationToken cancellationToken)
    {
        await PauseAsync();
        return await inner.OpenCopySessionAsync(cancellationToken);
    }

    public async ValueTask EndJoinAsync(DependencyVector copied, CommitTimestamp greatestStamp, IReadOnlyList<Member> members, CancellationToken cancellationToken)
    {
        await PauseAsync();
        await inner.EndJoinAsync(copied, greatestStamp, members, cancellationToken);
    }

    public async ValueTask SaveCheckpointAsync(CaptureCheckpoint checkpoint, CancellationToken cancellationToken)
    {
        await PauseAsync();
        await inner.SaveCheckpointAsync(checkpoint, cancellationToken);
        await PauseAsync();
    }

    public async ValueTask<IChangeStream> OpenChangeStreamAsync(NpgsqlLogSequenceNumber start, SlotCopy? copy, CancellationToken cancellationToken)
    {
        await PauseAsync();
        return new LifeStream(this, await inner.OpenChangeStreamAsync(start, copy, cancellationToken), loop, isMain: copy is null);
    }

    public async ValueTask SaveTombstonesAsync(IReadOnlyList<Tombstone> tombstones, CancellationToken cancellationToken)
    {
        await PauseAsync();
        await inner.SaveTombstonesAsync(tombstones, cancellationToken);
        await PauseAsync();
    }

    public async ValueTask<LogMarker> WriteMarkerAsync(CommitTimestamp floor, CancellationToken cancellationToken)
    {
        await PauseAsync();
        var marker = await inner.WriteMarkerAsync(floor, cancellationToken);
        await PauseAsync();
        return marker;
    }

    public async ValueTask PublishAsync(IReadOnlyList<Change> changes, CancellationToken cancellationToken)
    {
        await PauseAsync();
        node.Publish(changes);
        await PauseAsync();
    }

    public async ValueTask<IReadOnlyList<uint>> ReadUnfinishedAsync(CancellationToken cancellationToken)
    {
        await PauseAsync();
        return await inner.ReadUnfinishedAsync(cancellationToken);
    }

    public async ValueTask<IApplySession> OpenApplySessionAsync(NodeName origin, CancellationToken cancellationToken)
    {
        await PauseAsync();
        return new LifeSession(this, await inner.OpenApplySessionAsync(origin, cancellationToken), node, node.IndexOf(origin));
    }

    public async IAsyncEnumerable<StoredRow?> ReadRowsAsync(IReadOnlyList<RowToFetch> rows, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await foreach (var row in inner.ReadRowsAsync(rows, cancellationToken))
        {
            await PauseAsync();
            yield return row;
        }
    }

    public async ValueTask CollectAsync(DependencyVector stable, uint horizon, CancellationToken cancellationToken)
    {
        await PauseAsync();
        await inner.CollectAsync(stable, horizon, cancellationToken);
    }

    public ValueTask<IReadOnlyList<QuarantinedTransaction>> ReadQuarantineAsync(NodeName? origin, CancellationToken cancellationToken) => inner.ReadQuarantineAsync(origin, cancellationToken);

    public ValueTask<ReadOnlyMemory<byte>?> ReadQuarantinedPartAsync(QuarantinedTransaction transaction, int part, CancellationToken cancellationToken) =>
        inner.ReadQuarantinedPartAsync(transaction, part, cancellationToken);

    public ValueTask NoteRefusalAsync(QuarantinedTransaction transaction, string code, string reason, CancellationToken cancellationToken) =>
        inner.NoteRefusalAsync(transaction, code, reason, cancellationToken);

    public ValueTask<IReadOnlyList<TableName>> ReadTablesWithLosersAsync(CancellationToken cancellationToken) => inner.ReadTablesWithLosersAsync(cancellationToken);

    public ValueTask<IReadOnlyList<HiddenRow>> ReadLosersAsync(TableName? table, int limit, CancellationToken cancellationToken) => inner.ReadLosersAsync(table, limit, cancellationToken);

    public ValueTask<NewTables> PublishNewTablesAsync(CancellationToken cancellationToken) => inner.PublishNewTablesAsync(cancellationToken);

    public ValueTask<IReadOnlyList<UniqueKey>> ReadUniqueKeysAsync(CancellationToken cancellationToken) => inner.ReadUniqueKeysAsync(cancellationToken);

    public IAsyncEnumerable<ConflictRecord> ReadConflictsAsync(ConflictQuery query, CancellationToken cancellationToken) => inner.ReadConflictsAsync(query, cancellationToken);

    public async ValueTask<IOrphanSession> OpenOrphanSessionAsync(TimeSpan statementTimeout, CancellationToken cancellationToken)
    {
        await PauseAsync();
        return new LifeOrphanSession(this, await inner.OpenOrphanSessionAsync(statementTimeout, cancellationToken));
    }

    public ValueTask<long> DeleteConflictsAsync(DateTimeOffset before, CancellationToken cancellationToken) => inner.DeleteConflictsAsync(before, cancellationToken);

    public ValueTask DisposeAsync() => default;

    public void ThrowIfCut()
    {
        if (IsCut) throw new ReplicationException(ReplicationErrorKind.Transient, "The host crashed.");
    }
}

/// <summary>A change stream that is now and then slow.</summary>
internal sealed class LifeStream(LifeDatabase life, IChangeStream inner, EventLoop loop, bool isMain) : IChangeStream
{
    public NpgsqlLogSequenceNumber ReceivedPosition => inner.ReceivedPosition;

    public async IAsyncEnumerable<CapturedTransaction> ReadAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await using var read = inner.ReadAsync(cancellationToken).GetAsyncEnumerator(cancellationToken);
        while (await MoveNextAsync(read))
        {
            var captured = read.Current;
            await life.PauseAsync();
            while (isMain && life.Node.CaptureStalledUntil > loop.Now) await loop.Delay(life.Node.CaptureStalledUntil - loop.Now);
            life.ThrowIfCut();
            yield return captured;
        }
    }

    private async ValueTask<bool> MoveNextAsync(IAsyncEnumerator<CapturedTransaction> read)
    {
        try
        {
            return await read.MoveNextAsync();
        }
        catch (ReplicationException) when (isMain && !life.IsCut && life.Node.CrashSeenAt > loop.Now)
        {
            // Nobody tells a reader that waits that the other end is gone.
            while (!life.IsCut && life.Node.CrashSeenAt > loop.Now) await loop.Delay(Math.Min(1000, life.Node.CrashSeenAt - loop.Now));
            throw;
        }
    }

    public void Confirm(NpgsqlLogSequenceNumber position)
    {
        if (!life.IsCut) inner.Confirm(position);
    }

    public ValueTask DisposeAsync() => inner.DisposeAsync();
}

/// <summary>An apply session that tells the simulation's history what became visible.</summary>
internal sealed class LifeSession(LifeDatabase life, IApplySession inner, SimulatedNode node, int origin) : IApplySession
{
    private bool _quarantines;
    private GroupedVersions? _grouped;

    public NpgsqlLogSequenceNumber AppliedPosition => inner.AppliedPosition;

    public CommitTimestamp ServerTime => inner.ServerTime;

    public async ValueTask<CommitTimestamp> ReadServerTimeAsync(CancellationToken cancellationToken)
    {
        await life.PauseAsync();
        return await inner.ReadServerTimeAsync(cancellationToken);
    }

    public ValueTask<LocalTable?> FindTableAsync(Relation relation, CancellationToken cancellationToken) => inner.FindTableAsync(relation, cancellationToken);

    public void ForgetTables() => inner.ForgetTables();

    public async ValueTask BeginAsync(CancellationToken cancellationToken)
    {
        await life.PauseAsync();
        _quarantines = false;
        _grouped = null;
        await inner.BeginAsync(cancellationToken);
    }

    public async ValueTask LockTableAsync(LocalTable table, CancellationToken cancellationToken)
    {
        await life.PauseAsync();
        await inner.LockTableAsync(table, cancellationToken);
    }

    public async ValueTask<IReadOnlyList<KeyState>> ReadKeysAsync(IReadOnlyList<LocalKey> keys, CancellationToken cancellationToken)
    {
        await life.PauseAsync();
        var states = await inner.ReadKeysAsync(keys, cancellationToken);
        await life.PauseAsync();
        return states;
    }

    public async ValueTask<UniqueClashes> FindClashesAsync(LocalTable table, IReadOnlyList<ColumnValue[]> rows, CancellationToken cancellationToken)
    {
        await life.PauseAsync();
        var clashes = await inner.FindClashesAsync(table, rows, cancellationToken);
        await life.PauseAsync();
        return clashes;
    }

    public async ValueTask<IReadOnlyList<RowKey>> ReadLosersAsync(LocalTable table, RowKey? after, int limit, CancellationToken cancellationToken)
    {
        await life.PauseAsync();
        return await inner.ReadLosersAsync(table, after, limit, cancellationToken);
    }

    public IAsyncEnumerable<IReadOnlyList<LocalKey>> ReadUnseenAsync(LocalTable table, TableName? partition, IReadOnlyCollection<ShownVersion> unseen, CancellationToken cancellationToken) =>
        inner.ReadUnseenAsync(table, partition, unseen, cancellationToken);

    public void GiveWay() => inner.GiveWay();

    public void Group(GroupedVersions versions) => inner.Group(_grouped = versions);

    public void Prepare(ApplyPlan plan) => inner.Prepare(plan);

    public async ValueTask<bool> TryWriteSeenAsync(ApplyPlan plan, SeenRows seen, CancellationToken cancellationToken)
    {
        await life.PauseAsync();
        var isSeen = await inner.TryWriteSeenAsync(plan, seen, cancellationToken);
        await life.PauseAsync();
        return isSeen;
    }

    public async ValueTask<TombstoneLook> FindTombstoneAsync(IReadOnlyList<RowKey> keys, CancellationToken cancellationToken)
    {
        await life.PauseAsync();
        var look = await inner.FindTombstoneAsync(keys, cancellationToken);
        await life.PauseAsync();
        return look;
    }

    public async ValueTask<TombstoneLook> FindTombstoneOfOwnRowAsync(LocalTable table, RowVersion except, CancellationToken cancellationToken)
    {
        await life.PauseAsync();
        return await inner.FindTombstoneOfOwnRowAsync(table, except, cancellationToken);
    }

    public async ValueTask ExecuteAsync(ApplyPlan plan, CancellationToken cancellationToken)
    {
        await life.PauseAsync();
        await inner.ExecuteAsync(plan, cancellationToken);
    }

    public ValueTask StoreQuarantinedPartAsync(NpgsqlLogSequenceNumber position, int part, ReadOnlyMemory<byte> content, CancellationToken cancellationToken) =>
        inner.StoreQuarantinedPartAsync(position, part, content, cancellationToken);

    public ValueTask<long> QuarantineAsync(QuarantinedTransaction transaction, CancellationToken cancellationToken)
    {
        _quarantines = true;
        return inner.QuarantineAsync(transaction, cancellationToken);
    }

    public ValueTask ReleaseAsync(QuarantinedTransaction transaction, CancellationToken cancellationToken) => inner.ReleaseAsync(transaction, cancellationToken);

    public async ValueTask KeepReceivedAsync(ChangeTransaction part, CancellationToken cancellationToken)
    {
        await life.PauseAsync();
        await inner.KeepReceivedAsync(part, cancellationToken);
    }

    public async ValueTask CommitAsync(NpgsqlLogSequenceNumber position, CommitTimestamp stamp, CancellationToken cancellationToken)
    {
        await life.PauseAsync();
        if (origin != node.Index && node.AbortsCommit())
        {
            ((InMemoryApplySession)inner).AbortCommit(position);
            throw new ReplicationException(ReplicationErrorKind.Transient, "The simulation aborts the commit.");
        }

        // The commit completes at once, so that the history learns of it before anyone sees the rows.
        var commit = inner.CommitAsync(position, stamp, cancellationToken);
        if (commit.IsCompletedSuccessfully && origin != node.Index)
        {
            foreach (var earlier in _grouped?.Earlier ?? []) node.Applied(origin, earlier.Position, isQuarantined: false);
            node.Applied(origin, position, _quarantines);
            node.MayCrashSoon();
        }

        await commit;
        await life.PauseAsync();
    }

    public async ValueTask<bool> RollbackAsync(CancellationToken cancellationToken)
    {
        await life.PauseAsync();
        return await inner.RollbackAsync(cancellationToken);
    }

    public async ValueTask SetBackAsync(NpgsqlLogSequenceNumber position, CancellationToken cancellationToken)
    {
        await life.PauseAsync();
        await inner.SetBackAsync(position, cancellationToken);
    }

    public async ValueTask<NpgsqlLogSequenceNumber> FlushAsync(CancellationToken cancellationToken)
    {
        await life.PauseAsync();
        return await inner.FlushAsync(cancellationToken);
    }

    public ValueTask DisposeAsync() => inner.DisposeAsync();
}
