using NpgsqlTypes;

namespace ActiveActive.Progress;

/// <summary>A position that only moves forward, and those who wait for it to reach a place.</summary>
internal sealed class PositionGate
{
    private readonly Lock _lock = new();
    private readonly PriorityQueue<TaskCompletionSource, NpgsqlLogSequenceNumber> _waiters = new();
    private NpgsqlLogSequenceNumber _current;

    public NpgsqlLogSequenceNumber Current
    {
        get
        {
            lock (_lock) return _current;
        }
    }

    /// <summary>Whether somebody waits.</summary>
    public bool IsAwaited
    {
        get
        {
            lock (_lock) return _waiters.UnorderedItems.Any(static w => !w.Element.Task.IsCompleted);
        }
    }

    public void Advance(NpgsqlLogSequenceNumber position)
    {
        List<TaskCompletionSource>? reached = null;
        lock (_lock)
        {
            if (position <= _current) return;
            _current = position;
            while (_waiters.TryPeek(out _, out var at) && at <= position) (reached ??= []).Add(_waiters.Dequeue());
        }

        if (reached is null) return;
        foreach (var waiter in reached) waiter.TrySetResult();
    }

    public Task WaitAsync(NpgsqlLogSequenceNumber position, CancellationToken cancellationToken)
    {
        lock (_lock)
        {
            if (_current >= position) return Task.CompletedTask;
            var waiter = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            _waiters.Enqueue(waiter, position);
            // A cancelled waiter stays in the queue until its position is reached; completing it again does nothing.
            return waiter.WaitAsync(cancellationToken);
        }
    }
}
