using System.IO.Pipelines;
using ActiveActive.Credentials;

namespace ActiveActive.Transport;

/// <summary>The network seam: the receiver dials the sender and gets a duplex pipe. In memory for tests, HTTP/2 for real.</summary>
internal interface IPeerTransport
{
    /// <exception cref="ReplicationException">Transient where the peer can't be reached; PeerRefused where it answers no.</exception>
    ValueTask<IPeerConnection> ConnectAsync(PeerAddress peer, CancellationToken cancellationToken);
}

/// <summary>A peer's name and where to dial it, or one of its instances.</summary>
internal sealed record PeerAddress(NodeName Name, Uri Address);

/// <summary>One open connection, either side.</summary>
internal interface IPeerConnection : IAsyncDisposable
{
    PipeReader Input { get; }

    PipeWriter Output { get; }

    /// <summary>Cuts the connection at once, both ways: a read that waits on either side ends.</summary>
    void Abort();
}

/// <summary>The other end: what a transport hands inbound connections to. Returns when the connection is done.</summary>
internal interface IPeerAcceptor
{
    /// <param name="connection">Ended by the acceptor or by the end of this call.</param>
    /// <param name="credential">What the dialler has shown: who it is follows from this and not from what it sends.</param>
    /// <param name="cancellationToken">Ends the connection.</param>
    Task AcceptAsync(IPeerConnection connection, PresentedCredential credential, CancellationToken cancellationToken);
}
