using System.Threading.Channels;
using ActiveActive.Apply;
using ActiveActive.Changes;
using Microsoft.Extensions.Logging;
using NpgsqlTypes;

namespace ActiveActive.Transport;

/// <content>How a transaction that is refused for good leaves the stream, and how others use the apply session.</content>
internal sealed partial class PeerLink
{
    private readonly Channel<SessionWork> _work = Channel.CreateBounded<SessionWork>(1);
    private Refusal? _refusal;

    /// <summary>
    /// Has the peer's apply session do something between two transactions, whether the peer is there or not. Its stream is opened again
    /// afterwards. Waits while the peer is paused.
    /// </summary>
    public async Task RunOnSessionAsync(Func<ApplyWorker, CancellationToken, Task> run, CancellationToken cancellationToken)
    {
        var work = new SessionWork(run, cancellationToken);
        await _work.Writer.WriteAsync(work, cancellationToken);
        _backOff.Wake();
        await work.Done.WaitAsync(cancellationToken);
    }

    private async Task RunSessionWorkAsync(ApplyWorker worker, CancellationToken cancellationToken)
    {
        while (_work.Reader.TryRead(out var work)) await work.RunAsync(worker, cancellationToken);
    }

    private bool IsGivenUp(ChangeTransaction part) => !part.IsHeartbeat && _refusal is { IsFinal: true } refusal && refusal.Position == part.Position;

    private bool MayQuarantine(ChangeTransaction part) => FirstHeldTable(part) is null;

    private TableName? FirstHeldTable(ChangeTransaction part)
    {
        foreach (var change in part.Changes)
        {
            if (_context.OnApplyError(change.Relation.Root) == ApplyErrorPolicy.Hold) return change.Relation.Root;
        }

        return null;
    }

    /// <summary>Counts the attempt. A transaction of several parts must come again from its beginning, to be tried or to be put aside.</summary>
    private async ValueTask RefusedAsync(ChangeTransaction part, ReplicationException fault, CancellationToken cancellationToken)
    {
        var refusal = _refusal = Refusal.After(_refusal, part, fault, _context.TimeProvider.GetUtcNow());
        if (part is not { Part: 0, IsLastPart: true })
        {
            throw refusal.IsFinal
                ? new ReplicationException(ReplicationErrorKind.Transient, $"Transaction {Peer} {part.Position} is delivered again, to be put into quarantine: {fault.Message}", fault)
                : fault;
        }

        if (!refusal.IsFinal) await Task.Delay(TimeSpan.FromMilliseconds(50 * refusal.Attempts), _context.TimeProvider, cancellationToken);
    }

    private async ValueTask<bool> QuarantineAsync(ApplyWorker worker, ChangeTransaction part, QuarantineRegister register, CancellationToken cancellationToken)
    {
        var refusal = _refusal!;
        if (FirstHeldTable(part) is { } held) throw Hold(refusal, $"The transaction writes {held}, too, whose policy is {nameof(ApplyErrorPolicy.Hold)}.");
        if (register.Count >= QuarantineRegister.Capacity) throw Hold(refusal, $"The quarantine is full ({QuarantineRegister.Capacity} transactions): retry or discard some.");
        if (await worker.QuarantineAsync(part, refusal, cancellationToken) is not { } entry) return false;
        _refusal = null;
        LogQuarantined(_context.Self, Peer, entry.Position, entry.Id, entry.Code, entry.Reason);
        return true;
    }

    // Tried anew when it comes again.
    private ReplicationException Hold(Refusal refusal, string why)
    {
        _refusal = null;
        return new ReplicationException(ReplicationErrorKind.ApplyRefused, $"{refusal.Reason} {why}");
    }

    [LoggerMessage(EventId = 3025, Level = LogLevel.Warning, Message = "AA3025: node '{Node}' put transaction {Peer} {Position} into quarantine, entry {Id} ({Code}): {Reason}")]
    private partial void LogQuarantined(NodeName node, NodeName peer, NpgsqlLogSequenceNumber position, long id, string code, string reason);

    /// <summary>Something to do with the session, and who waits for it.</summary>
    private sealed class SessionWork(Func<ApplyWorker, CancellationToken, Task> run, CancellationToken asker)
    {
        private readonly TaskCompletionSource _done = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Task Done => _done.Task;

        public async Task RunAsync(ApplyWorker worker, CancellationToken cancellationToken)
        {
            if (asker.IsCancellationRequested) return;
            try
            {
                await run(worker, cancellationToken);
                _done.TrySetResult();
            }
            catch (Exception e)
            {
                _done.TrySetException(e is OperationCanceledException
                    ? new ReplicationException(ReplicationErrorKind.Transient, "The node stopped, or lost its database, before this was done.", e)
                    : e);
                throw;
            }
        }
    }
}
