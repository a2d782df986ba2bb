using ActiveActive.Testing.Transport;
using ActiveActive.Tests.Compliance;
using ActiveActive.Transport;

namespace ActiveActive.Tests.Transport;

public sealed class InMemoryNetworkTests
{
    private static readonly NodeName s_eu = new("eu");
    private static readonly NodeName s_us = new("us");
    private static readonly NodeName s_ap = new("ap");

    private readonly InMemoryNetwork _network = new();
    private readonly HandOverAcceptor _acceptor = new();

    [Fact]
    public async Task Cut_link_breaks_and_stays_refused_until_healed()
    {
        using var registration = _network.Register(s_us, _acceptor);
        var pair = await OpenAsync(s_eu);
        var other = await OpenAsync(s_ap);
        var reading = pair.Dialler.Input.ReadAsync().AsTask();
        _network.Cut(s_us, s_eu);
        await Assert.ThrowsAsync<IOException>(() => reading);
        await Assert.ThrowsAsync<IOException>(async () => await pair.Acceptor.Output.WriteAsync(new byte[1]));
        var fault = await Assert.ThrowsAsync<ReplicationException>(() => OpenAsync(s_eu));
        Assert.Equal(ReplicationErrorKind.Transient, fault.Kind);

        // The link of the third node is another one.
        await other.Dialler.Output.WriteAsync(new byte[1]);
        Assert.Equal(1, (await other.Acceptor.Input.ReadAsync()).Buffer.Length);

        _network.Heal(s_eu, s_us);
        await using var again = await OpenAsync(s_eu);
        pair.EndAcceptor();
        other.EndAcceptor();
    }

    [Fact]
    public async Task Crash_breaks_what_a_node_dialled_and_what_it_accepted()
    {
        var registration = _network.Register(s_us, _acceptor);
        using var eu = _network.Register(s_eu, _acceptor);
        var accepted = await OpenAsync(s_eu);
        var dialled = await _acceptor.PairWithAsync(await _network.For(s_us).ConnectAsync(new(s_eu, new Uri("memory://eu")), default));
        registration.Dispose();
        await Assert.ThrowsAsync<IOException>(async () => await accepted.Dialler.Input.ReadAsync());
        await Assert.ThrowsAsync<IOException>(async () => await dialled.Acceptor.Input.ReadAsync());
        Assert.Equal(0, _network.OpenConnections);
        await Assert.ThrowsAsync<ReplicationException>(() => OpenAsync(s_eu));
        accepted.EndAcceptor();
        dialled.EndAcceptor();
        Assert.Empty(_network.AcceptorFaults);
    }

    [Fact]
    public async Task Closed_connections_are_forgotten()
    {
        using var registration = _network.Register(s_us, _acceptor);
        var pair = await OpenAsync(s_eu);
        Assert.Equal(1, _network.OpenConnections);
        await pair.DisposeAsync();
        Assert.Equal(0, _network.OpenConnections);
    }

    private async Task<ConnectedPair> OpenAsync(NodeName from) =>
        await _acceptor.PairWithAsync(await _network.For(from).ConnectAsync(new PeerAddress(s_us, new Uri("memory://us")), default));
}
