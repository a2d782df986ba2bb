using ActiveActive.Changes;
using ActiveActive.Database;
using ActiveActive.Transport;

namespace ActiveActive.Apply;

/// <content>
/// How a transaction is put aside instead of being applied, and taken back. It moves its origin's progress either way: put aside, it is a
/// gap in this node's vector, and its second commit closes the gap.
/// </content>
internal sealed partial class ApplyWorker
{
    private const int MaxRetries = 20;

    private WrittenKeys _putAside = new();
    private QuarantinedTransaction? _retried;

    /// <summary>Takes the next part of a transaction that is refused. Returns its entry where it committed the transaction's quarantine.</summary>
    /// <param name="part">The part.</param>
    /// <param name="refusal">Why it is not applied.</param>
    /// <param name="cancellationToken">Ends waiting.</param>
    public async ValueTask<QuarantinedTransaction?> QuarantineAsync(ChangeTransaction part, Refusal refusal, CancellationToken cancellationToken)
    {
        if (part.Position <= _session.AppliedPosition) return null;
        try
        {
            if (part.Part == 0) await BeginQuarantineAsync(part, cancellationToken);
            else if (!_isOpen) throw new ReplicationException(ReplicationErrorKind.Transient, $"{part} arrived after its beginning was rolled back.");
            _changes += part.Changes.Count;
            _putAside.Add(part);
            await _session.StoreQuarantinedPartAsync(part.Position, part.Part, StoredTransaction.Encode(part), cancellationToken);
            // Others may need it from here all the same: what this node can't apply, they may.
            if (_progress.CanRelay) await _session.KeepReceivedAsync(part, cancellationToken);
            if (!part.IsLastPart) return null;
            var entry = Describe(part, refusal);
            entry = entry with { Id = await _session.QuarantineAsync(entry, cancellationToken) };
            // BEFORE the commit: whoever has seen this transaction finds its rows taken as soon as the progress lets it in.
            _node.Quarantine.Add(entry);
            await _session.CommitAsync(part.Position, part.Stamp, cancellationToken);
            _isOpen = false;
            _node.Keys.Settle(_origin, isCommitted: true);
            _progress.AppliedOf(_origin).Advance(part.Position);
            _progress.NoteMember(_origin, part.Dependencies);
            return entry;
        }
        catch
        {
            await RollbackAsync();
            throw;
        }
    }

    /// <summary>Applies a transaction in quarantine by the rules of conflicts, as if it arrived now. False where it is refused again.</summary>
    public async ValueTask<bool> RetryAsync(QuarantinedTransaction entry, CancellationToken cancellationToken)
    {
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                _retried = entry;
                for (var i = 0; i < entry.Parts; i++) await ApplyPartAsync(await ReadStoredAsync(entry, i, cancellationToken), cancellationToken);
                break;
            }
            catch (ReplicationException e) when (e.Kind == ReplicationErrorKind.ApplyRefused)
            {
                await RollbackAsync();
                await _node.Database.NoteRefusalAsync(entry, Refusal.CodeOf(e), e.Message, cancellationToken);
                return false;
            }
            catch (ReplicationException e) when (e.Kind == ReplicationErrorKind.Transient && attempt < MaxRetries && !cancellationToken.IsCancellationRequested)
            {
                await RollbackAsync();
                await Task.Delay(DelayAfter(attempt), _timeProvider, cancellationToken);
            }
            catch
            {
                await RollbackAsync();
                throw;
            }
            finally
            {
                _retried = null;
            }
        }

        await LeaveAsync(entry, cancellationToken);
        return true;
    }

    private static TimeSpan DelayAfter(int attempt) => TimeSpan.FromMilliseconds(Math.Min(100, 1 << Math.Min(attempt, 6)));

    private async ValueTask BeginQuarantineAsync(ChangeTransaction part, CancellationToken cancellationToken)
    {
        await _progress.WaitForDependenciesAsync(part.Dependencies, cancellationToken);
        // As for one that is applied: a local write that comes after it must have the later stamp.
        await _clock.WaitUntilPastAsync(part.Stamp, _session, cancellationToken);
        _changes = 0;
        _putAside = new WrittenKeys();
        await _session.BeginAsync(cancellationToken);
        _isOpen = true;
    }

    private QuarantinedTransaction Describe(ChangeTransaction last, Refusal refusal) => new(
        last.Part + 1, DependencyVector.Of(last.Dependencies.Select(d => KeyValuePair.Create(d.Key, last.Dependencies.CompleteUpTo(d.Key)))), _putAside)
    {
        Origin = last.Origin,
        Position = last.Position,
        Stamp = last.Stamp,
        Changes = _changes,
        Code = refusal.Code,
        Reason = refusal.Reason,
        Attempts = refusal.Attempts,
        FirstAttempt = refusal.FirstAttempt,
        LastAttempt = refusal.LastAttempt,
    };

    private async ValueTask<ChangeTransaction> ReadStoredAsync(QuarantinedTransaction entry, int part, CancellationToken cancellationToken) =>
        StoredTransaction.Decode(await _node.Database.ReadQuarantinedPartAsync(entry, part, cancellationToken) ?? throw new ReplicationException(
            ReplicationErrorKind.Transient, $"Part {part} of transaction {entry.Origin} {entry.Position} is not in active_active.quarantine_part: somebody has taken it out, or the server has lost it in a crash."));

    private async ValueTask LeaveAsync(QuarantinedTransaction entry, CancellationToken cancellationToken)
    {
        // Whoever asked for it is told of it: it is durable by then.
        await _session.FlushAsync(cancellationToken);
        _node.Quarantine.Remove(entry);
        if (_conflicts.Count > 0) _node.ConflictsRecorded([.. _conflicts]);
        _conflicts.Clear();
    }
}
