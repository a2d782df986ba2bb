using ActiveActive.Capture;
using ActiveActive.Database;
using Microsoft.Extensions.Logging;
using NpgsqlTypes;

namespace ActiveActive.Transport;

/// <summary>
/// Sends a peer the transactions of another node, as they were received here: those that this node had when it was dialled. The peer then
/// tries their origin again.
/// </summary>
internal sealed partial class RelayFeed(NodeName self, ILocalDatabase database, ILogger logger)
{
    private readonly ILogger _logger = logger;

    /// <exception cref="ReplicationException">Transient: the connection is lost, or the log can't be read.</exception>
    public async Task RunAsync(FrameConnection frames, HelloFrame hello, NpgsqlLogSequenceNumber reach, ChangeCapture capture, CancellationToken cancellationToken)
    {
        // A peer asks every node how far it is, and takes one.
        if (await frames.ReadAsync(cancellationToken) is not AckFrame || reach <= hello.ResumeAfter) return;
        LogRelaying(self, hello.From, hello.Origin, hello.ResumeAfter, reach);
        using var stopped = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var leaving = UntilLeftAsync(frames, stopped.Token);
        var reader = new RelayReader(database, hello.Origin, hello.From, capture.Encoder);
        var sending = LogSender.SendAsync(frames, reader.ReadAsync(capture.Checkpoint, hello.ResumeAfter, reach, stopped.Token), static _ => false, stopped.Token);
        try
        {
            if (await Task.WhenAny(sending, leaving) == sending) await sending;
            // What was sent still has to arrive: the peer leaves when it has all.
            await leaving;
        }
        finally
        {
            await stopped.CancelAsync();
            // Both have ended before the connection under them is disposed, and with the reader its copy of the slot.
            await Task.WhenAll(sending, leaving).ContinueWith(static _ => { }, CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Current);
        }
    }

    private static async Task UntilLeftAsync(FrameConnection frames, CancellationToken cancellationToken)
    {
        while (await frames.ReadAsync(cancellationToken) is PingFrame)
        {
        }
    }

    [LoggerMessage(EventId = 3013, Level = LogLevel.Information, Message = "AA3013: node '{Node}' relays to peer '{Peer}' what it has of node '{Origin}', after {Position} up to {Reach}")]
    private partial void LogRelaying(NodeName node, NodeName peer, NodeName origin, NpgsqlLogSequenceNumber position, NpgsqlLogSequenceNumber reach);
}
