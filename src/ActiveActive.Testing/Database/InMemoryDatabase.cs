using ActiveActive.Changes;
using ActiveActive.Database;
using NpgsqlTypes;

namespace ActiveActive.Testing.Database;

/// <summary>
/// The database seam in memory: tables, row locks, a log with positions and commit timestamps, replication origins, and what a crash
/// leaves of them. It behaves as PostgreSQL does in all that the seam promises and repeats exactly: no clock but the given one, no
/// randomness, no threads of its own. Any thread may call it.
/// </summary>
internal sealed class InMemoryDatabase : ILocalDatabase
{
    private const uint FirstXid = 700;

    private readonly InMemoryDatabaseOptions _options;
    private readonly Dictionary<TableName, InMemoryTable> _tables = [];
    private readonly Dictionary<LocalTable, InMemoryTable> _byDefinition = [];
    private readonly Dictionary<NodeName, NpgsqlLogSequenceNumber> _progress = [];
    private readonly Dictionary<NodeName, InMemoryApplySession> _sessions = [];
    private readonly List<InMemoryChangeStream> _streams = [];
    private readonly List<InMemoryTransaction> _open = [];
    private CaptureCheckpoint? _checkpoint;
    private ITimer? _logWriter;
    private bool _logWriterIsArmed;
    private uint _nextXid = FirstXid;
    private uint _oldestStampedXid;

    public InMemoryDatabase(InMemoryDatabaseOptions options)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(options.MaxChangesPerPart, 1);
        _options = options;
        foreach (var definition in options.Tables)
        {
            var table = new InMemoryTable(definition);
            _tables.Add(definition.Table.Name, table);
            _byDefinition.Add(definition.Table, table);
        }
    }

    /// <summary>Whether the server runs. While it is false nothing can be opened or written; set by <see cref="Crash"/> and <see cref="Start"/>.</summary>
    public bool IsRunning { get; private set; } = true;

    /// <summary>Guards everything in here; never held across an await.</summary>
    internal Lock Gate { get; } = new();

    internal InMemoryLog Log { get; } = new();

    internal InMemoryConflicts Conflicts { get; } = new();

    public ValueTask<DatabaseIdentity> SetUpAsync(CancellationToken cancellationToken)
    {
        lock (Gate)
        {
            ThrowIfDown();

            // The slot is made once; what was committed before it is not captured.
            _checkpoint ??= new CaptureCheckpoint(Log.End, CommitTimestamp.Unknown, DependencyVector.Empty);
            FlushLog();
            return new(new DatabaseIdentity(_options.SystemIdentifier, 1, 1, _options.Incarnation, 0));
        }
    }

    public ValueTask<CaptureCheckpoint> ReadCheckpointAsync(CancellationToken cancellationToken)
    {
        lock (Gate)
        {
            ThrowIfDown();
            return new(_checkpoint ?? throw NotSetUp());
        }
    }

    public ValueTask SaveCheckpointAsync(CaptureCheckpoint checkpoint, CancellationToken cancellationToken)
    {
        lock (Gate)
        {
            ThrowIfDown();
            if (_checkpoint is null) throw NotSetUp();
            CommitUnpublished();
            _checkpoint = checkpoint;
            return default;
        }
    }

    public ValueTask<IChangeStream> OpenChangeStreamAsync(NpgsqlLogSequenceNumber start, NodeName? catchUpFor, CancellationToken cancellationToken)
    {
        lock (Gate)
        {
            ThrowIfDown();
            if (_checkpoint is null) throw NotSetUp();
            foreach (var open in _streams)
            {
                if (open.CatchUpFor != catchUpFor) continue;
                throw new ReplicationException(ReplicationErrorKind.InUse,
                    $"The slot of node {_options.Node}{(catchUpFor is { } peer ? $" for {peer}" : "")} is read by another session.");
            }

            // PostgreSQL would silently start at the confirmed position and skip what lies between.
            if (start < Log.ConfirmedPosition)
            {
                throw new ReplicationException(ReplicationErrorKind.Misconfigured,
                    $"Node {_options.Node} asks for its log from {start}, which was confirmed up to {Log.ConfirmedPosition} and is recycled.");
            }

            var stream = new InMemoryChangeStream(this, start, catchUpFor, _options.MaxChangesPerPart);
            _streams.Add(stream);
            return new(stream);
        }
    }

    public ValueTask SaveTombstonesAsync(IReadOnlyList<Tombstone> tombstones, CancellationToken cancellationToken)
    {
        lock (Gate)
        {
            ThrowIfDown();
            CommitUnpublished();
            foreach (var tombstone in tombstones)
            {
                var table = TableOf(tombstone.Table);
                var key = tombstone.Key.Length == 0 ? table.WholeTable : new RowKey(tombstone.Table, KeyText.Read(tombstone.Key));
                table.Tombstones.Write(key, new InMemoryNote(0, tombstone.Version, []));
            }

            return default;
        }
    }

    public ValueTask<NpgsqlLogSequenceNumber> WriteMarkerAsync(CancellationToken cancellationToken)
    {
        lock (Gate)
        {
            ThrowIfDown();
            var commit = new InMemoryCommit(_nextXid++, _options.Node) { Stamp = Now() };
            Log.Append(new InMemoryLogEntry { Commit = commit });
            FlushLog();
            return new(commit.Position);
        }
    }

    public ValueTask<IApplySession> OpenApplySessionAsync(NodeName origin, CancellationToken cancellationToken)
    {
        lock (Gate)
        {
            ThrowIfDown();
            if (_sessions.ContainsKey(origin))
            {
                throw new ReplicationException(ReplicationErrorKind.InUse, $"The replication origin of {origin} is held by another session of node {_options.Node}.");
            }

            var session = new InMemoryApplySession(this, origin);
            _sessions.Add(origin, session);
            return new(session);
        }
    }

    public ValueTask CollectAsync(DependencyVector stable, CancellationToken cancellationToken)
    {
        lock (Gate)
        {
            ThrowIfDown();
            CommitUnpublished();
            foreach (var table in _tables.Values) InMemoryCollection.Collect(table, stable);
            return default;
        }
    }

    public async IAsyncEnumerable<ConflictRecord> ReadConflictsAsync(
        ConflictQuery query, [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellationToken)
    {
        List<ConflictRecord> found;
        lock (Gate)
        {
            ThrowIfDown();
            found = Conflicts.Find(query);
        }

        foreach (var record in found)
        {
            cancellationToken.ThrowIfCancellationRequested();
            yield return record;
        }

        await ValueTask.CompletedTask;
    }

    public ValueTask<long> DeleteConflictsAsync(DateTimeOffset before, CancellationToken cancellationToken)
    {
        lock (Gate)
        {
            ThrowIfDown();
            CommitUnpublished();
            return new(Conflicts.RemoveBefore(before));
        }
    }

    public ValueTask DisposeAsync()
    {
        lock (Gate)
        {
            BreakConnections($"The database of node {_options.Node} was closed.");
            IsRunning = false;
            _logWriter?.Dispose();
            return default;
        }
    }

    /// <summary>Begins a transaction of the application.</summary>
    public InMemoryTransaction BeginLocal()
    {
        lock (Gate)
        {
            ThrowIfDown();
            return Begin(_options.Node, isLocal: true);
        }
    }

    /// <summary>The definition of a table, by <c>schema.table</c>.</summary>
    public LocalTable Table(string name) => TableOf(TableName.Parse(name)).Definition;

    /// <summary>The committed rows of a table, in no particular but repeatable order.</summary>
    public IReadOnlyList<ColumnValue[]> ReadRows(LocalTable table)
    {
        lock (Gate)
        {
            var rows = new List<ColumnValue[]>();
            foreach (var cell in TableOf(table).Cells)
            {
                if (cell.Committed is { } row) rows.Add((ColumnValue[])row.Values.Clone());
            }

            return rows;
        }
    }

    /// <summary>Kills the server: sessions and streams break, open transactions are gone, and so are commits that were not flushed.</summary>
    /// <param name="stayDown">Whether it only comes back with <see cref="Start"/>; else it is back at once.</param>
    public void Crash(bool stayDown = false)
    {
        lock (Gate)
        {
            BreakConnections($"The database of node {_options.Node} crashed.");
            Log.LoseUnflushed(this);
            IsRunning = !stayDown;
        }
    }

    /// <summary>Starts the server again after a <see cref="Crash"/>.</summary>
    public void Start()
    {
        lock (Gate) IsRunning = true;
    }

    /// <summary>Breaks every connection; the server runs on and has committed what it had committed.</summary>
    public void BreakConnections()
    {
        lock (Gate) BreakConnections($"A connection to the database of node {_options.Node} was lost.");
    }

    /// <summary>Forgets the stamps of all transactions so far, as PostgreSQL does when old transaction ids are frozen.</summary>
    public void ForgetCommitTimestamps()
    {
        lock (Gate) _oldestStampedXid = _nextXid;
    }

    internal CommitTimestamp Now() => CommitTimestamp.From(_options.Clock.GetUtcNow());

    internal NpgsqlLogSequenceNumber ProgressOf(NodeName origin) => _progress.GetValueOrDefault(origin);

    internal void RestoreProgress(NodeName origin, NpgsqlLogSequenceNumber position) => _progress[origin] = position;

    internal (CommitTimestamp Stamp, NodeName Origin) StampOf(InMemoryCommit commit) =>
        commit.Stamp.IsKnown && commit.Xid >= _oldestStampedXid ? (commit.Stamp, commit.Origin) : (CommitTimestamp.Unknown, _options.Node);

    internal InMemoryTable? FindTable(Relation relation) =>
        _tables.GetValueOrDefault(relation.Root) ?? _tables.GetValueOrDefault(relation.Name);

    internal InMemoryTable TableOf(LocalTable table) => _byDefinition.GetValueOrDefault(table) ?? TableOf(table.Name);

    internal InMemoryTransaction BeginForeign(NodeName origin) => Begin(origin, isLocal: false);

    internal void CommitLocal(InMemoryTransaction transaction)
    {
        if (transaction.Changes.Count == 0)
        {
            transaction.End();
            return;
        }

        transaction.Record.Stamp = Now();
        Log.Append(new InMemoryLogEntry { Commit = transaction.Record, Changes = [.. transaction.Changes] });
        transaction.Install(undo: null);
        FlushLog();
    }

    internal void CommitForeign(InMemoryTransaction transaction, NodeName origin, NpgsqlLogSequenceNumber position, CommitTimestamp stamp)
    {
        var progress = ProgressOf(origin);
        var undo = new InMemoryUndo(origin, progress);
        transaction.Record.Stamp = stamp;
        Log.Append(new InMemoryLogEntry { Commit = transaction.Record, ForeignOrigin = origin, ForeignPosition = position, Undo = undo });
        transaction.Install(undo);
        if (position > progress) _progress[origin] = position;
        ArmLogWriter();
    }

    /// <summary>Makes all commits durable and shows them to the readers of the log.</summary>
    internal void FlushLog()
    {
        var readUpTo = Log.DurableEnd;
        if (!Log.Flush()) return;
        foreach (var stream in _streams) stream.Wake(readUpTo);
    }

    internal void ConfirmLog(NpgsqlLogSequenceNumber position)
    {
        Log.Confirm(position);
        var floor = long.MaxValue;
        foreach (var stream in _streams) floor = Math.Min(floor, stream.Next);
        Log.Recycle(floor);
    }

    internal void Forget(InMemoryTransaction transaction) => _open.Remove(transaction);

    internal void Forget(InMemoryChangeStream stream) => _streams.Remove(stream);

    internal void Forget(InMemoryApplySession session)
    {
        if (_sessions.GetValueOrDefault(session.Origin) == session) _sessions.Remove(session.Origin);
    }

    private InMemoryTransaction Begin(NodeName origin, bool isLocal)
    {
        var transaction = new InMemoryTransaction(this, new InMemoryCommit(_nextXid++, origin), isLocal);
        _open.Add(transaction);
        return transaction;
    }

    private InMemoryTable TableOf(TableName name) => _tables.GetValueOrDefault(name)
        ?? throw new ReplicationException(ReplicationErrorKind.ApplyRefused, $"Node {_options.Node} has no table {name}.");

    /// <summary>A synchronous commit of the library's own: everything before it becomes durable with it.</summary>
    private void CommitUnpublished()
    {
        Log.AppendUnpublished();
        FlushLog();
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
            if (IsRunning) FlushLog();
        }
    }

    private void BreakConnections(string message)
    {
        var reason = new ReplicationException(ReplicationErrorKind.Transient, message);

        // All locks are let go before anyone who waits for one could be let in.
        while (_open.Count > 0) _open[^1].Break(reason);
        foreach (var session in _sessions.Values) session.Break(reason);
        foreach (var stream in _streams) stream.Break(reason);
        _sessions.Clear();
        _streams.Clear();
    }

    private void ThrowIfDown()
    {
        if (!IsRunning) throw new ReplicationException(ReplicationErrorKind.Transient, $"The database of node {_options.Node} is not running.");
    }

    private ReplicationException NotSetUp() => new(ReplicationErrorKind.Misconfigured, $"The database of node {_options.Node} was not set up.");
}
