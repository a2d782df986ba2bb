using ActiveActive.Apply;
using ActiveActive.Changes;
using ActiveActive.Database;
using ActiveActive.Diagnostics;

namespace ActiveActive.Testing.Database;

/// <summary>
/// A READ COMMITTED transaction of an <see cref="InMemoryDatabase"/>. Its writes are invisible to others until it commits; a row that another
/// open transaction wrote or locked makes it wait. Methods complete synchronously unless they wait. One caller at a time.
/// Arrays of values are copied on the way in and out.
/// </summary>
internal sealed partial class InMemoryTransaction : IDisposable
{
    private readonly InMemoryServer _server;
    private readonly InMemoryCommit _commit;
    private readonly bool _isLocal;
    private readonly List<Change> _changes = [];
    private Dictionary<(InMemoryNotes Notes, RowKey Key), InMemoryNote?>? _notes;
    private List<ConflictRecord>? _conflicts;
    private ReplicationException? _broken;
    private bool _isOver;
    private bool _isLogged;
    private bool _hasFailed;

    internal InMemoryTransaction(InMemoryServer server, InMemoryCommit commit, bool isLocal)
    {
        _server = server;
        _commit = commit;
        _isLocal = isLocal;
    }

    /// <summary>The id that rows written by it show as their xmin.</summary>
    public uint Xid => _commit.Xid;

    internal InMemoryCommit Record => _commit;

    /// <summary>Whether its commit record is in the log, and its rows are not shown yet.</summary>
    internal bool IsLogged => _isLogged && !_isOver;

    /// <summary>The locks it holds, in the order taken.</summary>
    internal List<InMemoryLock> Held { get; } = [];

    internal InMemoryLockWait? Waiting { get; set; }

    /// <summary>What the log will say of it; empty for an applied transaction.</summary>
    internal List<Change> Changes => _changes;

    /// <summary>What was received of an applied transaction, part by part.</summary>
    internal List<ChangeTransaction> Received { get; } = [];

    /// <summary>Where it applies several: whose the rows are.</summary>
    internal GroupedVersions? Grouped { get; set; }

    /// <summary>The row as this transaction sees it, without a lock; null where there is none.</summary>
    public ColumnValue[]? Read(LocalTable table, RowKey key)
    {
        lock (_server.Gate)
        {
            ThrowIfNotOpen();
            return (ColumnValue[]?)_server.TableOf(table).Find(key)?.SeenBy(this)?.Values.Clone();
        }
    }

    /// <summary>SELECT … FOR UPDATE: waits for the row's lock and returns what then stands there; a missing row is not locked.</summary>
    public async ValueTask<ColumnValue[]?> ReadForUpdateAsync(LocalTable table, RowKey key, CancellationToken cancellationToken = default)
    {
        var row = await LockExistingAsync(_server.TableOf(table), key, cancellationToken);
        return (ColumnValue[]?)row?.Values.Clone();
    }

    /// <summary>INSERT … ON CONFLICT DO NOTHING: false where the key, or a value of a unique key, is taken. An unchanged value becomes NULL, the column's default.</summary>
    public async ValueTask<bool> InsertAsync(LocalTable table, ColumnValue[] values, CancellationToken cancellationToken = default)
    {
        var target = _server.TableOf(table);
        var row = InMemoryRowImages.ForInsert(values);
        Check(target, row);
        var (cell, isNew) = await LockRowAsync(target, target.KeyOf(row), cancellationToken);
        await LockUniqueValuesAsync(target, null, row, cancellationToken);
        lock (_server.Gate)
        {
            ThrowIfNotOpen();
            if (cell.SeenBy(this) is not null || IsTaken(target, cell.Key, cell.Key, row))
            {
                if (isNew) Release(cell);
                return false;
            }

            cell.Write(new InMemoryRow(row, _commit));
            if (_isLocal) _changes.Add(Change.Insert(target.Relation, (ColumnValue[])row.Clone()));
        }

        await CheckParentsAsync(target, null, row, cancellationToken);
        return true;
    }

    /// <summary>
    /// UPDATE of the row under a key; unchanged values are columns that it does not set. False where there is no such row, or where its
    /// new key, or a value of a unique key, is taken.
    /// </summary>
    public async ValueTask<bool> UpdateAsync(LocalTable table, RowKey key, ColumnValue[] values, CancellationToken cancellationToken = default)
    {
        var target = _server.TableOf(table);
        if (await LockExistingAsync(target, key, cancellationToken) is not { } old) return false;
        var row = InMemoryRowImages.ForUpdate(old.Values, values);
        Check(target, row);
        var keyChanged = !InMemoryRowImages.HaveSameKey(target.Definition, old.Values, row);
        await LockUniqueValuesAsync(target, old.Values, row, cancellationToken);
        if (!keyChanged)
        {
            lock (_server.Gate)
            {
                ThrowIfNotOpen();
                if (IsTaken(target, key, key, row)) return false;
                target.CellOf(key).Write(new InMemoryRow(row, _commit));
                if (_isLocal) _changes.Add(InMemoryRowImages.Update(target, old.Values, values, row, keyChanged));
            }

            await CheckParentsAsync(target, old.Values, row, cancellationToken);
            return true;
        }

        var (cell, isNew) = await LockRowAsync(target, target.KeyOf(row), cancellationToken);
        lock (_server.Gate)
        {
            ThrowIfNotOpen();
            if (cell.SeenBy(this) is not null || IsTaken(target, key, cell.Key, row))
            {
                if (isNew) Release(cell);
                return false;
            }

            target.CellOf(key).Write(null);
            cell.Write(new InMemoryRow(row, _commit));
            CheckChildren(target, key);
            if (_isLocal) _changes.Add(InMemoryRowImages.Update(target, old.Values, values, row, keyChanged));
        }

        await CheckParentsAsync(target, old.Values, row, cancellationToken);
        return true;
    }

    /// <summary>DELETE of the row under a key; false where there is none.</summary>
    public async ValueTask<bool> DeleteAsync(LocalTable table, RowKey key, CancellationToken cancellationToken = default)
    {
        var target = _server.TableOf(table);
        if (await LockExistingAsync(target, key, cancellationToken) is not { } old) return false;
        await LockUniqueValuesAsync(target, old.Values, null, cancellationToken);
        lock (_server.Gate)
        {
            ThrowIfNotOpen();
            target.CellOf(key).Write(null);
            CheckChildren(target, key);
            if (_isLocal) _changes.Add(InMemoryRowImages.Delete(target, old.Values));
            return true;
        }
    }

    /// <summary>TRUNCATE: waits for every open transaction that has written or locked rows of the table, and keeps others out until the end.</summary>
    public async ValueTask TruncateAsync(LocalTable table, CancellationToken cancellationToken = default)
    {
        var target = _server.TableOf(table);
        await LockTableAsync(target, shared: false, cancellationToken);
        lock (_server.Gate)
        {
            ThrowIfNotOpen();
            CheckTruncate(target);
            foreach (var cell in target.Cells)
            {
                if (cell.SeenBy(this) is null) continue;
                cell.Acquire(this, shared: false);
                cell.Write(null);
            }

            if (_isLocal) _changes.Add(Change.Truncate(target.Relation));
        }
    }

    /// <summary>Commits a local transaction, durably. One that changed nothing leaves no trace and keeps an unknown stamp.</summary>
    public InMemoryCommit Commit()
    {
        lock (_server.Gate)
        {
            TakeStamp();
            Log();
            Show();
            return _commit;
        }
    }

    /// <summary>
    /// Commits as <see cref="Commit"/> does, in the steps that PostgreSQL takes: it reads the clock, writes the commit record, and shows the
    /// rows; others go on in between. Once the record is written, nothing takes the commit back.
    /// </summary>
    /// <param name="logged">Called when the record is written.</param>
    public async ValueTask CommitAsync(Action<InMemoryCommit> logged)
    {
        lock (_server.Gate) TakeStamp();
        if (_server.CommitInterrupt is { } interrupt) await interrupt();
        lock (_server.Gate)
        {
            Log();
            if (_isLogged) logged(_commit);
        }

        if (_server.CommitInterrupt is { } interruptAgain) await interruptAgain();
        lock (_server.Gate) Show();
    }

    private void TakeStamp()
    {
        ThrowIfNotOpen();
        if (_changes.Count > 0) _commit.Stamp = _server.Now();
    }

    private void Log()
    {
        ThrowIfNotOpen();
        if (_changes.Count == 0) return;
        _server.LogLocal(this);
        _isLogged = true;
    }

    private void Show()
    {
        if (_isOver) return;
        if (_isLogged) Install(undo: null);
        else End();
    }

    /// <summary>Rolls back; without effect on a transaction that is over, or whose commit is logged.</summary>
    public void Rollback()
    {
        lock (_server.Gate) Show();
    }

    public void Dispose() => Rollback();

    /// <summary>Marks it as failed: only a rollback is possible now, as after an error in PostgreSQL.</summary>
    internal void Fail() => _hasFailed = true;

    /// <summary>The connection is gone: everything that waits or comes later fails, writes that are not logged are forgotten.</summary>
    internal void Break(ReplicationException reason)
    {
        if (_isOver) return;
        _broken = reason;
        var wait = Waiting;
        Show();
        wait?.TrySetException(reason);
    }

    internal void ThrowIfNotOpen()
    {
        if (_broken is not null) throw new ReplicationException(ReplicationErrorKind.Transient, _broken.Message, _broken);
        if (_isOver) throw new InvalidOperationException($"Transaction {Xid} is over.");
        if (_hasFailed) throw new InvalidOperationException($"Transaction {Xid} has failed: it can only be rolled back.");
    }

    internal InMemoryNote? ReadNote(InMemoryNotes notes, RowKey key)
    {
        var committed = notes.Find(key);
        if (_notes is null || !_notes.TryGetValue((notes, key), out var written)) return committed;
        // A tombstone never gives way to an older one, whoever enters it meanwhile.
        return notes.Kind == InMemoryNoteKind.Tombstone && written is not null && committed is not null && committed.Version.IsNewerThan(written.Version) ? committed : written;
    }

    /// <summary>All notes of a kind as this transaction sees them.</summary>
    internal IEnumerable<(RowKey Key, InMemoryNote Note)> NotesOf(InMemoryNotes notes)
    {
        foreach (var (key, note) in notes.All)
        {
            if (_notes is null || !_notes.ContainsKey((notes, key))) yield return (key, note);
        }

        foreach (var ((kind, key), note) in _notes ?? [])
        {
            if (kind == notes && note is not null) yield return (key, note);
        }
    }

    internal void WriteNote(InMemoryNotes notes, RowKey key, InMemoryNote? note)
    {
        if (notes.Kind == InMemoryNoteKind.Tombstone && note is not null
            && ReadNote(notes, key) is { } present && !note.Version.IsNewerThan(present.Version)) return;
        (_notes ??= [])[(notes, key)] = note;
    }

    /// <summary>The row's true version, where an override of this very version of the row tells it.</summary>
    internal RowVersion? OverrideOf(InMemoryTable table, RowKey key, InMemoryRow? row) =>
        row is not null && ReadNote(table.Overrides, key) is { } note && note.Xid == row.WrittenBy.Xid ? note.Version : null;

    /// <summary>
    /// Drops the override and siblings that this transaction noted for a key before it writes the row again: its xid would fit the new
    /// state, too (convergence R3).
    /// </summary>
    internal void DropOwnNotes(InMemoryTable table, RowKey key)
    {
        if (!Safeguards.IsOff(Safeguard.DropOwnOverride)) DropOwnNote(table.Overrides, key);
        DropOwnNote(table.Siblings, key);
    }

    internal void AddConflict(ConflictRecord record) => (_conflicts ??= []).Add(record);

    /// <summary>Whether another row has a unique value; for an applier that is an error, as it is for everybody in PostgreSQL.</summary>
    private bool IsTaken(InMemoryTable table, RowKey before, RowKey after, ColumnValue[] row)
    {
        foreach (var key in table.UniqueKeys)
        {
            if ((key.IsDeferrable && !_isLocal) || key.ValueOf(table.Definition.Name, row) is not { } value) continue;
            foreach (var cell in table.Cells)
            {
                if (cell.Key == before || cell.Key == after || cell.SeenBy(this) is not { } other || key.ValueOf(table.Definition.Name, other.Values) != value) continue;
                if (_isLocal) return true;
                Fail();
                throw new UniqueKeyTakenException(table.Definition.Name, $"A row of {table.Definition.Name} has a value of unique key {key.Name} that another row has.");
            }
        }

        return false;
    }

    private void Check(InMemoryTable table, ColumnValue[] row)
    {
        if (table.Check(row) is not { } constraint) return;
        Fail();
        throw new ReplicationException(ReplicationErrorKind.ApplyRefused, $"A row of {table.Definition.Name} violates the check constraint {constraint}.");
    }

    private void DropOwnNote(InMemoryNotes notes, RowKey key)
    {
        if (_notes is not null && _notes.TryGetValue((notes, key), out var note) && note?.Xid == Xid) _notes[(notes, key)] = null;
    }

    /// <summary>Makes the writes visible and lets the locks go. Under the gate.</summary>
    internal void Install(InMemoryUndo? undo)
    {
        foreach (var held in Held)
        {
            if (held is not InMemoryCell { IsPending: true } cell) continue;
            undo?.Add(cell);
            cell.Install();
        }

        if (_notes is not null)
        {
            foreach (var ((notes, key), note) in _notes)
            {
                undo?.Add(notes, key);
                notes.Write(key, note);
            }
        }

        InstallQuarantine(undo);
        if (_conflicts is not null)
        {
            foreach (var conflict in _conflicts)
            {
                undo?.Add(conflict);
                _server.Conflicts.Add(conflict);
            }
        }

        End();
    }

    /// <summary>Ends it without (further) effect. Under the gate.</summary>
    internal void End()
    {
        _isOver = true;
        Waiting?.Lock.Abandon(Waiting);
        foreach (var held in Held)
        {
            if (held is InMemoryCell { IsPending: true } pending) pending.Forget();
            held.Release(this);
            if (held is InMemoryCell cell) cell.Table.Prune(cell);
            if (held is InMemoryUniqueValue place) place.Table.Prune(place);
        }

        Held.Clear();
        _server.Forget(this);
    }
}
