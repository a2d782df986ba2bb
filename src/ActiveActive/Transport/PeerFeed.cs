using ActiveActive.Capture;
using ActiveActive.Database;
using ActiveActive.Progress;
using Microsoft.Extensions.Logging;
using NpgsqlTypes;

namespace ActiveActive.Transport;

/// <summary>
/// The sending side of one peer: answers its hello, then sends what the change log holds from its position on, or reads the log
/// again for it where it is too far behind, and takes its acknowledgements. At most one connection at a time: a new one ends the old.
/// </summary>
internal sealed partial class PeerFeed
{
    private const int EntriesPerFlush = 256;

    private readonly NodeName _peer;
    private readonly ILocalDatabase _database;
    private readonly NodeName _self;
    private readonly Action<IReadOnlyList<UniqueKey>> _onUniqueKeys;
    private readonly ILogger _logger;
    private readonly Lock _lock = new();
    private IPeerConnection? _current;

    public PeerFeed(NodeName self, NodeName peer, ILocalDatabase database, Action<IReadOnlyList<UniqueKey>> onUniqueKeys, ILogger logger)
    {
        _self = self;
        _peer = peer;
        _database = database;
        _onUniqueKeys = onUniqueKeys;
        _logger = logger;
    }

    public PeerFeedState State { get; private set; }

    /// <summary>The database of the peer that is connected; null while none is.</summary>
    public DatabaseIdentity? ConnectedDatabase { get; private set; }

    public NpgsqlLogSequenceNumber SentPosition { get; private set; }

    /// <summary>What the peer said it has durably applied; kept while it is away.</summary>
    public NpgsqlLogSequenceNumber AcknowledgedPosition { get; private set; }

    public async Task RunAsync(FrameConnection frames, IPeerConnection connection, HelloFrame hello, ChangeCapture capture, CancellationToken cancellationToken)
    {
        lock (_lock)
        {
            // The peer redials when it believes the old connection dead: then it is.
            _current?.Abort();
            _current = connection;
            ConnectedDatabase = hello.Identity;
        }

        using var stopped = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        Acknowledge(hello.ResumeAfter);
        var acks = ReadAcksAsync(frames, stopped.Token);
        var sending = SendAsync(frames, hello.ResumeAfter, capture, stopped.Token);
        try
        {
            await await Task.WhenAny(acks, sending);
        }
        catch (Exception e) when (e is ReplicationException or IOException or OperationCanceledException)
        {
            if (!cancellationToken.IsCancellationRequested) LogFeedEnded(_self, _peer, e.Message);
        }
        finally
        {
            await stopped.CancelAsync();
            connection.Abort();
            // Both have ended before the connection is given back: its buffers serve another request then.
            await Task.WhenAll(acks, sending).ContinueWith(static _ => { }, CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Current);
            lock (_lock)
            {
                if (ReferenceEquals(_current, connection))
                {
                    _current = null;
                    ConnectedDatabase = null;
                    State = PeerFeedState.Disconnected;
                }
            }
        }
    }

    private async Task ReadAcksAsync(FrameConnection frames, CancellationToken cancellationToken)
    {
        while (await frames.ReadAsync(cancellationToken) is { } frame)
        {
            switch (frame)
            {
                case AckFrame ack:
                    Acknowledge(ack.Position);
                    break;
                case UniqueKeysFrame { Keys: var keys }:
                    _onUniqueKeys(keys);
                    break;
                case PingFrame:
                    break;
                default:
                    throw new ReplicationException(ReplicationErrorKind.Corrupt, $"Peer '{_peer}' sent a {frame.GetType().Name} where only acknowledgements belong.");
            }
        }
    }

    private void Acknowledge(NpgsqlLogSequenceNumber position)
    {
        lock (_lock)
        {
            if (position > AcknowledgedPosition) AcknowledgedPosition = position;
        }
    }

    private async Task SendAsync(FrameConnection frames, NpgsqlLogSequenceNumber resumeAfter, ChangeCapture capture, CancellationToken cancellationToken)
    {
        // Nothing before the checkpoint is asked for: every member's stream has shown that it has all of that.
        var floor = new NpgsqlLogSequenceNumber(Math.Max(1, (ulong)capture.Checkpoint.Position) - 1);
        var after = resumeAfter > floor ? resumeAfter : floor;
        if (!capture.Log.TryOpenCursor(after, out var cursor)) cursor = await CatchUpAsync(frames, after, capture, cancellationToken);

        State = PeerFeedState.Streaming;
        LogStreaming(_self, _peer, after);
        capture.Heartbeat(force: true);
        var entries = new List<EncodedTransaction>();
        while (true)
        {
            entries.Clear();
            if (!capture.Log.TryRead(ref cursor, EntriesPerFlush, entries, out var appended))
            {
                // The connection ends and the peer dials again from what it has applied: that opens a catch-up stream.
                throw new ReplicationException(ReplicationErrorKind.Transient, $"Peer '{_peer}' fell behind the change log in memory.");
            }

            for (var i = 0; i < entries.Count; i++) entries[i] = entries[i].For(_peer);
            if (entries.Count == 0)
            {
                await appended.WaitForSignalAsync(cancellationToken);
                continue;
            }

            for (var i = 0; i < entries.Count;)
            {
                i = await frames.WriteNextAsync(entries, i, cancellationToken);
                if (!entries[i - 1].IsHeartbeat) SentPosition = entries[i - 1].Position;
            }

            await frames.FlushAsync(cancellationToken);
        }
    }

    private async Task<LogCursor> CatchUpAsync(FrameConnection frames, NpgsqlLogSequenceNumber after, ChangeCapture capture, CancellationToken cancellationToken)
    {
        State = PeerFeedState.CatchingUp;
        LogCatchingUp(_self, _peer, after);
        var reader = new CatchUpReader(_database, _self, _peer, capture.Encoder);
        LogCursor? reached = null;
        await LogSender.SendAsync(frames, reader.ReadAsync(capture.Checkpoint, after, cancellationToken), entry =>
        {
            SentPosition = entry.Position;
            if (entry.IsLastPart && capture.Log.TryOpenCursor(entry.Position, out var cursor)) reached = cursor;
            return reached is not null;
        }, cancellationToken);
        return reached ?? throw new ReplicationException(ReplicationErrorKind.Transient, $"The catch-up stream for peer '{_peer}' ended.");
    }

    [LoggerMessage(EventId = 3010, Level = LogLevel.Information, Message = "AA3010: node '{Node}' streams to peer '{Peer}' after {Position}")]
    private partial void LogStreaming(NodeName node, NodeName peer, NpgsqlLogSequenceNumber position);

    [LoggerMessage(EventId = 3011, Level = LogLevel.Information, Message = "AA3011: node '{Node}' reads its log again for peer '{Peer}' after {Position}: it is behind the change log in memory")]
    private partial void LogCatchingUp(NodeName node, NodeName peer, NpgsqlLogSequenceNumber position);

    [LoggerMessage(EventId = 3012, Level = LogLevel.Information, Message = "AA3012: the connection of peer '{Peer}' to node '{Node}' ended: {Reason}")]
    private partial void LogFeedEnded(NodeName node, NodeName peer, string reason);
}
