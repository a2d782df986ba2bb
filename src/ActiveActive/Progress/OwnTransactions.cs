using ActiveActive.Diagnostics;
using NpgsqlTypes;

namespace ActiveActive.Progress;

/// <summary>
/// The ids of the node's own transactions: what it has applied, and what it writes of its own tables. None of them deletes a row that capture has yet to enter a tombstone
/// for. Ids are given in order, so where every one from a known place up to the next to be given is the node's own, nobody else has written meanwhile, and capture need not be waited for.
/// </summary>
internal sealed class OwnTransactions
{
    // That many ids back they are remembered.
    private const int Kept = 8192;

    private readonly Lock _lock = new();
    private readonly HashSet<uint> _xids = [];
    private uint _known;
    private int _generation;

    // The latest marker that capture had passed when a session was opened: what it tells may be of a server that is no more.
    private NpgsqlLogSequenceNumber? _stale;
    private bool _isRenewed;

    /// <summary>To be taken before a transaction is sent whose id is to be noted.</summary>
    public int Generation
    {
        get
        {
            lock (_lock) return _generation;
        }
    }

    /// <summary>
    /// A new session was opened. The server may have crashed before, or another may have taken its place: then what had not become durable is gone, and its ids are given again. What was
    /// sent before is not noted any more.
    /// </summary>
    public void Renew()
    {
        lock (_lock)
        {
            _generation++;
            _xids.Clear();
            _known = 0;
            _isRenewed = true;
        }
    }

    /// <param name="xid">Of a transaction of the node.</param>
    /// <param name="generation">The <see cref="Generation"/> before it was sent.</param>
    public void Note(uint xid, int generation)
    {
        lock (_lock)
        {
            if (generation != _generation) return;
            _xids.Add(xid);
            // One that is forgotten costs a wait.
            if (_xids.Count > 2 * Kept) _xids.RemoveWhere(x => (int)(x - (xid - Kept)) < 0);
        }
    }

    /// <summary>
    /// Of every transaction with an earlier id (modulo 2^32) capture has entered the deletes by now, or it is one of the node's own; null where nothing is known. Taken BEFORE a look
    /// at the tombstones, which then shows those deletes.
    /// </summary>
    public uint? KnownBefore(TransactionIndex index)
    {
        var (position, horizon) = index.PassedMarker;
        if (horizon == 0) return null;
        lock (_lock)
        {
            if (_isRenewed) (_isRenewed, _stale) = (false, position);
            if (position == _stale) return null;
            if (_known == 0 || (int)(horizon - _known) > 0) _known = horizon;
            while (_xids.Contains(_known) || index.TryGetLocalPosition(_known, out _)) _known++;
            return _known;
        }
    }

    /// <summary>Whether all transactions from an id on are the node's own.</summary>
    /// <param name="first">The id; null for an unknown one.</param>
    /// <param name="next">One after all that are over.</param>
    public bool AreAllSince(uint? first, uint next)
    {
        if (first is not { } xid) return false;
        if (Safeguards.IsOff(Safeguard.NobodyElseWrote)) return true;
        lock (_lock)
        {
            for (; (int)(next - xid) > 0; xid++)
            {
                if (!_xids.Contains(xid)) return false;
            }
        }

        return true;
    }
}
