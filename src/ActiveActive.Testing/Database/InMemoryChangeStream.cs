using System.Runtime.CompilerServices;
using ActiveActive.Changes;
using ActiveActive.Database;
using ActiveActive.Progress;
using NpgsqlTypes;

namespace ActiveActive.Testing.Database;

/// <summary>Reads the durable part of the log, as a walsender shows it.</summary>
internal sealed class InMemoryChangeStream : IChangeStream
{
    private readonly InMemoryServer _server;
    private readonly int _maxChangesPerPart;
    private TaskCompletionSource? _wait;
    private ReplicationException? _broken;
    private NpgsqlLogSequenceNumber _received;
    private bool _isRead;

    internal InMemoryChangeStream(InMemoryServer server, NpgsqlLogSequenceNumber start, SlotCopy? copy, int maxChangesPerPart)
    {
        _server = server;
        _maxChangesPerPart = maxChangesPerPart;
        _received = start;
        Copy = copy;
        Next = server.Log.IndexOf(start);
    }

    /// <summary>What this copy of the slot was made for; null for the node's slot.</summary>
    public SlotCopy? Copy { get; }

    /// <summary>The log entry to read next.</summary>
    public long Next { get; private set; }

    public NpgsqlLogSequenceNumber ReceivedPosition
    {
        get
        {
            lock (_server.Gate) return Received();
        }
    }

    public async IAsyncEnumerable<CapturedTransaction> ReadAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        if (_isRead) throw new InvalidOperationException("A change stream is read once.");
        _isRead = true;
        while (true)
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (Take() is not { } entry)
            {
                await WaitAsync(cancellationToken);
                continue;
            }

            var changes = entry.Changes;
            var part = 0;
            foreach (var received in IsRelayed(entry) ? entry.Received : [])
            {
                yield return Part(entry, [], part++, isLast: false) with { Received = received };
                cancellationToken.ThrowIfCancellationRequested();
                ThrowIfBroken();
            }

            for (var offset = 0; changes.Length - offset > _maxChangesPerPart; offset += _maxChangesPerPart)
            {
                yield return Part(entry, new ArraySegment<Change>(changes, offset, _maxChangesPerPart), part++, isLast: false);
                cancellationToken.ThrowIfCancellationRequested();
                ThrowIfBroken();
            }

            Pass(entry);
            var rest = changes.Length == 0 ? 0 : part * _maxChangesPerPart;
            yield return Part(entry, rest == 0 ? changes : new ArraySegment<Change>(changes, rest, changes.Length - rest), part, isLast: true);
        }
    }

    public void Confirm(NpgsqlLogSequenceNumber position)
    {
        lock (_server.Gate)
        {
            // A copy of the slot holds the log for itself alone. What was not read is never skipped.
            if (_broken is not null || Copy is not null) return;
            var received = Received();
            _server.ConfirmLog(position < received ? position : received);
        }
    }

    public ValueTask DisposeAsync()
    {
        lock (_server.Gate)
        {
            Break(new ReplicationException(ReplicationErrorKind.Transient, "The change stream was closed."));
            _server.Forget(this);
        }

        return ValueTask.CompletedTask;
    }

    /// <summary>New entries became durable. What lay durable before them had all been read.</summary>
    internal void Wake(NpgsqlLogSequenceNumber readUpTo)
    {
        if (_wait is not { } wait) return;
        _wait = null;
        if (readUpTo > _received) _received = readUpTo;
        wait.TrySetResult();
    }

    internal void Break(ReplicationException reason)
    {
        _broken ??= reason;
        var wait = _wait;
        _wait = null;
        wait?.TrySetException(reason);
    }

    private bool IsRelayed(InMemoryLogEntry entry) => Copy is { Relayed: { IsNone: false } origin } && entry.ForeignOrigin == origin;

    private NpgsqlLogSequenceNumber Received() =>
        _wait is null || _server.HoldsCapture || _server.Log.DurableEnd < _received ? _received : _server.Log.DurableEnd;

    private bool HasNext => Next < _server.Log.DurableCount && !_server.HoldsCapture;

    private InMemoryLogEntry? Take()
    {
        lock (_server.Gate)
        {
            ThrowIfBroken();
            return HasNext ? _server.Log[Next] : null;
        }
    }

    private void Pass(InMemoryLogEntry entry)
    {
        lock (_server.Gate)
        {
            Next++;
            _received = entry.End;
        }
    }

    private async ValueTask WaitAsync(CancellationToken cancellationToken)
    {
        TaskCompletionSource wait;
        lock (_server.Gate)
        {
            ThrowIfBroken();
            if (HasNext) return;
            _wait = wait = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        }

        try
        {
            await wait.WaitAsync(cancellationToken);
        }
        catch (OperationCanceledException)
        {
            lock (_server.Gate) Wake(_server.Log.DurableEnd);
            throw;
        }
    }

    private void ThrowIfBroken()
    {
        if (_broken is not null) throw new ReplicationException(ReplicationErrorKind.Transient, _broken.Message, _broken);
    }

    private static CapturedTransaction Part(InMemoryLogEntry entry, IReadOnlyList<Change> changes, int part, bool isLast) => new()
    {
        Xid = entry.Commit.Xid,
        Position = entry.Commit.Position,
        Stamp = entry.Commit.Stamp,
        Floor = entry.Floor,
        ForeignOrigin = entry.ForeignOrigin,
        ForeignPosition = entry.ForeignPosition,
        Grouped = entry.Grouped,
        IsQuarantined = entry.IsQuarantined,
        Changes = changes,
        Part = part,
        IsLastPart = isLast,
    };
}
