using ActiveActive.Changes;
using ActiveActive.Database;
using ActiveActive.Diagnostics;

namespace ActiveActive.Apply;

/// <content>
/// The fast way: nearly always the writer had seen every row that it writes. Then there is nothing to decide, and the writes themselves test whether it is so. Where
/// they find anything else, nothing is kept of them, and the transaction is applied by looking first.
/// </content>
internal sealed partial class ApplyWorker
{
    // More of them, and the test of each row would cost more than a look at it.
    private const int MostUnseen = 200;

    // Capture has to read as much before it can tell, and is given a limited time for that.
    private const int MostUnverified = 100_000;

    // How often the fast way is left out, at most, after it has failed several times in a row.
    private const int MostMisses = 4;

    private static readonly TimeSpan s_passAhead = TimeSpan.FromMilliseconds(100);

    private int _misses;
    private int _leftOut;
    // An earlier part left something that the writes do not test, or that they would stumble over: a TRUNCATE's tombstone.
    private bool _hasNotes;
    // Where parts of the transaction have inserted rows without a look: asked about once for all of them, so that not every part waits for capture.
    private readonly HashSet<LocalTable> _unverified = [];
    private int _unverifiedRows;

    /// <summary>True: written. False: not as expected; the transaction must be rolled back. Null: nothing was tried.</summary>
    private async ValueTask<bool?> TryWriteSeenAsync(ChangeTransaction part, PreparedPart prepared, CancellationToken cancellationToken)
    {
        if (_leftOut > 0)
        {
            _leftOut--;
            return null;
        }

        // The horizon first: all that lies before it is in the index by now.
        var horizon = _index.PassedMarker.Horizon;
        if (horizon == 0 || _hasNotes || _retried is not null || _node.InOrder.IsAt(_origin, part.Position) || _node.Looking.IsAt(_origin, part.Position)) return null;
        if (prepared.PlanSeen(_session) is not var (planned, grouped) || _index.FindFewUnseen(_origin, prepared.Members[0].Dependencies, MostUnseen) is not { } unseen) return null;
        if (grouped is not null) _session.Group(grouped);
        if (Safeguards.IsOff(Safeguard.UnseenStamps)) unseen = [];
        // Of a row that is deleted again nothing would be found at the end.
        var isInsertOnly = planned.Tombstones.Writes.Count == 0;
        if (!isInsertOnly && !await AreInsertsVerifiedAsync(part, cancellationToken)) return Missed();
        if (!await _session.TryWriteSeenAsync(planned.Writes, new SeenRows(_origin, horizon, unseen), cancellationToken)) return Missed();
        if (planned.Inserted.Count > 0 && !Safeguards.IsOff(Safeguard.VerifyInserts))
        {
            if (isInsertOnly && part is not { Part: 0, IsLastPart: true })
            {
                foreach (var change in planned.Writes.Writes)
                {
                    if (change is InsertRow) _unverified.Add(change.Table);
                }

                _unverifiedRows += planned.Inserted.Count;
                if (_unverifiedRows >= MostUnverified && !await AreInsertsVerifiedAsync(part, cancellationToken)) return Missed();
            }
            else
            {
                // As in VerifyInsertsAsync; there was no look before, so any tombstone sends it there.
                if (await HasTombstoneAsync(part, () => _session.FindTombstoneAsync(planned.Inserted, cancellationToken), cancellationToken)) return Missed();
            }
        }

        if (planned.Tombstones.Writes.Count > 0) await _session.ExecuteAsync(planned.Tombstones, cancellationToken);
        _misses = 0;
        return true;
    }

    /// <summary>Whether no row that earlier parts have inserted without a look had been deleted here. They have taken their places, so nobody can do that any more.</summary>
    private async ValueTask<bool> AreInsertsVerifiedAsync(ChangeTransaction part, CancellationToken cancellationToken)
    {
        if (_unverified.Count == 0) return true;
        foreach (var table in _unverified)
        {
            if (await HasTombstoneAsync(part, () => _session.FindTombstoneOfOwnRowAsync(table, part.Version, cancellationToken), cancellationToken)) return false;
        }

        _unverified.Clear();
        _unverifiedRows = 0;
        return true;
    }

    /// <summary>
    /// Whether a delete of a row that the transaction has inserted is known, once capture has entered all of them. Where nobody but the node itself has written anything
    /// meanwhile, it has done so.
    /// </summary>
    private async ValueTask<bool> HasTombstoneAsync(ChangeTransaction part, Func<ValueTask<TombstoneLook>> find, CancellationToken cancellationToken)
    {
        // BEFORE the look: a delete that is entered while it lasts may not show.
        var known = _node.Database.OwnTransactions.KnownBefore(_index);
        var look = await find();
        if (look.IsFound || _node.Database.OwnTransactions.AreAllSince(known, look.NextXid)) return look.IsFound;
        await WaitForCaptureAsync(part, cancellationToken);
        return (await find()).IsFound;
    }

    /// <summary>
    /// Once a large transaction is committed, capture reads all of it back, and who must wait for capture then waits for that. So what others have written until now is passed before, as far as
    /// that takes but a moment.
    /// </summary>
    private async ValueTask PassAheadAsync(ChangeTransaction part, CancellationToken cancellationToken)
    {
        var known = _node.Database.OwnTransactions.KnownBefore(_index);
        if (_node.Database.OwnTransactions.AreAllSince(known, (await _session.FindTombstoneAsync([], cancellationToken)).NextXid)) return;
        using var timeout = new CancellationTokenSource(s_passAhead, _timeProvider);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, timeout.Token);
        try
        {
            var marker = await _node.Database.WriteMarkerAsync(part.Stamp, either.Token);
            await _progress.Captured.WaitAsync(marker.Position, either.Token);
            _index.Pass(marker);
        }
        catch (Exception e) when (e is OperationCanceledException or ReplicationException && !cancellationToken.IsCancellationRequested)
        {
            // It is only waited for longer, later.
        }
    }

    private bool Missed()
    {
        _misses = Math.Min(_misses + 1, MostMisses);
        _leftOut = (1 << _misses) - 2;
        return false;
    }

    /// <summary>Takes back what the fast way has written, to look first.</summary>
    private async ValueTask LookFirstAsync(ChangeTransaction part, IReadOnlyList<ChangeTransaction> members, CancellationToken cancellationToken)
    {
        _node.Looking.Set(_origin, part.Position);
        if (part.Part > 0) throw new ReplicationException(ReplicationErrorKind.Transient, $"{part} writes rows that its writer had not seen; it is delivered again from its beginning.");
        _isOpen = false;
        if (await _session.RollbackAsync(CancellationToken.None)) _node.Keys.Settle(_origin, isCommitted: false);
        await ApplyPartAsync(part, new PreparedPart(members), cancellationToken);
    }
}
