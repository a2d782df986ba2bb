using ActiveActive.Changes;
using ActiveActive.Progress;

namespace ActiveActive.Testing.Database;

/// <content>How a transaction takes locks and waits for them.</content>
internal sealed partial class InMemoryTransaction
{
    /// <summary>Locks the row under a key, waiting if need be, and returns it; null, and no lock, where there is none by then.</summary>
    internal async ValueTask<InMemoryRow?> LockExistingAsync(InMemoryTable table, RowKey key, CancellationToken cancellationToken)
    {
        if (_server.Interrupt is { } interrupt) await interrupt();
        await LockTableAsync(table, shared: true, cancellationToken);
        InMemoryLockWait? wait;
        InMemoryCell? cell;
        bool isNew;
        lock (_server.Gate)
        {
            ThrowIfNotOpen();
            cell = table.Find(key);
            if (cell?.SeenBy(this) is null) return null;
            isNew = !cell.IsOwnedBy(this);
            wait = Acquire(cell, shared: false);
            if (wait is null) return cell.SeenBy(this);
        }

        await WaitAsync(wait, cancellationToken);
        lock (_server.Gate)
        {
            ThrowIfNotOpen();
            var row = cell.SeenBy(this);
            if (row is null && isNew) Release(cell);
            return row;
        }
    }

    private async ValueTask<(InMemoryCell Cell, bool IsNew)> LockRowAsync(InMemoryTable table, RowKey key, CancellationToken cancellationToken)
    {
        if (_server.Interrupt is { } interrupt) await interrupt();
        await LockTableAsync(table, shared: true, cancellationToken);
        InMemoryLockWait? wait;
        InMemoryCell cell;
        bool isNew;
        lock (_server.Gate)
        {
            ThrowIfNotOpen();
            cell = table.CellOf(key);
            isNew = !cell.IsOwnedBy(this);
            wait = Acquire(cell, shared: false);
        }

        if (wait is not null) await WaitAsync(wait, cancellationToken);
        return (cell, isNew);
    }

    /// <summary>Takes the places of the values that a row takes and frees: another's that is under way is waited for.</summary>
    private async ValueTask LockUniqueValuesAsync(InMemoryTable table, ColumnValue[]? before, ColumnValue[]? after, CancellationToken cancellationToken)
    {
        foreach (var key in table.UniqueKeys)
        {
            if (key.IsDeferrable && !_isLocal) continue;
            var freed = before is null ? null : key.ValueOf(table.Definition.Name, before);
            var taken = after is null ? null : key.ValueOf(table.Definition.Name, after);
            if (freed == taken) continue;
            foreach (var value in new[] { freed, taken })
            {
                if (value is null) continue;
                InMemoryLockWait? wait;
                lock (_server.Gate) wait = Acquire(table.PlaceOf(key, value.Value), shared: false);
                if (wait is not null) await WaitAsync(wait, cancellationToken);
            }
        }
    }

    internal async ValueTask LockTableAsync(InMemoryTable table, bool shared, CancellationToken cancellationToken)
    {
        InMemoryLockWait? wait;
        lock (_server.Gate) wait = Acquire(table.Lock, shared);
        if (wait is not null) await WaitAsync(wait, cancellationToken);
    }

    private InMemoryLockWait? Acquire(InMemoryLock @lock, bool shared)
    {
        ThrowIfNotOpen();
        try
        {
            return @lock.Acquire(this, shared);
        }
        catch (ReplicationException)
        {
            Fail();
            throw;
        }
    }

    private async ValueTask WaitAsync(InMemoryLockWait wait, CancellationToken cancellationToken)
    {
        try
        {
            await wait.WaitAsync(cancellationToken);
        }
        catch (OperationCanceledException)
        {
            lock (_server.Gate)
            {
                wait.Lock.Abandon(wait);
                Fail();
            }

            throw;
        }
    }

    private void Release(InMemoryCell cell)
    {
        Held.RemoveAt(Held.LastIndexOf(cell));
        cell.Release(this);
        cell.Table.Prune(cell);
    }
}
