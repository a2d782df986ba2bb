using ActiveActive.Apply;
using ActiveActive.Changes;
using ActiveActive.Database;
using ActiveActive.Hosting;
using Microsoft.Extensions.Logging;
using NpgsqlTypes;

namespace ActiveActive.Transport;

/// <summary>
/// The receiving side of one peer: dials it, reads its transactions, has them applied, acknowledges what is durable. Runs until
/// stopped: every fault ends the connection and the apply session, and after a wait both are opened again at the durable position.
/// </summary>
internal sealed partial class PeerLink
{
    // Some large parts, or enough transactions for some groups.
    internal const long QueuedCharacters = 4 << 20;

    // Of what is committed at once; the queue holds some more of it meanwhile.
    internal const long GroupedCharacters = 1 << 20;
    private const int CommitsPerFlush = 200;
    private const int SignsPerReadTimeout = 4;

    private readonly PeerAddresses _peer;
    private readonly PeerLinkContext _context;
    private readonly ILogger _logger;
    private readonly ApplyClock _clock;
    private readonly BackOff _backOff;
    private readonly PeerDialler _dialler;
    private readonly PauseGate _pause = new();

    public PeerLink(PeerAddresses peer, PeerLinkContext context, ILogger logger)
    {
        _peer = peer;
        _context = context;
        _logger = logger;
        _clock = new ApplyClock(context.TimeProvider);
        _dialler = new PeerDialler(peer, context);
        _backOff = new BackOff(context.ReconnectDelay, context.MaxReconnectDelay, context.TimeProvider);
        Status = new PeerLinkStatus();
    }

    public NodeName Peer => _peer.Name;

    public PeerLinkStatus Status { get; }

    /// <summary>How far the peer's clock was ahead at the last transaction that had to wait for the local one.</summary>
    public TimeSpan ClockAhead => _clock.LastWait;

    public bool IsPaused => _pause.IsPaused;

    /// <summary>Stops applying after the transaction under way; nothing is lost, the peer keeps its log.</summary>
    public void Pause() => _pause.Pause();

    public void Resume()
    {
        _pause.Resume();
        _backOff.Wake();
    }

    /// <summary>Ends a wait after a lost connection; a wait for a person's hand goes on.</summary>
    public void WakeIfDisconnected()
    {
        if (Status.State == PeerLinkState.Disconnected) _backOff.Wake();
    }

    public async Task RunAsync(NodeRun run, CancellationToken cancellationToken)
    {
        while (true)
        {
            cancellationToken.ThrowIfCancellationRequested();
            try
            {
                if (_pause.IsPaused) Status.Enter(PeerLinkState.Paused, null);
                // Where a lost transaction of the peer may still be in others' way, its session is opened first: that settles it.
                if (!run.Keys.Holds(Peer)) await _pause.WaitUntilOpenAsync(cancellationToken);
                await StreamAsync(run, cancellationToken);
                // What another node had of the peer's transactions is applied; the peer is tried again.
                if (!_pause.IsPaused) await _backOff.WaitAsync(isSlow: false, cancellationToken);
            }
            catch (Exception e) when (!cancellationToken.IsCancellationRequested)
            {
                var fault = e as ReplicationException ?? new ReplicationException(ReplicationErrorKind.Transient, $"The link to peer '{Peer}' failed: {e.Message}", e);
                if (_pause.IsPaused && !run.Keys.Holds(Peer)) continue;
                Status.Enter(StateAfter(fault.Kind), fault.Message);
                if (fault is PeerNotReadyException && _backOff.IsShort)
                {
                    // No news while it lasts no longer than a take-over.
                    await _backOff.WaitShortlyAsync(cancellationToken);
                    continue;
                }

                if (Status.IsNews(fault.Message)) LogFault(_context.Self, Peer, fault.Kind, fault.Message);
                await _backOff.WaitAsync(isSlow: fault.Kind is ReplicationErrorKind.ApplyRefused or ReplicationErrorKind.PeerRefused or ReplicationErrorKind.AccessDenied, cancellationToken);
            }
        }
    }

    private static PeerLinkState StateAfter(ReplicationErrorKind kind) => kind switch
    {
        ReplicationErrorKind.ApplyRefused => PeerLinkState.Holding,
        ReplicationErrorKind.PeerRefused => PeerLinkState.Refused,
        _ => PeerLinkState.Disconnected,
    };

    private async Task StreamAsync(NodeRun run, CancellationToken cancellationToken)
    {
        using var stopped = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        await using var session = await _context.Database.OpenApplySessionAsync(Peer, cancellationToken);
        var fetched = new FetchedRows(new RowFetcher(_peer, _context, run.Handshake, () => Status.RelayedBy).FetchAsync);
        var worker = new ApplyWorker(Peer, new ApplyContext(_context.Database, run.Progress, run.Capture.Index, run.Keys, run.Quarantine, run.Losers, run.InOrder, run.Looking, _context.ConflictsRecorded), session, _clock, fetched);
        // Nothing of the origin is under way any more: what the outcome of a lost commit was, the database tells now.
        run.Quarantine.Load(await _context.Database.ReadQuarantineAsync(Peer, cancellationToken), Peer);
        Status.Worker = worker;
        await run.Capture.SettleProgressAsync(Peer, session, cancellationToken);
        if (session.AppliedPosition < run.Progress.AppliedOf(Peer).Current)
        {
            // Capture's connection ends, too, and with it this life of the node, which took them for there.
            throw new ReplicationException(ReplicationErrorKind.Transient, $"The database has lost commits of peer '{Peer}' that were not durable: the server crashed.");
        }

        // No other session of the peer can commit anything any more.
        var parting = run.Partings.GetValueOrDefault(Peer);
        parting?.Fence();
        run.Progress.AppliedOf(Peer).Advance(session.AppliedPosition);
        var durable = await session.FlushAsync(cancellationToken);
        Status.Applied(session.AppliedPosition);

        await RunSessionWorkAsync(worker, cancellationToken);
        if (_pause.IsPaused)
        {
            // What an earlier life may have left open is settled by now; nothing new is to come.
            Status.Worker = null;
            return;
        }

        // A fault that someone must mend stays in sight while it is tried again.
        if (Status.State is not (PeerLinkState.Holding or PeerLinkState.Refused)) Status.Enter(PeerLinkState.Connecting, null);
        await using var source = await _dialler.OpenAsync(run.Handshake, durable, run.Progress.AppliedOf(Peer), parting is not null, cancellationToken);
        Status.RelayedBy = source.IsRelayed ? source.From : null;
        if (source.IsRelayed)
        {
            Status.Enter(PeerLinkState.Disconnected, $"Peer '{Peer}' can't be reached; what '{source.From}' has of its transactions comes from there.");
            LogRelayed(_context.Self, Peer, source.From, durable, source.Reach);
        }
        else
        {
            LogConnected(_context.Self, Peer, source.Protocol, durable);
        }

        var queue = new PartQueue(QueuedCharacters);
        var pausing = _pause.WaitUntilPausedAsync(stopped.Token);
        var reading = ReadAsync(source, queue, stopped.Token);
        var applying = ApplyAsync(worker, source, queue, durable, run, stopped.Token);
        var showing = ShowLifeAsync(source, stopped.Token);
        var asked = _work.Reader.WaitToReadAsync(stopped.Token).AsTask();
        try
        {
            var first = await Task.WhenAny(reading, applying, showing, pausing, asked);
            // A relayed stream has been read to its end, and is now applied to its end.
            if (first == reading && reading.IsCompletedSuccessfully) first = await Task.WhenAny(applying, showing, pausing, asked);
            await first;
        }
        finally
        {
            await stopped.CancelAsync();
            source.Abort();
            // They have ended before the session and the connection under them are disposed.
            await Task.WhenAll(reading, applying, showing, pausing, asked).ContinueWith(static _ => { }, CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Current);
            await worker.EndAsync();
            Status.Worker = null;
        }
    }

    /// <summary>Acknowledgements are silent while nothing comes or an apply takes long; the other end must know all the same that this one is there.</summary>
    private async Task ShowLifeAsync(PeerSource source, CancellationToken cancellationToken)
    {
        using var timer = new PeriodicTimer(_context.ReadTimeout / SignsPerReadTimeout, _context.TimeProvider);
        while (await timer.WaitForNextTickAsync(cancellationToken)) await source.SendAsync(new PingFrame(), cancellationToken);
    }

    private async Task ReadAsync(PeerSource source, PartQueue queue, CancellationToken cancellationToken)
    {
        while (await source.Frames.ReadAsync(cancellationToken) is { } frame)
        {
            switch (frame)
            {
                case TransactionFrame { Transaction: var transaction } when source.Admits(transaction):
                    // BEFORE anything is queued or applied, and so before anything of it is stored here.
                    if (_context.Routes.FindForbidden(transaction, _context.Self) is { } forbidden) throw Forbidden(source, transaction, forbidden);
                    Status.Received(transaction);
                    // A full queue stops reading, and the transport's window stops the peer (M7).
                    await queue.WriteAsync(transaction, cancellationToken);
                    if (!source.EndsWith(transaction)) break;
                    queue.Complete();
                    return;
                case PingFrame:
                    break;
                case RefuseFrame refuse:
                    throw new ReplicationException(ReplicationErrorKind.PeerRefused, $"Peer '{source.From}' ended the stream ({refuse.Code}): {refuse.Message}");
                case var other:
                    throw new ReplicationException(ReplicationErrorKind.Corrupt, $"Peer '{source.From}' sent a {other.GetType().Name} that does not belong in its stream.");
            }
        }

        throw new ReplicationException(ReplicationErrorKind.Transient, $"Peer '{source.From}' closed the connection.");
    }

    private ReplicationException Forbidden(PeerSource source, ChangeTransaction part, TableName table) => new(ReplicationErrorKind.PeerRefused,
        $"AA3060: peer '{source.From}' sent a change of table {table} in transaction {part.Origin} {part.Position}, and by the table rules that table is not on node '{(_context.Routes.Holds(_context.Self, table) ? part.Origin : _context.Self)}'. "
        + $"Nothing of the transaction was applied. Make the table rules (OnlyOn) equal on every node, and start '{source.From}' again.");

    private async Task ApplyAsync(ApplyWorker worker, PeerSource source, PartQueue queue, NpgsqlLogSequenceNumber acknowledged, NodeRun run, CancellationToken cancellationToken)
    {
        var commits = 0;
        PreparedPart? next = null;
        IReadOnlyList<UniqueKey>? told = null;
        while (true)
        {
            // Heartbeats keep this loop going.
            if (!source.IsRelayed && _context.UniqueKeys() is var keys && !ReferenceEquals(keys, told))
            {
                told = keys;
                await source.SendAsync(new UniqueKeysFrame([.. keys.Where(k => _context.Routes.Holds(Peer, k.Table))]), cancellationToken);
            }

            if (commits > 0 && (commits >= CommitsPerFlush || (next is null && !queue.TryPeek(out _, out _))))
            {
                // Acknowledged only when durable: the peer forgets what is acknowledged (M1).
                var durable = await worker.FlushAsync(cancellationToken);
                if (durable > acknowledged && !source.IsRelayed)
                {
                    acknowledged = durable;
                    await source.SendAsync(new AckFrame(durable), cancellationToken);
                }

                commits = 0;
            }

            if (next is null && (!await queue.WaitToReadAsync(cancellationToken) || (next = Take(worker, queue)) is null)) return;
            var applying = ApplyAsync(worker, next, run, cancellationToken);
            try
            {
                // While the server writes these, the host makes the next ready.
                next = applying.IsCompleted ? null : Take(worker, queue);
            }
            finally
            {
                // Whatever happens: the session is not left in use.
                if (await applying)
                {
                    commits++;
                    _backOff.Reset();
                }
            }

            if (Status.State != PeerLinkState.Streaming && !source.IsRelayed)
            {
                Status.Enter(PeerLinkState.Streaming, null);
                _backOff.Reset();
            }
        }
    }

    /// <summary>Takes the next part, or the next transaction with those behind it that have arrived and can be committed with it.</summary>
    private PreparedPart? Take(ApplyWorker worker, PartQueue queue)
    {
        if (!queue.TryRead(out var first)) return null;
        List<ChangeTransaction> group = [first];
        // One that was refused is tried by itself, and put aside by itself.
        if (_refusal is null && worker.CanJoin(first, null, 0, 0)) Gather(worker, queue, group);
        return worker.Prepare(group);
    }

    private static void Gather(ApplyWorker worker, PartQueue queue, List<ChangeTransaction> group)
    {
        var (changes, characters) = (group[0].Changes.Count, 0L);
        while (queue.TryPeek(out var next, out var more) && (characters += more) <= GroupedCharacters && worker.CanJoin(next, group[^1], group.Count, changes))
        {
            queue.TryRead(out _);
            group.Add(next);
            changes += next.Changes.Count;
        }
    }

    /// <summary>Whether anything was committed.</summary>
    private async Task<bool> ApplyAsync(ApplyWorker worker, PreparedPart prepared, NodeRun run, CancellationToken cancellationToken)
    {
        if (prepared.Members.Count > 1)
        {
            await ApplyGroupAsync(worker, prepared, run, cancellationToken);
            return true;
        }

        var part = prepared.Members[0];
        if (await ApplyWithRetryAsync(worker, prepared, run, cancellationToken))
        {
            Status.Applied(part.Position, part.Stamp);
            return true;
        }

        if (part.IsHeartbeat) Status.CaughtUp(part.Position, part.Stamp);
        return false;
    }

    private async ValueTask ApplyGroupAsync(ApplyWorker worker, PreparedPart prepared, NodeRun run, CancellationToken cancellationToken)
    {
        var group = prepared.Members;
        try
        {
            await worker.ApplyGroupAsync(prepared, cancellationToken);
            Status.Applied(group[^1].Position, group[^1].Stamp, group.Count);
        }
        catch (ReplicationException e) when (!cancellationToken.IsCancellationRequested)
        {
            // One of them needs something of its own, or is refused: each by itself, as if it had come alone.
            LogRetry(_context.Self, Peer, group[0].Position, group.Count, e.Message);
            foreach (var part in group)
            {
                if (await ApplyWithRetryAsync(worker, new PreparedPart([part]), run, cancellationToken)) Status.Applied(part.Position, part.Stamp);
            }
        }
    }

    private async ValueTask<bool> ApplyWithRetryAsync(ApplyWorker worker, PreparedPart prepared, NodeRun run, CancellationToken cancellationToken)
    {
        var part = prepared.Members[0];
        for (var attempt = 1; ; attempt++, prepared = new PreparedPart([part]))
        {
            // Asked once: what can't be put aside either, holds the stream.
            var isGivenUp = IsGivenUp(part);
            try
            {
                return isGivenUp
                    ? await QuarantineAsync(worker, part, run.Quarantine, cancellationToken)
                    : await worker.ApplyAsync(prepared, cancellationToken);
            }
            catch (ReplicationException e) when (e.Kind == ReplicationErrorKind.ApplyRefused && !cancellationToken.IsCancellationRequested && !isGivenUp && MayQuarantine(part))
            {
                await RefusedAsync(part, e, cancellationToken);
            }
            catch (ReplicationException e) when (e.Kind == ReplicationErrorKind.Transient && part is { Part: 0, IsLastPart: true } && attempt <= 20 && !cancellationToken.IsCancellationRequested)
            {
                // A deadlock victim or a row that appeared meanwhile: the whole transaction again. A broken session fails again at once.
                if (attempt == 20) throw;
                Status.Retried();
                LogRetry(_context.Self, Peer, part.Position, attempt, e.Message);
                await Task.Delay(TimeSpan.FromMilliseconds(Math.Min(100, 1 << Math.Min(attempt, 6))), _context.TimeProvider, cancellationToken);
            }
        }
    }

    [LoggerMessage(EventId = 3020, Level = LogLevel.Information, Message = "AA3020: node '{Node}' is connected to peer '{Peer}', by protocol {Protocol}, and goes on after {Position}")]
    private partial void LogConnected(NodeName node, NodeName peer, string protocol, NpgsqlLogSequenceNumber position);

    [LoggerMessage(EventId = 3023, Level = LogLevel.Information, Message = "AA3023: node '{Node}' takes transactions of peer '{Peer}', which can't be reached, from '{Relayer}', after {Position} up to {Reach}")]
    private partial void LogRelayed(NodeName node, NodeName peer, NodeName relayer, NpgsqlLogSequenceNumber position, NpgsqlLogSequenceNumber reach);

    [LoggerMessage(EventId = 3021, Level = LogLevel.Warning, Message = "AA3021: node '{Node}', peer '{Peer}': {Kind}: {Reason}")]
    private partial void LogFault(NodeName node, NodeName peer, ReplicationErrorKind kind, string reason);

    [LoggerMessage(EventId = 3022, Level = LogLevel.Debug, Message = "AA3022: node '{Node}' applies transaction {Peer} {Position} again after attempt {Attempt}: {Reason}")]
    private partial void LogRetry(NodeName node, NodeName peer, NpgsqlLogSequenceNumber position, int attempt, string reason);
}
