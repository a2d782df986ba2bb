using ActiveActive.Credentials;
using ActiveActive.Transport;

namespace ActiveActive.Tests.Compliance;

/// <summary>A transport with one node that accepts.</summary>
internal interface ITransportUnderTest : IAsyncDisposable
{
    /// <summary>Dials that node; both ends.</summary>
    Task<ConnectedPair> OpenAsync();

    /// <summary>Dials a node named "nobody" where none is.</summary>
    Task<IPeerConnection> DialUnknownAsync();
}

/// <summary>Both ends of a connection. The acceptor's call lasts until this is disposed or <see cref="EndAcceptor"/> is called.</summary>
internal sealed class ConnectedPair(IPeerConnection dialler, IPeerConnection acceptor, TaskCompletionSource acceptorEnds) : IAsyncDisposable
{
    public IPeerConnection Dialler => dialler;

    public IPeerConnection Acceptor => acceptor;

    public void EndAcceptor() => acceptorEnds.TrySetResult();

    public async ValueTask DisposeAsync()
    {
        // The acceptor first: a dialler that ends waits a moment for the other side.
        await acceptor.DisposeAsync();
        EndAcceptor();
        await dialler.DisposeAsync();
    }
}

/// <summary>Hands accepted connections to a test, one per dial.</summary>
internal sealed class HandOverAcceptor : IPeerAcceptor
{
    private readonly System.Threading.Channels.Channel<(IPeerConnection, TaskCompletionSource)> _accepted =
        System.Threading.Channels.Channel.CreateUnbounded<(IPeerConnection, TaskCompletionSource)>();

    public async Task AcceptAsync(IPeerConnection connection, PresentedCredential credential, CancellationToken cancellationToken)
    {
        var ends = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await _accepted.Writer.WriteAsync((connection, ends), CancellationToken.None);
        await ends.Task;
    }

    public async Task<ConnectedPair> PairWithAsync(IPeerConnection dialler)
    {
        var (acceptor, ends) = await _accepted.Reader.ReadAsync();
        return new ConnectedPair(dialler, acceptor, ends);
    }
}
