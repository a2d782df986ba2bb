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
    private readonly Dictionary<uint, (NpgsqlLogSequenceNumber Origin, NpgsqlLogSequenceNumber Local)> _byXid = [];

    // A row written under a savepoint shows the subtransaction's xid, which the log does not tell; its stamp is the transaction's.
    private readonly Dictionary<(NodeName Origin, CommitTimestamp Stamp), StampEntry> _byStamp = [];
    private readonly Queue<(NpgsqlLogSequenceNumber LocalPosition, uint Xid, NodeName Origin, CommitTimestamp Stamp)> _order = new();

    private LogMarker _marker;

    /// <summary>The latest marker that capture has passed.</summary>
    public LogMarker PassedMarker
    {
        get
        {
            lock (_lock) return _marker;
        }
    }

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
            _byXid[xid] = (version.Position, localPosition);
            _byStamp.TryGetValue((version.Origin, version.Stamp), out var earlier);
            _byStamp[(version.Origin, version.Stamp)] = new StampEntry(xid, version.Position, earlier);
            _order.Enqueue((localPosition, xid, version.Origin, version.Stamp));
        }
    }

    /// <summary>Notes that capture has passed a marker.</summary>
    public void Pass(in LogMarker marker)
    {
        lock (_lock)
        {
            if (marker.Position > _marker.Position) _marker = marker;
        }
    }

    /// <summary>The place of a transaction's commit record in the local log, where the index holds it by its id.</summary>
    public bool TryGetLocalPosition(uint xid, out NpgsqlLogSequenceNumber position)
    {
        lock (_lock)
        {
            var isHeld = _byXid.TryGetValue(xid, out var entry);
            position = entry.Local;
            return isHeld;
        }
    }

    /// <summary>The place in its origin's log of a transaction that capture has passed; false where it is stable.</summary>
    public bool TryGetPosition(uint xid, NodeName origin, CommitTimestamp stamp, out NpgsqlLogSequenceNumber originPosition)
    {
        lock (_lock)
        {
            if (_byXid.TryGetValue(xid, out var held))
            {
                originPosition = held.Origin;
                return true;
            }

            originPosition = default;
            // A subtransaction's xid comes after its transaction's. Where several share the stamp, the latest is the careful answer: at
            // worst a writer looks unaware of what it saw. Without the comparison, a stable row would take the place of a later transaction.
            for (var entry = _byStamp.GetValueOrDefault((origin, stamp)); entry is not null; entry = entry.Earlier)
            {
                if ((int)(xid - entry.Xid) > 0 && entry.Position > originPosition) originPosition = entry.Position;
            }

            return originPosition != default;
        }
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
                var rest = StampEntry.Without(_byStamp.GetValueOrDefault((first.Origin, first.Stamp)), first.Xid);
                if (rest is null) _byStamp.Remove((first.Origin, first.Stamp));
                else _byStamp[(first.Origin, first.Stamp)] = rest;
            }
        }
    }

    /// <summary>One of the transactions of an origin that have the same stamp; nearly always the only one.</summary>
    private sealed record StampEntry(uint Xid, NpgsqlLogSequenceNumber Position, StampEntry? Earlier)
    {
        public static StampEntry? Without(StampEntry? entry, uint xid) =>
            entry is null || entry.Xid == xid ? entry?.Earlier : entry with { Earlier = Without(entry.Earlier, xid) };
    }
}
