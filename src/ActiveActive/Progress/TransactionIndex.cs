using NpgsqlTypes;

namespace ActiveActive.Progress;

/// <summary>
/// Which origin position a visible row stands for: PostgreSQL keeps stamp and origin of a transaction, not its place in the log,
/// and coverage is decided by place (convergence R1). Filled by capture in log order, for local and foreign transactions; rebuilt by
/// reading again from the checkpoint, and cut there: what lies before a checkpoint is stable.
/// </summary>
internal sealed class TransactionIndex
{
    private readonly Lock _lock = new();
    private readonly Dictionary<uint, NpgsqlLogSequenceNumber> _byXid = [];

    // A row written under a savepoint shows the subtransaction's xid, which the log does not tell; its stamp is the transaction's.
    private readonly Dictionary<(NodeName Origin, CommitTimestamp Stamp), NpgsqlLogSequenceNumber> _byStamp = [];
    private readonly Queue<(NpgsqlLogSequenceNumber LocalPosition, uint Xid, NodeName Origin, CommitTimestamp Stamp)> _order = new();

    public int Count
    {
        get
        {
            lock (_lock) return _order.Count;
        }
    }

    /// <param name="xid">The local transaction id.</param>
    /// <param name="localPosition">Its commit record in the local log.</param>
    /// <param name="version">Its origin, stamp and place in its origin's log.</param>
    public void Add(uint xid, NpgsqlLogSequenceNumber localPosition, in RowVersion version)
    {
        lock (_lock)
        {
            _byXid[xid] = version.Position;
            _byStamp[(version.Origin, version.Stamp)] = version.Position;
            _order.Enqueue((localPosition, xid, version.Origin, version.Stamp));
        }
    }

    /// <summary>False where capture has not passed the transaction, or where it is stable.</summary>
    public bool TryGetPosition(uint xid, NodeName origin, CommitTimestamp stamp, out NpgsqlLogSequenceNumber originPosition)
    {
        lock (_lock) return _byXid.TryGetValue(xid, out originPosition) || _byStamp.TryGetValue((origin, stamp), out originPosition);
    }

    /// <summary>Forgets what lies before a checkpoint.</summary>
    public void CutBefore(NpgsqlLogSequenceNumber localPosition)
    {
        lock (_lock)
        {
            while (_order.TryPeek(out var first) && first.LocalPosition < localPosition)
            {
                _order.Dequeue();
                _byXid.Remove(first.Xid);
                _byStamp.Remove((first.Origin, first.Stamp));
            }
        }
    }
}
