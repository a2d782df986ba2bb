using System.Net;
using System.Net.Sockets;
using ActiveActive.Testing;
using ActiveActive.Tests.Compliance;
using ActiveActive.Transport;

namespace ActiveActive.AspNetCore.Tests;

/// <summary>What the network does to a dial or a stream is the network's fault, not the peer's: it is tried again, and relays are asked.</summary>
public sealed class PeerNetworkTests
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(20);

    [Fact]
    [Trait("Story", "19")]
    public async Task Line_that_resets_connections_is_no_refusal_of_the_peer()
    {
        await using var server = await PeerServer.StartAsync(new PeerEndpoint(new HandOverAcceptor(), null, PeerProtocol.DefaultPath));
        await using var line = FaultProxy.Start(server.Address.Port);
        line.Refuses = true;
        var transport = new HttpPeerTransport(sharedToken: null);
        var fault = await Assert.ThrowsAsync<ReplicationException>(async () => await transport.ConnectAsync(new(new("us"), line.Address), default));
        Assert.Equal(ReplicationErrorKind.Transient, fault.Kind);
        line.Heal();
        await using var connection = await transport.ConnectAsync(new(new("us"), line.Address), default).AsTask().WaitAsync(s_patience);
    }

    /// <summary>The line is cut, or ended in order, when the dialler has begun to speak and nobody has answered: a load balancer whose target is gone does that.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    [Trait("Story", "19")]
    public async Task Line_that_ends_before_the_first_answer_is_no_refusal_of_the_peer(bool isCut)
    {
        using var silent = new TcpListener(IPAddress.Loopback, 0);
        silent.Start();
        await using var line = FaultProxy.Start((IPEndPoint)silent.LocalEndpoint);
        var transport = new HttpPeerTransport(sharedToken: null);
        var dialling = transport.ConnectAsync(new(new("us"), line.Address), default).AsTask();
        using var accepted = await silent.AcceptSocketAsync().WaitAsync(s_patience);
        var spoken = await accepted.ReceiveAsync(new byte[1024]).WaitAsync(s_patience);
        Assert.True(spoken > 0);
        if (isCut) line.Cut();
        else line.Close();
        var fault = await Assert.ThrowsAsync<ReplicationException>(() => dialling.WaitAsync(s_patience));
        Assert.True(fault.Kind == ReplicationErrorKind.Transient, fault.ToString());
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    [Trait("Story", "19")]
    public async Task Writer_that_is_stuck_before_a_black_hole_ends_with_its_connection(bool dials)
    {
        var acceptor = new HandOverAcceptor();
        await using var server = await PeerServer.StartAsync(new PeerEndpoint(acceptor, null, PeerProtocol.DefaultPath));
        await using var line = FaultProxy.Start(server.Address.Port);
        var transport = new HttpPeerTransport(sharedToken: null);
        await using var pair = await acceptor.PairWithAsync(await transport.ConnectAsync(new(new("us"), line.Address), default));
        var end = dials ? pair.Dialler : pair.Acceptor;
        // Nobody reads at the other end: windows and buffers fill.
        line.BlackHole();
        var writing = Task.Run(async () =>
        {
            while (!(await end.Output.WriteAsync(new byte[1 << 20])).IsCompleted)
            {
            }
        });
        end.Abort();
        await Assert.ThrowsAnyAsync<Exception>(async () =>
        {
            await writing.WaitAsync(s_patience);
            throw new IOException("It ended without a fault, which will do.");
        });
        Assert.True(writing.IsCompleted, "The writer is stuck still.");
    }
}
