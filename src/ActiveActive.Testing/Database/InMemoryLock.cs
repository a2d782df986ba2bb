namespace ActiveActive.Testing.Database;

/// <summary>
/// A lock of one row (exclusive) or one table (shared by those who write rows, exclusive for TRUNCATE). Waiters queue; whoever is
/// compatible with the holders is let in, in queue order. A wait that would close a circle fails at once with the deadlock that PostgreSQL
/// would find after a second, so that a history repeats exactly. Used under the database's gate only.
/// </summary>
internal class InMemoryLock
{
    private InMemoryTransaction? _owner;
    private List<InMemoryTransaction>? _sharers;
    private List<InMemoryLockWait>? _queue;

    public bool IsFree => _owner is null && _queue is not { Count: > 0 } && _sharers is not { Count: > 0 };

    public bool IsOwnedBy(InMemoryTransaction transaction) => ReferenceEquals(_owner, transaction);

    /// <summary>Takes the lock, or returns what to wait for.</summary>
    /// <exception cref="ReplicationException">Transient: waiting would deadlock.</exception>
    public InMemoryLockWait? Acquire(InMemoryTransaction transaction, bool shared)
    {
        if (TryGrant(transaction, shared)) return null;
        if (Blocks(transaction, shared, transaction))
        {
            throw new ReplicationException(ReplicationErrorKind.Transient,
                $"Transaction {transaction.Xid} waits for a lock in a circle: deadlock detected. Roll it back and try again.");
        }

        var wait = new InMemoryLockWait(this, transaction, shared);
        (_queue ??= []).Add(wait);
        transaction.Waiting = wait;
        return wait;
    }

    public void Release(InMemoryTransaction transaction)
    {
        if (ReferenceEquals(_owner, transaction)) _owner = null;
        _sharers?.Remove(transaction);
        LetIn();
    }

    public void Abandon(InMemoryLockWait wait)
    {
        if (_queue is null || !_queue.Remove(wait)) return;
        wait.Transaction.Waiting = null;
        LetIn();
    }

    private void LetIn()
    {
        for (var i = 0; _queue is not null && i < _queue.Count;)
        {
            var wait = _queue[i];
            if (!TryGrant(wait.Transaction, wait.Shared))
            {
                i++;
                continue;
            }

            _queue.RemoveAt(i);
            wait.Transaction.Waiting = null;
            wait.TrySetResult();
        }
    }

    private bool TryGrant(InMemoryTransaction transaction, bool shared)
    {
        if (ReferenceEquals(_owner, transaction)) return true;
        if (_owner is not null) return false;
        if (shared)
        {
            _sharers ??= [];
            if (_sharers.Contains(transaction)) return true;
            _sharers.Add(transaction);
        }
        else
        {
            if (_sharers is { Count: > 1 } || (_sharers is { Count: 1 } && !ReferenceEquals(_sharers[0], transaction))) return false;
            _owner = transaction;
        }

        transaction.Held.Add(this);
        return true;
    }

    /// <summary>Whether <paramref name="requester"/>'s wait here would, through the waits of those in its way, be a wait for <paramref name="target"/>.</summary>
    private bool Blocks(InMemoryTransaction requester, bool shared, InMemoryTransaction target)
    {
        if (LeadsTo(_owner, requester, target)) return true;
        if (shared || _sharers is null) return false;
        foreach (var sharer in _sharers)
        {
            if (LeadsTo(sharer, requester, target)) return true;
        }

        return false;
    }

    private static bool LeadsTo(InMemoryTransaction? holder, InMemoryTransaction requester, InMemoryTransaction target)
    {
        if (holder is null || ReferenceEquals(holder, requester)) return false;
        if (ReferenceEquals(holder, target)) return true;
        return holder.Waiting is { } wait && wait.Lock.Blocks(holder, wait.Shared, target);
    }
}

/// <summary>One transaction's wait for one lock. Continuations never run inside the one that releases it.</summary>
internal sealed class InMemoryLockWait(InMemoryLock @lock, InMemoryTransaction transaction, bool shared)
    : TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)
{
    public InMemoryLock Lock { get; } = @lock;

    public InMemoryTransaction Transaction { get; } = transaction;

    public bool Shared { get; } = shared;
}
