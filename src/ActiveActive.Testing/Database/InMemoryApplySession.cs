using ActiveActive.Apply;
using ActiveActive.Changes;
using ActiveActive.Database;
using NpgsqlTypes;

namespace ActiveActive.Testing.Database;

/// <summary>Applies one origin's transactions; commits are asynchronous, as on PostgreSQL.</summary>
internal sealed class InMemoryApplySession : IApplySession
{
    private readonly InMemoryServer _server;
    private InMemoryTransaction? _transaction;
    private ReplicationException? _broken;

    internal InMemoryApplySession(InMemoryServer server, NodeName origin)
    {
        _server = server;
        Origin = origin;
        ServerTime = server.Now();
    }

    public NodeName Origin { get; }

    public NpgsqlLogSequenceNumber AppliedPosition
    {
        get
        {
            lock (_server.Gate) return _server.ProgressOf(Origin);
        }
    }

    public CommitTimestamp ServerTime { get; private set; }

    public ValueTask<CommitTimestamp> ReadServerTimeAsync(CancellationToken cancellationToken)
    {
        lock (_server.Gate)
        {
            ThrowIfBroken();
            ServerTime = _server.Now();
            return new(ServerTime);
        }
    }

    public ValueTask<LocalTable?> FindTableAsync(Relation relation, CancellationToken cancellationToken)
    {
        lock (_server.Gate)
        {
            ThrowIfBroken();
            return new(_server.FindTable(relation)?.Definition);
        }
    }

    public void ForgetTables()
    {
    }

    public ValueTask BeginAsync(CancellationToken cancellationToken)
    {
        lock (_server.Gate)
        {
            ThrowIfBroken();
            if (_transaction is not null) throw new InvalidOperationException($"The apply session of {Origin} is in a transaction already.");
            _transaction = _server.BeginForeign(Origin);
            ServerTime = _server.Now();
            return default;
        }
    }

    public async ValueTask<IReadOnlyList<KeyState>> ReadKeysAsync(IReadOnlyList<LocalKey> keys, CancellationToken cancellationToken)
    {
        var transaction = Current();
        var rows = new InMemoryRow?[keys.Count];
        for (var i = 0; i < rows.Length; i++)
        {
            rows[i] = await transaction.LockExistingAsync(_server.TableOf(keys[i].Table), keys[i].Key, cancellationToken);
        }

        lock (_server.Gate)
        {
            transaction.ThrowIfNotOpen();
            var states = new KeyState[rows.Length];
            for (var i = 0; i < states.Length; i++) states[i] = StateOf(transaction, _server.TableOf(keys[i].Table), keys[i].Key, rows[i]);
            return states;
        }
    }

    public async ValueTask ExecuteAsync(ApplyPlan plan, CancellationToken cancellationToken)
    {
        var transaction = Current();
        try
        {
            foreach (var write in plan.Writes) await WriteAsync(transaction, write, cancellationToken);
            lock (_server.Gate)
            {
                transaction.ThrowIfNotOpen();
                foreach (var conflict in plan.Conflicts)
                {
                    transaction.AddConflict(conflict with { Id = _server.Conflicts.NextId(), RecordedAt = _server.Now().ToDateTimeOffset() });
                }
            }
        }
        catch
        {
            transaction.Fail();
            throw;
        }
    }

    public ValueTask CommitAsync(NpgsqlLogSequenceNumber position, CommitTimestamp stamp, CancellationToken cancellationToken)
    {
        lock (_server.Gate)
        {
            var transaction = Current();
            transaction.ThrowIfNotOpen();
            _transaction = null;
            _server.CommitForeign(transaction, Origin, position, stamp);
            ServerTime = _server.Now();
            return default;
        }
    }

    public ValueTask RollbackAsync(CancellationToken cancellationToken)
    {
        lock (_server.Gate)
        {
            ThrowIfBroken();
            _transaction?.Rollback();
            _transaction = null;
            return default;
        }
    }

    public ValueTask<NpgsqlLogSequenceNumber> FlushAsync(CancellationToken cancellationToken)
    {
        lock (_server.Gate)
        {
            ThrowIfBroken();
            _server.Flush();
            return new(_server.ProgressOf(Origin));
        }
    }

    public ValueTask DisposeAsync()
    {
        lock (_server.Gate)
        {
            _transaction?.Rollback();
            _transaction = null;
            _broken ??= new ReplicationException(ReplicationErrorKind.Transient, $"The apply session of {Origin} was closed.");
            _server.Forget(this);
        }

        return ValueTask.CompletedTask;
    }

    internal void Break(ReplicationException reason) => _broken ??= reason;

    private InMemoryTransaction Current()
    {
        ThrowIfBroken();
        return _transaction ?? throw new InvalidOperationException($"The apply session of {Origin} is in no transaction.");
    }

    private void ThrowIfBroken()
    {
        if (_broken is not null) throw new ReplicationException(ReplicationErrorKind.Transient, _broken.Message, _broken);
    }

    private async ValueTask WriteAsync(InMemoryTransaction transaction, PlannedWrite write, CancellationToken cancellationToken)
    {
        switch (write)
        {
            case InsertRow insert:
                if (!await transaction.InsertAsync(insert.Table, insert.Values, cancellationToken)) throw Overtaken(write, "already holds a row under the key to insert");
                break;
            case UpdateRow update:
                if (!await transaction.UpdateAsync(update.Table, update.Key, update.Values, cancellationToken)) throw Overtaken(write, "does not hold the row to update");
                break;
            case DeleteRow delete:
                if (!await transaction.DeleteAsync(delete.Table, delete.Key, cancellationToken)) throw Overtaken(write, "does not hold the row to delete");
                break;
            case TruncateTable truncate:
                await TruncateAsync(transaction, truncate, cancellationToken);
                break;
            default:
                lock (_server.Gate) WriteNote(transaction, write);
                break;
        }
    }

    private void WriteNote(InMemoryTransaction transaction, PlannedWrite write)
    {
        transaction.ThrowIfNotOpen();
        var table = _server.TableOf(write.Table);
        switch (write)
        {
            case SetTombstone tombstone:
                transaction.WriteNote(table.Tombstones, tombstone.Key, new InMemoryNote(transaction.Xid, tombstone.Version, []));
                break;
            case SetOverride { Version: { } version } set:
                transaction.WriteNote(table.Overrides, set.Key, new InMemoryNote(transaction.Xid, version, []));
                break;
            case SetOverride drop:
                transaction.WriteNote(table.Overrides, drop.Key, null);
                break;
            case SetSiblings { Siblings.Count: > 0 } set:
                transaction.WriteNote(table.Siblings, set.Key, new InMemoryNote(transaction.Xid, default, [.. set.Siblings]));
                break;
            case SetSiblings drop:
                transaction.WriteNote(table.Siblings, drop.Key, null);
                break;
            default:
                throw new InvalidOperationException($"A write of kind {write.GetType().Name} is not known to the in-memory database.");
        }
    }

    /// <summary>The rows are looked at one by one, each under its lock, since a local writer may change one while another is waited for.</summary>
    private async ValueTask TruncateAsync(InMemoryTransaction transaction, TruncateTable truncate, CancellationToken cancellationToken)
    {
        var table = _server.TableOf(truncate.Table);
        var keys = new List<RowKey>();
        lock (_server.Gate)
        {
            foreach (var cell in table.Cells)
            {
                if (cell.SeenBy(transaction) is { } row && Falls(transaction, table, cell.Key, row, truncate.Version)) keys.Add(cell.Key);
            }
        }

        foreach (var key in keys)
        {
            if (await transaction.LockExistingAsync(table, key, cancellationToken) is not { } row) continue;
            if (Falls(transaction, table, key, row, truncate.Version)) await transaction.DeleteAsync(truncate.Table, key, cancellationToken);
        }

        lock (_server.Gate) transaction.WriteNote(table.Tombstones, table.WholeTable, new InMemoryNote(transaction.Xid, truncate.Version, []));
    }

    private bool Falls(InMemoryTransaction transaction, InMemoryTable table, RowKey key, InMemoryRow row, in RowVersion truncated)
    {
        if (OverrideOf(transaction, table, key, row) is { } known) return !known.IsNewerThan(truncated);
        if (ReferenceEquals(row.WrittenBy, transaction.Record)) return true;
        var (stamp, origin) = _server.StampOf(row.WrittenBy);

        // An origin's transactions arrive in its log's order, so a row of the same origin is older whatever the stamps say (R4).
        return origin == truncated.Origin || !new RowVersion(stamp, origin, default).IsNewerThan(truncated);
    }

    private static RowVersion? OverrideOf(InMemoryTransaction transaction, InMemoryTable table, RowKey key, InMemoryRow? row) =>
        row is not null && transaction.ReadNote(table.Overrides, key) is { } note && note.Xid == row.WrittenBy.Xid ? note.Version : null;

    private KeyState StateOf(InMemoryTransaction transaction, InMemoryTable table, RowKey key, InMemoryRow? row)
    {
        var tombstone = transaction.ReadNote(table.Tombstones, key)?.Version;
        if (transaction.ReadNote(table.Tombstones, table.WholeTable)?.Version is { } whole && (tombstone is not { } own || whole.IsNewerThan(own)))
        {
            tombstone = whole;
        }

        var siblings = transaction.ReadNote(table.Siblings, key) is { } note && (row is null || note.Xid == row.WrittenBy.Xid) ? note.Siblings : [];
        if (row is null) return tombstone is null && siblings.Count == 0 ? KeyState.Nothing : new KeyState(null, tombstone, null, siblings);
        var (stamp, origin) = _server.StampOf(row.WrittenBy);
        var local = new LocalRow((ColumnValue[])row.Values.Clone(), row.WrittenBy.Xid, stamp, origin, ReferenceEquals(row.WrittenBy, transaction.Record));
        return new KeyState(local, tombstone, OverrideOf(transaction, table, key, row), siblings);
    }

    // Someone changed the key after it was read; read again, it is decided anew.
    private static ReplicationException Overtaken(PlannedWrite write, string what) =>
        new(ReplicationErrorKind.Transient, $"Table {write.Table} {what}: another transaction got there first.");
}
