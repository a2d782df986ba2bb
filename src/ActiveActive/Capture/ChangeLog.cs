using System.Diagnostics.CodeAnalysis;
using ActiveActive.Transport;
using NpgsqlTypes;

namespace ActiveActive.Capture;

/// <summary>
/// The encoded transactions that capture has read, kept in memory for all peers alike up to a number of bytes. Capture never waits
/// for a peer: the oldest entries go, and a peer that needed them reads through its own copy of the slot. (If capture waited, two
/// nodes whose apply waits for their own capture could wait for each other for ever.)
/// </summary>
internal sealed class ChangeLog
{
    private readonly Lock _lock = new();
    private EncodedTransaction?[] _ring = new EncodedTransaction?[256];
    private int _head;
    private int _count;
    private readonly long _maxBytes;
    private TaskCompletionSource _appended = NewSignal();
    private long _firstSequence;
    private EncodedBlock _block = new();

    public ChangeLog(NpgsqlLogSequenceNumber start, long maxBytes)
    {
        FloorPosition = start;
        _maxBytes = maxBytes;
    }

    /// <summary>Every transaction at or after this position that capture has published is in the log.</summary>
    public NpgsqlLogSequenceNumber FloorPosition { get; private set; }

    public long Bytes { get; private set; }

    /// <summary>The position of the last transaction appended.</summary>
    public NpgsqlLogSequenceNumber LastPosition { get; private set; }

    public void Append(EncodedTransaction entry)
    {
        TaskCompletionSource signal;
        lock (_lock)
        {
            if (_count == _ring.Length) Grow();
            _ring[(_head + _count++) % _ring.Length] = entry;
            Bytes += entry.HeldBytes;
            if (!_block.TryAdd(entry)) (_block = new EncodedBlock()).TryAdd(entry);
            if (!entry.IsHeartbeat) LastPosition = entry.Position;
            while (Bytes > _maxBytes && _count > 1) DropFirst();
            signal = _appended;
            _appended = NewSignal();
        }

        signal.TrySetResult();
    }

    /// <summary>
    /// A cursor at the first entry after a position (at the start of a transaction); false where the log no longer reaches back so far.
    /// </summary>
    public bool TryOpenCursor(NpgsqlLogSequenceNumber after, out LogCursor cursor)
    {
        lock (_lock)
        {
            var sequence = _firstSequence;
            cursor = new LogCursor(sequence, after);
            if (!ReachesBackTo(after)) return false;
            for (var i = 0; i < _count; i++)
            {
                var entry = _ring[(_head + i) % _ring.Length]!;
                if (entry.Position > after && entry.Part == 0) break;
                sequence++;
            }

            cursor = new LogCursor(sequence, after);
            return true;
        }
    }

    /// <summary>Takes entries from a cursor on; false where they are gone (the reader was too slow).</summary>
    public bool TryRead(ref LogCursor cursor, int most, List<EncodedTransaction> entries, [NotNullWhen(true)] out Task? appended)
    {
        lock (_lock)
        {
            appended = _appended.Task;
            var (sequence, after) = cursor;
            if (sequence < _firstSequence)
            {
                // Only heartbeats may have gone, of which the next tells as much: a reader that waits loses nothing by that.
                if (!ReachesBackTo(after)) return false;
                sequence = _firstSequence;
            }

            for (var i = (int)(sequence - _firstSequence); i < _count && entries.Count < most; i++)
            {
                var entry = _ring[(_head + i) % _ring.Length]!;
                entries.Add(entry);
                sequence++;
                if (entry is { IsHeartbeat: false, IsLastPart: true }) after = entry.Position;
            }

            cursor = new LogCursor(sequence, after);
            return true;
        }
    }

    // Positions are byte addresses of commit records: nothing lies between a position and the next byte.
    private bool ReachesBackTo(NpgsqlLogSequenceNumber after) => (ulong)after + 1 >= (ulong)FloorPosition;

    private void DropFirst()
    {
        var first = _ring[_head]!;
        _ring[_head] = null;
        _head = (_head + 1) % _ring.Length;
        _count--;
        _firstSequence++;
        Bytes -= first.HeldBytes;
        if (!first.IsHeartbeat) FloorPosition = new((ulong)first.Position + 1);
    }

    private void Grow()
    {
        var larger = new EncodedTransaction?[_ring.Length * 2];
        for (var i = 0; i < _count; i++) larger[i] = _ring[(_head + i) % _ring.Length];
        _ring = larger;
        _head = 0;
    }

    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);
}

/// <summary>Where a reader of the <see cref="ChangeLog"/> stands.</summary>
/// <param name="Sequence">The number of the next entry.</param>
/// <param name="After">The last whole transaction that it has read.</param>
internal readonly record struct LogCursor(long Sequence, NpgsqlLogSequenceNumber After);
