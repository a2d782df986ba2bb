using ActiveActive.Changes;
using ActiveActive.Database;
using ActiveActive.Diagnostics;
using ActiveActive.Progress;
using ActiveActive.Transport;
using Microsoft.Extensions.Logging;
using NpgsqlTypes;

namespace ActiveActive.Capture;

/// <summary>
/// Reads the node's log once for all peers: index, tombstones of local deletes, causal vector, encoding, <see cref="ChangeLog"/>.
/// One <see cref="RunAsync"/> is one life of the stream; after a fault a new one starts from the saved checkpoint.
/// </summary>
internal sealed partial class ChangeCapture
{
    // How far the log may grow by others' traffic before an idle node writes a marker, so that the slot can follow.
    private const ulong IdleMarkerBytes = 1 << 20;

    private const int MaxSnapshots = 1024;

    private readonly ILocalDatabase _database;
    private readonly ReplicationProgress _progress;
    private readonly ILogger _logger;
    private readonly CausalSequence _sequence;
    private readonly List<CaptureCheckpoint> _snapshots = [];
    private readonly Lock _lock = new();
    private NpgsqlLogSequenceNumber _captured;
    private NpgsqlLogSequenceNumber _lastPublished;
    private NpgsqlLogSequenceNumber _lastWithGap;
    private bool _insideTransaction;
    private bool _publishedSinceHeartbeat;
    private DependencyVector _heartbeatVector = DependencyVector.Empty;
    private IChangeStream? _stream;

    // Stable, to be saved once capture has read what had been applied by then; the heartbeat's own.
    private CaptureCheckpoint? _reached;
    private IReadOnlyList<KeyValuePair<NodeName, NpgsqlLogSequenceNumber>> _appliedWhenReached = [];

    public ChangeCapture(ILocalDatabase database, ReplicationProgress progress, CaptureCheckpoint checkpoint, TransactionEncoder encoder, long maxLogBytes, ILogger logger)
    {
        _database = database;
        _progress = progress;
        _logger = logger;
        _sequence = new CausalSequence(progress.Self, checkpoint);
        Checkpoint = checkpoint;
        _lastPublished = checkpoint.LastPublished;
        Encoder = encoder;
        Log = new ChangeLog(checkpoint.Position, maxLogBytes);
        Index = new TransactionIndex();
    }

    public ChangeLog Log { get; }

    /// <summary>One for the log and all catch-up readers, so that a connection can go from one to the other.</summary>
    public TransactionEncoder Encoder { get; }

    public TransactionIndex Index { get; }

    /// <summary>Told of each part of a local transaction, after capture has passed it.</summary>
    public Action<ChangeTransaction>? Captured { get; init; }

    /// <summary>Told of each part of a local transaction BEFORE it is published.</summary>
    public Action<ChangeTransaction>? Capturing { get; init; }

    /// <summary>Where it begins what no checkpoint may pass yet; null for nothing.</summary>
    public Func<NpgsqlLogSequenceNumber?> HeldBack { get; init; } = static () => null;

    /// <summary>The last one saved: where a catch-up stream starts.</summary>
    public CaptureCheckpoint Checkpoint { get; private set; }

    /// <summary>How far capture has read.</summary>
    public NpgsqlLogSequenceNumber CapturedPosition
    {
        get
        {
            lock (_lock) return _captured;
        }
    }

    /// <summary>The place in this node's log up to which a member is known, by its own stream, to have all: what lies behind is kept for it.</summary>
    public NpgsqlLogSequenceNumber PassedBy(NodeName member)
    {
        lock (_lock)
        {
            // The first that it has not passed; they are in order.
            var (low, high) = (0, _snapshots.Count);
            while (low < high)
            {
                var middle = (low + high) / 2;
                if (_progress.HasPassed(member, _snapshots[middle])) low = middle + 1;
                else high = middle;
            }

            return low == _snapshots.Count ? _captured : low == 0 ? Checkpoint.Position : _snapshots[low - 1].Position;
        }
    }

    /// <summary>How much log the slot holds back, in bytes.</summary>
    public long RetainedBytes => (long)((ulong)_captured - Math.Min((ulong)_captured, (ulong)Checkpoint.Position));

    /// <summary>The last transaction of this node that was published.</summary>
    public NpgsqlLogSequenceNumber LastPublished
    {
        get
        {
            lock (_lock) return _lastPublished;
        }
    }

    public long PublishedTransactions { get; private set; }

    /// <summary>Which transactions of a node can be sent: this node's own, or a peer's as they were received.</summary>
    public LogExtent ExtentOf(NodeName origin)
    {
        lock (_lock)
        {
            return origin == _progress.Self ? new(Checkpoint.LastPublished, _lastPublished) : new(Checkpoint.Applied[origin], _sequence.Applied[origin]);
        }
    }

    /// <summary>
    /// BEFORE a session applies anything. Waits until capture has passed a marker that was written after it was opened: if the server has crashed since this life began, capture's connection is as dead as
    /// those of the sessions before, and never passes it, however late it notices. Else commits that were not durable could be missing here that this life takes for applied.
    /// Then it sees to it that the session goes on from what was committed of its origin, and that is what the log shows. The server's own record may say more: from PostgreSQL 16 on a transaction that is
    /// aborted after it has named its position (a COMMIT that fails, a host that is killed in that moment) moves the origin's progress, and would be passed over.
    /// </summary>
    public async ValueTask SettleProgressAsync(NodeName origin, IApplySession session, CancellationToken cancellationToken)
    {
        if (session.AppliedPosition <= AppliedUpTo(origin) && Safeguards.IsOff(Safeguard.SessionsBehindCapture)) return;
        // Whatever was under way for the origin is over, since it has a new session; so it lies before the marker.
        var marker = await _database.WriteMarkerAsync(CommitTimestamp.Unknown, cancellationToken);
        await _progress.Captured.WaitAsync(marker.Position, cancellationToken);
        var applied = AppliedUpTo(origin);
        if (session.AppliedPosition <= applied || Safeguards.IsOff(Safeguard.ProgressIsInTheLog)) return;
        LogProgressSetBack(_progress.Self, origin, session.AppliedPosition, applied);
        await session.SetBackAsync(applied, cancellationToken);
    }

    private NpgsqlLogSequenceNumber AppliedUpTo(NodeName origin)
    {
        lock (_lock) return _sequence.Applied[origin];
    }

    /// <summary>The last of a peer's transactions that is applied here, once capture has passed all that was committed until now: what it has read is durable.</summary>
    public async ValueTask<NpgsqlLogSequenceNumber> ReadReachAsync(NodeName origin, CancellationToken cancellationToken)
    {
        var marker = await _database.WriteMarkerAsync(CommitTimestamp.Unknown, cancellationToken);
        await _progress.Captured.WaitAsync(marker.Position, cancellationToken);
        return AppliedUpTo(origin);
    }

    /// <summary>Whether the log, as far as it was read, shows a transaction of a peer as applied here.</summary>
    public bool HasApplied(NodeName origin, NpgsqlLogSequenceNumber position)
    {
        lock (_lock) return _sequence.Applied.Covers(origin, position);
    }

    /// <summary>
    /// Whether this node's log holds a transaction of its own that a peer has applied, or has passed it for good. Where it does not, the database went back to an earlier
    /// state: other transactions come to stand where the peer has been already.
    /// </summary>
    public async ValueTask<bool> HasPublishedAsync(NpgsqlLogSequenceNumber position, CancellationToken cancellationToken)
    {
        // Before anything is waited for: capture may be far behind.
        if (position == default || IsPublished(position)) return true;
        var marker = await _database.WriteMarkerAsync(CommitTimestamp.Unknown, cancellationToken);
        if (position > marker.Position) return false;
        await _progress.Captured.WaitAsync(marker.Position, cancellationToken);
        return IsPublished(position);
    }

    // In this order: what leaves the index is behind the checkpoint by then. One that was made anew knows of nothing before it.
    private bool IsPublished(NpgsqlLogSequenceNumber position) =>
        Index.HasLocal(_progress.Self, position) || position <= Checkpoint.LastPublished || (Checkpoint.LastPublished == default && position < Checkpoint.Position);

    /// <summary>What the log before a place shows as applied, this node's own transactions among it; and a stamp that none of it exceeds. Waits until capture has passed the place.</summary>
    /// <exception cref="ReplicationException">Transient: a transaction was in quarantine there, or the place is stable by now.</exception>
    public async ValueTask<(DependencyVector Applied, CommitTimestamp GreatestStamp)> ReadAppliedBeforeAsync(NpgsqlLogSequenceNumber position, CancellationToken cancellationToken)
    {
        var marker = await _database.WriteMarkerAsync(CommitTimestamp.Unknown, cancellationToken);
        await _progress.Captured.WaitAsync(marker.Position, cancellationToken);
        lock (_lock)
        {
            if (_lastWithGap >= position || _sequence.Applied.Gaps.Count > 0)
                throw new ReplicationException(ReplicationErrorKind.Transient, $"A transaction is in quarantine on node '{_progress.Self}', or was until now: what it holds can't be told.");
            // BEFORE the checkpoint: one that is saved meanwhile has what leaves the index.
            var held = Index.AppliedBefore(position);
            var checkpoint = Checkpoint;
            if (checkpoint.Position > position) throw new ReplicationException(ReplicationErrorKind.Transient, $"Node '{_progress.Self}' has let go of the log at {position} already.");
            var applied = checkpoint.LastPublished == default ? checkpoint.Applied : checkpoint.Applied.Advance(_progress.Self, checkpoint.LastPublished);
            foreach (var (origin, last) in held) applied = applied.Advance(origin, last);
            return (applied, _sequence.GreatestStamp);
        }
    }

    /// <summary>Every local transaction with an earlier id is stable. Waits until capture has passed a marker, so that the index holds all that could be none of them.</summary>
    public async ValueTask<uint> ReadStableHorizonAsync(CancellationToken cancellationToken)
    {
        var marker = await _database.WriteMarkerAsync(CommitTimestamp.Unknown, cancellationToken);
        await _progress.Captured.WaitAsync(marker.Position, cancellationToken);
        Index.Pass(marker);
        return Index.StableHorizon;
    }

    public async Task RunAsync(CancellationToken cancellationToken)
    {
        await using var stream = await _database.OpenChangeStreamAsync(Checkpoint.Position, null, cancellationToken);
        _stream = stream;
        LogCaptureStarted(_progress.Self, Checkpoint.Position);
        var tombstones = new List<Tombstone>();
        await foreach (var captured in stream.ReadAsync(cancellationToken))
        {
            var transaction = Sequence(captured);
            if (transaction is not null)
            {
                tombstones.Clear();
                LocalDeletes.AddTombstones(transaction, tombstones);
                // Tombstones are durable BEFORE the deletes are published or the slot is confirmed past them (convergence R1).
                if (tombstones.Count > 0 && !Safeguards.IsOff(Safeguard.LocalTombstones)) await _database.SaveTombstonesAsync(tombstones, cancellationToken);
            }

            if (transaction is not null) Capturing?.Invoke(transaction);
            Publish(captured, transaction);
            if (transaction is not null) Captured?.Invoke(transaction);
        }

        throw new ReplicationException(ReplicationErrorKind.Transient, $"The change stream of node '{_progress.Self}' ended.");
    }

    private ChangeTransaction? Sequence(CapturedTransaction captured)
    {
        lock (_lock)
        {
            _insideTransaction = true;
            var hadGaps = _sequence.Applied.Gaps.Count > 0;
            var transaction = _sequence.Next(captured);
            if (hadGaps || _sequence.Applied.Gaps.Count > 0) _lastWithGap = captured.Position;
            return transaction;
        }
    }

    private void Publish(CapturedTransaction captured, ChangeTransaction? transaction)
    {
        var encoded = transaction is null ? null : Encoder.Encode(transaction);
        lock (_lock)
        {
            if (encoded is not null) Log.Append(encoded);
            if (!captured.IsLastPart) return;
            _insideTransaction = false;
            _captured = captured.Position;
            if (transaction is not null)
            {
                _lastPublished = captured.Position;
                _publishedSinceHeartbeat = true;
                PublishedTransactions++;
            }

            var isLocal = captured.ForeignOrigin.IsNone;
            // A marker writes no row, and must not be taken for a transaction that has its stamp. Rows of the node's own origin have overrides.
            if (!isLocal && captured.ForeignOrigin != _progress.Self) Index.Add(captured.Xid, captured.Position, captured.Stamp, new RowVersion(captured.Stamp, captured.ForeignOrigin, captured.ForeignPosition), captured.Grouped);
            else if (transaction is not null) Index.Add(captured.Xid, captured.Position, captured.Stamp, transaction.Version, written: _sequence.Written);
        }

        _progress.Captured.Advance(captured.Position);
    }

    /// <summary>
    /// Tells the peers how far this node is, where nothing else has told them, and notes where a checkpoint could be. Called at every
    /// heartbeat interval; does nothing in the middle of a transaction.
    /// </summary>
    public void Heartbeat(bool force)
    {
        lock (_lock)
        {
            if (_insideTransaction || _stream is null) return;
            // After the last commit record seen: that transaction is behind a checkpoint taken here.
            var position = new NpgsqlLogSequenceNumber(Math.Max((ulong)_captured + 1, (ulong)Checkpoint.Position));
            // Not while a transaction is in quarantine: what it has not seen must stay in the index until it is applied.
            if (_sequence.Applied.Gaps.Count == 0 && (_snapshots.Count == 0 || _snapshots[^1].Position < position))
            {
                if (_snapshots.Count == MaxSnapshots) ThinOut();
                _snapshots.Add(new CaptureCheckpoint(position, _sequence.GreatestStamp, _sequence.Applied, _lastPublished));
            }

            if (!force && !_publishedSinceHeartbeat && ReferenceEquals(_heartbeatVector, _sequence.Applied)) return;
            _publishedSinceHeartbeat = false;
            _heartbeatVector = _sequence.Applied;
            Log.Append(Encoder.Encode(new ChangeTransaction
            {
                Origin = _progress.Self,
                Position = _captured,
                Stamp = _sequence.GreatestStamp,
                Dependencies = _sequence.Applied,
                Changes = [],
                IsHeartbeat = true,
            }));
        }
    }

    /// <summary>
    /// Saves the latest snapshot that every member is known to have passed, then lets the server recycle the log before it.
    /// Stability, not acknowledgement, is the measure: reading again from a stable checkpoint rebuilds the whole index.
    /// What was applied until then must be durable, too, which it is where capture has read it: after a crash a transaction would come again that may be unaware of what lies before the checkpoint.
    /// </summary>
    public async Task SaveCheckpointAsync(CancellationToken cancellationToken)
    {
        if (_reached is null && HasStableSnapshot())
        {
            // What is not visible yet stays in the index, which apply asks for it.
            var shown = Index.FirstOf(await _database.ReadUnfinishedAsync(cancellationToken));
            if (HeldBack() is { } held && held < shown && !Safeguards.IsOff(Safeguard.EvictBeforeCheckpoint)) shown = held;
            lock (_lock)
            {
                var stable = 0;
                while (stable < _snapshots.Count && _snapshots[stable].Position <= shown && IsStable(_snapshots[stable])) _reached = _snapshots[stable++];
                _snapshots.RemoveRange(0, stable);
            }

            _appliedWhenReached = _progress.Applied;
        }

        if (_reached is { } reached && _appliedWhenReached.All(a => AppliedUpTo(a.Key) >= a.Value))
        {
            _reached = null;
            if (reached.Position > Checkpoint.Position)
            {
                await _database.SaveCheckpointAsync(reached, cancellationToken);
                Checkpoint = reached;
                Index.CutBefore(reached.Position);
                _stream?.Confirm(reached.Position);
                return;
            }
        }

        if (_stream is { } stream && (ulong)stream.ReceivedPosition > (ulong)_captured + IdleMarkerBytes)
        {
            await _database.WriteMarkerAsync(CommitTimestamp.Unknown, cancellationToken);
        }
    }

    /// <summary>What is captured now; for <see cref="IsStable"/> later.</summary>
    public CaptureCheckpoint Snapshot()
    {
        lock (_lock) return new CaptureCheckpoint(_captured, _sequence.GreatestStamp, _sequence.Applied, _lastPublished);
    }

    private bool HasStableSnapshot()
    {
        lock (_lock) return _snapshots.Count > 0 && IsStable(_snapshots[0]);
    }

    /// <summary>While a peer is away nothing becomes stable: every second snapshot goes, and a later checkpoint is a little coarser.</summary>
    private void ThinOut()
    {
        var kept = 0;
        for (var i = 1; i < _snapshots.Count; i += 2) _snapshots[kept++] = _snapshots[i];
        _snapshots.RemoveRange(kept, _snapshots.Count - kept);
    }

    /// <summary>Whether every member is known, by its own stream, to have all of it. Local and foreign transactions alike: what lies before a checkpoint leaves the index, and then counts as seen by everyone.</summary>
    public bool IsStable(CaptureCheckpoint snapshot)
    {
        if (snapshot.LastPublished > _progress.StablePositionOf(_progress.Self)) return false;
        foreach (var (origin, position) in snapshot.Applied)
        {
            if (_progress.IsShared(origin) && position > _progress.StablePositionOf(origin)) return false;
        }

        return true;
    }

    [LoggerMessage(EventId = 2003, Level = LogLevel.Warning, Message = "AA2003: node '{Node}' has transactions of peer '{Peer}' up to {Applied}, not {Progress}: one that was aborted had moved its progress, which is set back")]
    private partial void LogProgressSetBack(NodeName node, NodeName peer, NpgsqlLogSequenceNumber progress, NpgsqlLogSequenceNumber applied);

    [LoggerMessage(EventId = 2001, Level = LogLevel.Information, Message = "AA2001: node '{Node}' captures changes from {Position} on")]
    private partial void LogCaptureStarted(NodeName node, NpgsqlLogSequenceNumber position);
}
