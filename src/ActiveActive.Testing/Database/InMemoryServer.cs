using ActiveActive.Apply;
using ActiveActive.Changes;
using ActiveActive.Database;
using ActiveActive.Progress;
using NpgsqlTypes;

namespace ActiveActive.Testing.Database;

/// <summary>
/// The server behind an <see cref="InMemoryDatabase"/>: what its sessions, streams and transactions share, and what a crash leaves of it.
/// Members are used under <see cref="Gate"/> only.
/// </summary>
internal sealed class InMemoryServer : IDisposable
{
    private const uint FirstXid = 700;

    private readonly InMemoryDatabaseOptions _options;
    private readonly Dictionary<TableName, InMemoryTable> _tables = [];
    private readonly Dictionary<LocalTable, InMemoryTable> _byDefinition = [];
    private readonly Dictionary<NodeName, (NpgsqlLogSequenceNumber Committed, NpgsqlLogSequenceNumber Recorded)> _progress = [];
    private readonly Dictionary<NodeName, InMemoryApplySession> _sessions = [];
    private readonly List<InMemoryChangeStream> _streams = [];
    private readonly List<InMemoryLease> _leases = [];
    private readonly List<InMemoryTransaction> _open = [];
    private ITimer? _logWriter;
    private bool _logWriterIsArmed;
    private uint _nextXid = FirstXid;
    private uint _oldestStampedXid;

    public InMemoryServer(InMemoryDatabaseOptions options)
    {
        _options = options;
        IEnumerable<InMemoryTableDefinition> orphans = options.Tables.Any(t => t.ForeignKeys.Count > 0) ? [InMemoryOrphans.Define()] : [];
        foreach (var definition in options.Tables.Concat(orphans))
        {
            var table = new InMemoryTable(definition);
            _tables.Add(definition.Table.Name, table);
            _byDefinition.Add(definition.Table, table);
        }
    }

    /// <summary>Guards everything in here; never held across an await. Continuations never run under it.</summary>
    public Lock Gate { get; } = new();

    public InMemoryLog Log { get; } = new();

    public InMemoryConflicts Conflicts { get; } = new();

    public InMemoryQuarantine Quarantine { get; } = new();

    public bool IsRunning { get; private set; } = true;

    public CaptureCheckpoint? Checkpoint { get; set; }

    public Dictionary<NodeName, Member> Members { get; } = [];

    public HashSet<NodeName> PausedPeers { get; } = [];

    /// <summary>See <see cref="InMemoryDatabase.HoldsCapture"/>.</summary>
    public bool HoldsCapture { get; private set; }

    public Func<ValueTask>? Interrupt => _options.Interrupt;

    public Func<ValueTask>? CommitInterrupt => _options.CommitInterrupt;

    public Action<RowKey>? OrphanLocked => _options.OrphanLocked;

    public Action<InMemoryTransaction>? OrphanTreated => _options.OrphanTreated;

    public IEnumerable<InMemoryTable> Tables => _tables.Values;

    public CommitTimestamp Now() => CommitTimestamp.From(_options.Clock.GetUtcNow());

    public void ThrowIfDown()
    {
        if (!IsRunning) throw new ReplicationException(ReplicationErrorKind.Transient, $"The database of node {_options.Node} is not running.");
    }

    public InMemoryTable TableOf(LocalTable table) => _byDefinition.GetValueOrDefault(table) ?? TableOf(table.Name);

    public InMemoryTable TableOf(TableName name) => _tables.GetValueOrDefault(name)
        ?? throw new ReplicationException(ReplicationErrorKind.ApplyRefused, $"Node {_options.Node} has no table {name}.");

    /// <summary>Where rows wait that are out of sight for their foreign keys; null where no table has one.</summary>
    public InMemoryTable? FindOrphanTable() => _tables.GetValueOrDefault(ReplicatedTables.Orphans);

    /// <summary>The row that a foreign key names; null where any of its columns is null (MATCH SIMPLE).</summary>
    public RowKey? ParentOf(ForeignKey key, ColumnValue[] row)
    {
        var (child, parent) = (TableOf(key.Table).Definition, TableOf(key.Referenced).Definition);
        var values = new string[parent.KeyOrdinals.Count];
        for (var i = 0; i < key.Columns.Count; i++)
        {
            if (row[child.OrdinalOf(key.Columns[i])].Text is not { } text) return null;
            for (var at = 0; at < values.Length; at++)
            {
                if (parent.Columns[parent.KeyOrdinals[at]].Name == key.ReferencedColumns[i]) values[at] = text;
            }
        }

        return new RowKey(key.Referenced, values);
    }

    public bool IsOrphan(ForeignKey key, ColumnValue[] row, Func<InMemoryCell?, InMemoryRow?> rowOf) =>
        ParentOf(key, row) is { } parent && rowOf(TableOf(key.Referenced).Find(parent)) is null;

    public InMemoryTable? FindTable(Relation relation) =>
        _tables.GetValueOrDefault(relation.Root) ?? _tables.GetValueOrDefault(relation.Name);

    /// <summary>The last position of an origin that was committed.</summary>
    public NpgsqlLogSequenceNumber ProgressOf(NodeName origin) => _progress.GetValueOrDefault(origin).Committed;

    /// <summary>What a new session finds as the origin's progress: an aborted commit may have moved it further.</summary>
    public NpgsqlLogSequenceNumber RecordedProgressOf(NodeName origin) => _progress.GetValueOrDefault(origin).Recorded;

    public void Record(NodeName origin, NpgsqlLogSequenceNumber position) => _progress[origin] = (ProgressOf(origin), position);

    public void RestoreProgress(NodeName origin, (NpgsqlLogSequenceNumber Committed, NpgsqlLogSequenceNumber Recorded) progress) => _progress[origin] = progress;

    /// <summary>What a row's xmin says of its writer; an unknown stamp, and this node, where the server has forgotten.</summary>
    public (CommitTimestamp Stamp, NodeName Origin) StampOf(InMemoryCommit commit) =>
        commit.Stamp.IsKnown && commit.Xid >= _oldestStampedXid ? (commit.Stamp, commit.Origin) : (CommitTimestamp.Unknown, _options.Node);

    public StoredRow? ReadCommitted(RowToFetch asked)
    {
        var table = TableOf(asked.Table);
        var key = asked.KeyIn(table.Definition);
        var tombstone = LaterTombstone(table, key);
        if (table.Find(key)?.Committed is not { } row)
        {
            // A hidden row is its key's current version all the same.
            if (new KeyState(null, tombstone, null, []) { Loser = table.Losers.Find(key)?.Loser }.Hidden is { } hidden)
                return new StoredRow(table.Definition, key, new LocalRow((ColumnValue[])hidden.Values.Clone(), 0, hidden.Version.Stamp, hidden.Version.Origin, IsOwnWrite: false), hidden.Version, tombstone);
            return tombstone is null ? null : new StoredRow(table.Definition, key, null, null, tombstone);
        }

        var (stamp, origin) = StampOf(row.WrittenBy);
        RowVersion? version = table.Overrides.Find(key) is { } note && note.Xid == row.WrittenBy.Xid ? note.Version : null;
        return new StoredRow(table.Definition, key, new LocalRow((ColumnValue[])row.Values.Clone(), row.WrittenBy.Xid, stamp, origin, IsOwnWrite: false), version, tombstone);
    }

    private static RowVersion? LaterTombstone(InMemoryTable table, RowKey key)
    {
        var own = table.Tombstones.Find(key)?.Version;
        return table.Tombstones.Find(table.WholeTable)?.Version is { } whole && (own is not { } deleted || whole.IsNewerThan(deleted)) ? whole : own;
    }

    public void ForgetCommitTimestamps() => _oldestStampedXid = _nextXid;

    public InMemoryTransaction BeginLocal() => !IsJoining ? Begin(_options.Node, isLocal: true)
        : throw new ReplicationException(ReplicationErrorKind.Transient, $"Node {_options.Node} joins the cluster: writes are refused until it has its copy of the data.");

    /// <summary>Between the beginning of a join and its end: local writers are kept out.</summary>
    public bool IsJoining { get; set; }

    /// <summary>From whom the node is to get its data in place of its own; null where it is not.</summary>
    public NodeName? ResyncFrom { get; set; }

    /// <summary>A transaction that fills tables before anybody reads the log.</summary>
    public InMemoryTransaction BeginCopy() => Begin(_options.Node, isLocal: false);

    /// <summary>Durable, and not in the log: that is read from a later place on.</summary>
    public void CommitCopy(InMemoryTransaction transaction)
    {
        transaction.ThrowIfNotOpen();
        transaction.Record.Stamp = Now();
        transaction.Install(undo: null);
    }

    /// <summary>Takes all rows and notes away.</summary>
    public void Empty()
    {
        foreach (var table in _tables.Values)
        {
            foreach (var cell in table.Cells.ToList())
            {
                cell.Committed = null;
                table.Prune(cell);
            }

            foreach (var notes in (InMemoryNotes[])[table.Tombstones, table.Overrides, table.Siblings, table.Losers]) notes.All.Clear();
        }

        foreach (var entry in Quarantine.All(null)) Quarantine.Remove(entry);
    }

    /// <summary>Whether the row that is about to be committed is in the log already.</summary>
    public bool IsLogged(InMemoryCell cell) => cell.IsPending && _open.Exists(t => t.IsLogged && cell.IsOwnedBy(t));

    /// <summary>The origin's transactions up to there are in what was copied.</summary>
    public void SetProgress(NodeName origin, NpgsqlLogSequenceNumber position) => _progress[origin] = (position, position);

    public InMemoryTransaction BeginForeign(NodeName origin) => Begin(origin, isLocal: false);

    /// <summary>Writes the commit record, durably. Its rows are shown later, by <see cref="InMemoryTransaction.Install"/>.</summary>
    public void LogLocal(InMemoryTransaction transaction)
    {
        Log.Append(new InMemoryLogEntry { Commit = transaction.Record, Changes = [.. transaction.Changes] });
        Flush();
    }

    /// <summary>Asynchronous: visible at once, durable and shown to readers of the log with the next flush.</summary>
    public void CommitForeign(InMemoryTransaction transaction, NodeName origin, NpgsqlLogSequenceNumber position, CommitTimestamp stamp)
    {
        var progress = _progress.GetValueOrDefault(origin);
        var undo = new InMemoryUndo(origin, progress);
        transaction.Record.Stamp = stamp.IsKnown ? stamp : Now();
        Log.Append(new InMemoryLogEntry
        {
            Commit = transaction.Record, ForeignOrigin = origin, ForeignPosition = position, Grouped = transaction.Grouped, IsQuarantined = transaction.Quarantines, Received = transaction.Received, Undo = undo,
        });
        transaction.Install(undo);
        _progress[origin] = (position > progress.Committed ? position : progress.Committed, position > progress.Recorded ? position : progress.Recorded);
        ArmLogWriter();
    }

    /// <summary>The transactions that are open, those included whose commit is logged and not shown yet.</summary>
    public IReadOnlyList<uint> Unfinished() => [.. _open.Select(t => t.Xid)];

    public (LogMarker Marker, uint Xid) WriteMarker(CommitTimestamp floor)
    {
        var horizon = _open.Count == 0 ? _nextXid : _open.Min(t => t.Xid);
        AfterAllEnded = _nextXid + 1;
        var commit = new InMemoryCommit(_nextXid++, _options.Node) { Stamp = Now() };
        Log.Append(new InMemoryLogEntry { Commit = commit, Floor = floor });
        Flush();
        return (new LogMarker(commit.Position, horizon), commit.Xid);
    }

    /// <summary>A transaction that writes no row, and to readers of the log makes these changes.</summary>
    public InMemoryCommit Publish(IReadOnlyList<Change> changes)
    {
        AfterAllEnded = _nextXid + 1;
        var commit = new InMemoryCommit(_nextXid++, _options.Node) { Stamp = Now() };
        Log.Append(new InMemoryLogEntry { Commit = commit, Changes = [.. changes] });
        Flush();
        return commit;
    }

    /// <summary>A synchronous commit on the library's own tables: everything before it becomes durable with it.</summary>
    public void CommitUnpublished()
    {
        Log.AppendUnpublished();
        Flush();
    }

    /// <summary>Makes all commits durable and shows them to the readers of the log.</summary>
    public void Flush()
    {
        var readUpTo = Log.DurableEnd;
        if (!Log.Flush() || HoldsCapture) return;
        foreach (var stream in _streams) stream.Wake(readUpTo);
    }

    public void HoldCapture(bool isHeld)
    {
        HoldsCapture = isHeld;
        if (isHeld) return;
        foreach (var stream in _streams) stream.Wake(default);
    }

    public void ConfirmLog(NpgsqlLogSequenceNumber position)
    {
        Log.Confirm(position);
        var floor = long.MaxValue;
        foreach (var stream in _streams) floor = Math.Min(floor, stream.Next);
        Log.Recycle(floor);
    }

    /// <summary>Adds the one session of its origin.</summary>
    /// <exception cref="ReplicationException">InUse: there is one, or the instance does not lead any more.</exception>
    public InMemoryApplySession OpenSession(NodeName origin, OwnTransactions own, InMemoryLease? lease)
    {
        if (lease?.Reason is { } reason) throw reason;
        if (_sessions.ContainsKey(origin))
        {
            throw new ReplicationException(ReplicationErrorKind.InUse, $"The replication origin of {origin} is held by another session of node {_options.Node}.");
        }

        var session = new InMemoryApplySession(this, origin, own);
        _sessions.Add(origin, session);
        return session;
    }

    /// <summary>Adds the one reader of the node's slot, or of a copy of it.</summary>
    /// <exception cref="ReplicationException">InUse: there is one. Misconfigured: the log does not reach back that far.</exception>
    public InMemoryChangeStream OpenStream(NpgsqlLogSequenceNumber start, SlotCopy? copy)
    {
        foreach (var open in _streams)
        {
            if (open.Copy != copy) continue;
            throw new ReplicationException(ReplicationErrorKind.InUse,
                $"The slot of node {_options.Node}{(copy is null ? "" : $" for {copy.Peer}")} is read by another session.");
        }

        if (start == default) start = Log.ConfirmedPosition;
        if (start < Log.ConfirmedPosition)
        {
            throw new ReplicationException(ReplicationErrorKind.Misconfigured,
                $"The slot of node {_options.Node} has been confirmed up to {Log.ConfirmedPosition}, and capture must start at {start}: "
                + "what lies between cannot be read any more. The node must join again.");
        }

        var stream = new InMemoryChangeStream(this, start, copy, _options.MaxChangesPerPart);
        _streams.Add(stream);
        return stream;
    }

    public void Forget(InMemoryTransaction transaction)
    {
        _open.Remove(transaction);
        if (transaction.Xid >= AfterAllEnded) AfterAllEnded = transaction.Xid + 1;
    }

    /// <summary>Every transaction that is over has an earlier id; one under way may have, too.</summary>
    public uint AfterAllEnded { get; private set; } = FirstXid;

    public void Forget(InMemoryChangeStream stream) => _streams.Remove(stream);

    public void Forget(InMemoryApplySession session)
    {
        if (_sessions.GetValueOrDefault(session.Origin) == session) _sessions.Remove(session.Origin);
    }

    /// <summary>Queues for the lead; the first leads at once.</summary>
    public InMemoryLease Queue(out bool isFirst)
    {
        var lease = new InMemoryLease(this);
        _leases.Add(lease);
        isFirst = _leases.Count == 1;
        if (isFirst) lease.Grant();
        return lease;
    }

    /// <summary>Leaves the queue, or gives the lead to the next.</summary>
    public void Release(InMemoryLease lease)
    {
        var led = _leases.IndexOf(lease) == 0;
        if (!_leases.Remove(lease) || !led || _leases.Count == 0) return;
        // What the last leader left open is ended, so that it can do nothing with it.
        EndSessions(new ReplicationException(ReplicationErrorKind.Transient, $"Another instance leads node {_options.Node}."));
        _leases[0].Grant();
    }

    /// <summary>Takes the lead from the instance that has it, as from one that says nothing. It is not told yet.</summary>
    public InMemoryLease? EndLead()
    {
        if (_leases.Count == 0) return null;
        var lease = _leases[0];
        lease.End(new ReplicationException(ReplicationErrorKind.InUse, $"This instance does not lead node {_options.Node} any more."));
        Release(lease);
        return lease;
    }

    /// <summary>Ends every session, stream and lead with a transient fault and rolls open transactions back.</summary>
    public void BreakConnections(string message)
    {
        var reason = BreakTransactions(message);
        EndSessions(reason);
        foreach (var lease in _leases)
        {
            lease.End(reason);
            lease.Tell();
        }

        _leases.Clear();
    }

    /// <summary>Ends all transactions with a transient fault, which is returned.</summary>
    public ReplicationException BreakTransactions(string message)
    {
        var reason = new ReplicationException(ReplicationErrorKind.Transient, $"{message} (node {_options.Node}).");
        while (_open.Count > 0) _open[^1].Break(reason);
        return reason;
    }

    private void EndSessions(ReplicationException reason)
    {
        foreach (var session in _sessions.Values) session.Break(reason);
        foreach (var stream in _streams) stream.Break(reason);
        _sessions.Clear();
        _streams.Clear();
    }

    public void Crash(bool stayDown)
    {
        BreakConnections("The database server crashed");
        Log.LoseUnflushed(this);
        IsRunning = !stayDown;
    }

    public void Start() => IsRunning = true;

    /// <summary>Stops the server; <see cref="Start"/> starts it again with all that was committed.</summary>
    public void Dispose()
    {
        BreakConnections("The database was closed");
        Flush();
        IsRunning = false;
        _logWriter?.Dispose();
        _logWriter = null;
        _logWriterIsArmed = false;
    }

    private InMemoryTransaction Begin(NodeName origin, bool isLocal)
    {
        var transaction = new InMemoryTransaction(this, new InMemoryCommit(_nextXid++, origin), isLocal);
        _open.Add(transaction);
        return transaction;
    }

    private void ArmLogWriter()
    {
        if (_logWriterIsArmed || _options.LogWriterDelay == Timeout.InfiniteTimeSpan) return;
        _logWriterIsArmed = true;
        if (_logWriter is null) _logWriter = _options.Clock.CreateTimer(WriteLog, null, _options.LogWriterDelay, Timeout.InfiniteTimeSpan);
        else _logWriter.Change(_options.LogWriterDelay, Timeout.InfiniteTimeSpan);
    }

    private void WriteLog(object? state)
    {
        lock (Gate)
        {
            _logWriterIsArmed = false;
            if (IsRunning) Flush();
        }
    }
}
