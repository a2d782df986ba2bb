using System.Net;
using System.Net.Sockets;
using ActiveActive.Tests.Compliance;
using ActiveActive.Transport;

namespace ActiveActive.AspNetCore.Tests;

public sealed class HttpTransportCompliance : TransportCompliance
{
    private const string Token = "a-token-of-compliance";

    private protected override async ValueTask<ITransportUnderTest> StartAsync()
    {
        var acceptor = new HandOverAcceptor();
        return new Http(await PeerServer.StartAsync(new PeerEndpoint(acceptor, Token, PeerProtocol.DefaultPath)), acceptor);
    }

    private sealed class Http(PeerServer server, HandOverAcceptor acceptor) : ITransportUnderTest
    {
        private readonly HttpPeerTransport _transport = new(Token);

        public async Task<ConnectedPair> OpenAsync() =>
            await acceptor.PairWithAsync(await _transport.ConnectAsync(new(new("us"), server.Address), default));

        public async Task<IPeerConnection> DialUnknownAsync()
        {
            // A bound socket that does not listen keeps its port from everyone else and refuses connections.
            using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
            var port = ((IPEndPoint)socket.LocalEndPoint!).Port;
            return await _transport.ConnectAsync(new(new("nobody"), new Uri($"http://127.0.0.1:{port}")), default);
        }

        public ValueTask DisposeAsync() => server.DisposeAsync();
    }
}
