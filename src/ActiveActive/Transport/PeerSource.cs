using ActiveActive.Changes;
using NpgsqlTypes;

namespace ActiveActive.Transport;

/// <summary>An open stream of one node's transactions: from that node itself, or from another that relays them.</summary>
internal sealed class PeerSource(NodeName origin, WelcomeFrame welcome, IPeerConnection connection, FrameConnection frames) : IAsyncDisposable
{
    private readonly SemaphoreSlim _sending = new(1);

    /// <summary>The node at the other end.</summary>
    public NodeName From => welcome.From;

    public FrameConnection Frames => frames;

    public bool IsRelayed => From != origin;

    /// <summary>How it is spoken, for people: <c>2 (brotli)</c>.</summary>
    public string Protocol => welcome.Features is { Count: > 0 } features ? $"{welcome.Protocol} ({string.Join(", ", features)})" : $"{welcome.Protocol}";

    /// <summary>The last of the origin's transactions that the other end had when it was dialled.</summary>
    public NpgsqlLogSequenceNumber Reach => welcome.Reach;

    /// <summary>
    /// Whether a part belongs in the stream. A relayed one has no heartbeats: only the origin knows how far it is, and only that makes
    /// anything stable (convergence R1).
    /// </summary>
    public bool Admits(ChangeTransaction part) => part.Origin == origin && !(IsRelayed && part.IsHeartbeat);

    /// <summary>Whether nothing follows a part: a relayed stream is left at its end, so that the origin is tried again.</summary>
    public bool EndsWith(ChangeTransaction part) => IsRelayed && part.IsLastPart && part.Position >= Reach;

    /// <summary>Sends a frame at once. Acknowledgements and signs of life come from two loops.</summary>
    /// <exception cref="ReplicationException">Transient: the connection is lost.</exception>
    public async ValueTask SendAsync(Frame frame, CancellationToken cancellationToken)
    {
        await _sending.WaitAsync(cancellationToken);
        try
        {
            await frames.WriteAsync(frame, cancellationToken);
            await frames.FlushAsync(cancellationToken);
        }
        finally
        {
            _sending.Release();
        }
    }

    public void Abort() => connection.Abort();

    public async ValueTask DisposeAsync()
    {
        await frames.DisposeAsync();
        await connection.DisposeAsync();
        _sending.Dispose();
    }
}
