using System.Net;
using System.Net.Sockets;
using ActiveActive.Testing;

namespace ActiveActive.Tests.Network;

/// <summary>Each fault of the proxy over real sockets, by what its two ends see.</summary>
public sealed class FaultProxyTests : IAsyncLifetime
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(20);

    private readonly TcpListener _target = new(IPAddress.Loopback, 0);
    // Held, or the collector would end them.
    private readonly List<Socket> _sockets = [];
    private FaultProxy _proxy = null!;

    public ValueTask InitializeAsync()
    {
        _target.Start();
        _proxy = FaultProxy.Start((IPEndPoint)_target.LocalEndpoint);
        return default;
    }

    [Fact]
    public async Task Bytes_and_ends_pass_both_ways()
    {
        var (dialler, target) = await PairAsync();
        await SendAsync(dialler, 1, 2, 3);
        Assert.Equal([1, 2, 3], await ReceiveAsync(target, 3));
        await SendAsync(target, 4);
        target.Shutdown(SocketShutdown.Send);
        Assert.Equal([4], await ReceiveAsync(dialler, 1));
        Assert.Empty(await ReceiveAsync(dialler, 1));
        dialler.Shutdown(SocketShutdown.Send);
        Assert.Empty(await ReceiveAsync(target, 1));
        Assert.Equal(3, _proxy.Upstream.PassedBytes);
    }

    [Fact]
    public async Task Cut_resets_both_ends_and_lets_new_connections_pass()
    {
        var (dialler, target) = await PairAsync();
        _proxy.Cut();
        Assert.Equal(SocketError.ConnectionReset, (await Assert.ThrowsAsync<SocketException>(() => ReceiveAsync(dialler, 1))).SocketErrorCode);
        Assert.Equal(SocketError.ConnectionReset, (await Assert.ThrowsAsync<SocketException>(() => ReceiveAsync(target, 1))).SocketErrorCode);
        (dialler, target) = await PairAsync();
        await SendAsync(dialler, 1);
        Assert.Equal([1], await ReceiveAsync(target, 1));
    }

    [Fact]
    public async Task Reset_of_one_end_reaches_the_other()
    {
        var (dialler, target) = await PairAsync();
        dialler.LingerState = new LingerOption(true, 0);
        dialler.Close();
        Assert.Equal(SocketError.ConnectionReset, (await Assert.ThrowsAsync<SocketException>(() => ReceiveAsync(target, 1))).SocketErrorCode);
    }

    [Fact]
    public async Task Close_ends_both_in_order()
    {
        var (dialler, target) = await PairAsync();
        _proxy.Close();
        Assert.Empty(await ReceiveAsync(dialler, 1));
        Assert.Empty(await ReceiveAsync(target, 1));
    }

    [Fact]
    public async Task Refused_connection_is_reset()
    {
        _proxy.Refuses = true;
        // The reset may come before the dial returns.
        await Assert.ThrowsAsync<SocketException>(async () => await ReceiveAsync(await DialAsync(), 1));
        _proxy.Heal();
        await PairAsync();
    }

    [Fact]
    public async Task Stalled_bytes_arrive_after_the_stall()
    {
        var (dialler, target) = await PairAsync();
        _proxy.Upstream.IsStalled = true;
        await SendAsync(dialler, 1);
        // The other way passes meanwhile.
        await SendAsync(target, 2);
        Assert.Equal([2], await ReceiveAsync(dialler, 1));
        Assert.Equal(0, _proxy.Upstream.PassedBytes);
        _proxy.Heal();
        Assert.Equal([1], await ReceiveAsync(target, 1));
    }

    [Fact]
    public async Task Connection_that_has_lost_bytes_is_dead_and_nobody_is_told()
    {
        var (dialler, target) = await PairAsync();
        _proxy.BlackHole();
        await SendAsync(dialler, 1);
        var deadline = DateTime.UtcNow + s_patience;
        while (_proxy.Upstream.LostBytes == 0 && DateTime.UtcNow < deadline) await Task.Yield();
        Assert.Equal(1, _proxy.Upstream.LostBytes);
        _proxy.Heal();
        await SendAsync(dialler, 2);
        dialler.LingerState = new LingerOption(true, 0);
        dialler.Close();
        var reading = ReceiveAsync(target, 1);
        // New connections pass; by then the proxy has had time for the old one's bytes and end.
        var (other, otherTarget) = await PairAsync();
        await SendAsync(other, 3);
        Assert.Equal([3], await ReceiveAsync(otherTarget, 1));
        Assert.False(reading.IsCompleted);
        // That one may be counted a moment after it has arrived.
        Assert.InRange(_proxy.Upstream.PassedBytes, 0, 1);
        _proxy.Cut();
        await Assert.ThrowsAsync<SocketException>(() => reading);
    }

    [Fact]
    public async Task Latency_holds_back_and_does_not_hold_up()
    {
        var (dialler, _) = await PairAsync();
        _proxy.Upstream.Latency = TimeSpan.FromMinutes(1);
        // All of it is taken, though nothing of it can have arrived.
        await dialler.SendAsync(new byte[32 << 20]).WaitAsync(s_patience);
        Assert.Equal(0, _proxy.Upstream.PassedBytes);
    }

    [Fact]
    public async Task Sender_feels_a_receiver_that_takes_nothing()
    {
        var (dialler, target) = await PairAsync();
        _proxy.Upstream.IsStalled = true;
        var sending = dialler.SendAsync(new byte[32 << 20]);
        Assert.False(sending.IsCompleted);
        _proxy.Heal();
        var received = 0;
        while (received < 32 << 20) received += (await ReceiveAsync(target, 1 << 20)).Length;
        await sending.WaitAsync(s_patience);
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(61_000)]
    public void Latency_beyond_its_range_is_refused(int milliseconds) =>
        Assert.Throws<ArgumentOutOfRangeException>(() => _proxy.Upstream.Latency = TimeSpan.FromMilliseconds(milliseconds));

    [Fact]
    public void Bandwidth_of_nothing_is_refused() => Assert.Throws<ArgumentOutOfRangeException>(() => _proxy.Upstream.BytesPerSecond = 0);

    public async ValueTask DisposeAsync()
    {
        await _proxy.DisposeAsync();
        foreach (var socket in _sockets) socket.Dispose();
        _target.Dispose();
    }

    private async Task<(Socket Dialler, Socket Target)> PairAsync()
    {
        var dialler = await DialAsync();
        var target = await _target.AcceptSocketAsync().WaitAsync(s_patience);
        _sockets.Add(target);
        return (dialler, target);
    }

    private async Task<Socket> DialAsync()
    {
        var dialler = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        _sockets.Add(dialler);
        await dialler.ConnectAsync(IPAddress.Loopback, _proxy.Port).WaitAsync(s_patience);
        return dialler;
    }

    private static async Task SendAsync(Socket socket, params byte[] bytes) => await socket.SendAsync(bytes);

    private static async Task<byte[]> ReceiveAsync(Socket socket, int most)
    {
        var buffer = new byte[most];
        var count = await socket.ReceiveAsync(buffer).WaitAsync(s_patience);
        return buffer[..count];
    }
}
