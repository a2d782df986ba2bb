using ActiveActive.Transport;

namespace ActiveActive.Tests.Transport;

/// <summary>Where a peer with several addresses is dialled, and what is told when none answers.</summary>
public sealed class PeerAddressesTests
{
    private static readonly Uri s_first = new("http://us-1");
    private static readonly Uri s_second = new("http://us-2");
    private static readonly Uri s_third = new("http://us-3");

    private readonly PeerAddresses _addresses = new(new NodeName("us"), [s_first, s_second, s_third]);
    private readonly List<Uri> _dialled = [];

    [Fact]
    public async Task Addresses_are_dialled_in_turn_and_the_one_that_led_comes_first_next_time()
    {
        Assert.Equal(s_third, await DialAsync(s_third));
        Assert.Equal([s_first, s_second, s_third], _dialled);
        _dialled.Clear();
        Assert.Equal(s_third, await DialAsync(s_third));
        Assert.Equal([s_third], _dialled);
        _dialled.Clear();
        Assert.Equal(s_second, await DialAsync(s_second));
        Assert.Equal([s_third, s_first, s_second], _dialled);
    }

    [Fact]
    public async Task Instance_that_stands_by_is_more_worth_knowing_than_one_that_refuses_and_that_more_than_one_that_is_down()
    {
        var standby = new PeerNotReadyException("stands by");
        var refused = new ReplicationException(ReplicationErrorKind.PeerRefused, "refused");
        var down = new ReplicationException(ReplicationErrorKind.Transient, "down");
        Assert.Same(standby, await FailAsync(refused, standby, down));
        Assert.Same(refused, await FailAsync(down, refused, down));
        Assert.Same(down, await FailAsync(new ReplicationException("first"), new ReplicationException("second"), down));
    }

    [Fact]
    public async Task Bug_or_cancellation_ends_the_round()
    {
        await Assert.ThrowsAsync<OperationCanceledException>(async () => await _addresses.DialAsync<int>(address =>
        {
            _dialled.Add(address.Address);
            throw new OperationCanceledException();
        }));
        Assert.Equal([s_first], _dialled);
    }

    private ValueTask<Uri> DialAsync(Uri leader) => _addresses.DialAsync(address =>
    {
        _dialled.Add(address.Address);
        return address.Address == leader ? new ValueTask<Uri>(leader) : throw new PeerNotReadyException("stands by");
    });

    private async Task<ReplicationException> FailAsync(params ReplicationException[] faults)
    {
        var next = 0;
        return await Assert.ThrowsAnyAsync<ReplicationException>(async () => await _addresses.DialAsync<int>(_ => throw faults[next++]));
    }
}
