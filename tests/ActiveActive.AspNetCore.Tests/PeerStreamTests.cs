using System.Net;
using ActiveActive.Credentials;
using ActiveActive.Tests.Compliance;
using ActiveActive.Transport;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;

namespace ActiveActive.AspNetCore.Tests;

/// <summary>A stream outlives what the application limits ordinary requests to, and ends with the application.</summary>
public sealed class PeerStreamTests
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(20);

    [Fact]
    public async Task Request_timeout_of_the_application_does_not_end_a_stream()
    {
        var acceptor = new HandOverAcceptor();
        await using var server = await PeerServer.StartAsync(new PeerEndpoint(acceptor, null, PeerProtocol.DefaultPath), configure: application =>
        {
            application.MapActiveActive();
            application.MapGet("/ordinary", (HttpContext context) => Task.Delay(Timeout.Infinite, context.RequestAborted));
        });
        var transport = new HttpPeerTransport(sharedToken: null);
        await using var pair = await acceptor.PairWithAsync(await transport.ConnectAsync(new(new("us"), server.Address), default));

        // The policy ends an ordinary request that came later, so it would have ended the stream before.
        using var client = new HttpClient { DefaultRequestVersion = HttpVersion.Version20, DefaultVersionPolicy = HttpVersionPolicy.RequestVersionExact };
        using var ordinary = await client.GetAsync(new Uri(server.Address, "/ordinary")).WaitAsync(s_patience);
        Assert.Equal(HttpStatusCode.GatewayTimeout, ordinary.StatusCode);
        await pair.Acceptor.Output.WriteAsync("still here"u8.ToArray());
        var result = await pair.Dialler.Input.ReadAsync().AsTask().WaitAsync(s_patience);
        Assert.Equal(10, result.Buffer.Length);
        pair.Dialler.Input.AdvanceTo(result.Buffer.End);
    }

    [Fact]
    public async Task Stopping_application_cancels_its_acceptors_and_does_not_wait_for_peers()
    {
        var acceptor = new UntilCancelled();
        await using var server = await PeerServer.StartAsync(new PeerEndpoint(acceptor, null, PeerProtocol.DefaultPath));
        var transport = new HttpPeerTransport(sharedToken: null);
        await using var dialler = await transport.ConnectAsync(new(new("us"), server.Address), default);
        await using var frames = new FrameConnection(dialler, "us", 1 << 20, Timeout.InfiniteTimeSpan, TimeProvider.System);
        var reading = frames.ReadAsync(default).AsTask();
        await server.StopAsync().WaitAsync(s_patience);
        await Assert.ThrowsAsync<ReplicationException>(() => reading.WaitAsync(s_patience));
        Assert.True(acceptor.WasCancelled);
    }

    [Fact]
    public async Task Acceptor_that_fails_ends_the_stream()
    {
        await using var server = await PeerServer.StartAsync(new PeerEndpoint(new Failing(), null, PeerProtocol.DefaultPath));
        var transport = new HttpPeerTransport(sharedToken: null);
        var fault = await Assert.ThrowsAsync<ReplicationException>(async () =>
        {
            await using var dialler = await transport.ConnectAsync(new(new("us"), server.Address), default);
            await using var frames = new FrameConnection(dialler, "us", 1 << 20, Timeout.InfiniteTimeSpan, TimeProvider.System);
            await frames.ReadAsync(default).AsTask().WaitAsync(s_patience);
        });
        Assert.Equal(ReplicationErrorKind.Transient, fault.Kind);
    }

    [Fact]
    public async Task Dial_can_be_cancelled_while_the_peer_does_not_answer()
    {
        using var listener = new System.Net.Sockets.TcpListener(System.Net.IPAddress.Loopback, 0);
        listener.Start();
        var transport = new HttpPeerTransport(sharedToken: null);
        using var cancel = new CancellationTokenSource();
        var dialling = transport.ConnectAsync(new(new("us"), new Uri($"http://{listener.LocalEndpoint}")), cancel.Token).AsTask();
        using var accepted = await listener.AcceptSocketAsync().WaitAsync(s_patience);
        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => dialling.WaitAsync(s_patience));
    }

    private sealed class UntilCancelled : IPeerAcceptor
    {
        public bool WasCancelled { get; private set; }

        public async Task AcceptAsync(IPeerConnection connection, PresentedCredential credential, CancellationToken cancellationToken)
        {
            try
            {
                await Task.Delay(Timeout.Infinite, cancellationToken);
            }
            finally
            {
                WasCancelled = cancellationToken.IsCancellationRequested;
            }
        }
    }

    private sealed class Failing : IPeerAcceptor
    {
        public async Task AcceptAsync(IPeerConnection connection, PresentedCredential credential, CancellationToken cancellationToken)
        {
            await Task.Yield();
            throw new InvalidOperationException("The acceptor fails.");
        }
    }
}
