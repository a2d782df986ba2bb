using NpgsqlTypes;

namespace ActiveActive.Progress;

/// <summary>
/// Which origin position a row's <c>xmin</c> stands for: PostgreSQL keeps stamp and origin of a transaction, not its place in the
/// log, and coverage is decided by place (convergence R1). Filled by capture in log order, for local and foreign transactions;
/// rebuilt by reading again from the checkpoint, and cut there: what lies before a checkpoint is stable.
/// </summary>
internal sealed class TransactionIndex
{
    private readonly Lock _lock = new();
    private readonly Dictionary<uint, NpgsqlLogSequenceNumber> _positions = [];
    private readonly Queue<(NpgsqlLogSequenceNumber LocalPosition, uint Xid)> _order = new();

    public int Count
    {
        get
        {
            lock (_lock) return _positions.Count;
        }
    }

    /// <param name="xid">The local transaction id.</param>
    /// <param name="localPosition">Its commit record in the local log.</param>
    /// <param name="originPosition">Its place in its origin's log; the same for a local transaction.</param>
    public void Add(uint xid, NpgsqlLogSequenceNumber localPosition, NpgsqlLogSequenceNumber originPosition)
    {
        lock (_lock)
        {
            _positions[xid] = originPosition;
            _order.Enqueue((localPosition, xid));
        }
    }

    /// <summary>False where capture has not passed the transaction, or where it is stable.</summary>
    public bool TryGetPosition(uint xid, out NpgsqlLogSequenceNumber originPosition)
    {
        lock (_lock) return _positions.TryGetValue(xid, out originPosition);
    }

    /// <summary>Forgets what lies before a checkpoint.</summary>
    public void CutBefore(NpgsqlLogSequenceNumber localPosition)
    {
        lock (_lock)
        {
            while (_order.TryPeek(out var first) && first.LocalPosition < localPosition)
            {
                _order.Dequeue();
                _positions.Remove(first.Xid);
            }
        }
    }
}
