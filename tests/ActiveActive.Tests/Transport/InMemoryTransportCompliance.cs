using ActiveActive.Testing.Transport;
using ActiveActive.Tests.Compliance;
using ActiveActive.Transport;

namespace ActiveActive.Tests.Transport;

public sealed class InMemoryTransportCompliance : TransportCompliance
{
    private protected override ValueTask<ITransportUnderTest> StartAsync() => new(new InMemory());

    private sealed class InMemory : ITransportUnderTest
    {
        private static readonly Uri s_anywhere = new("memory://network");

        private readonly InMemoryNetwork _network = new();
        private readonly HandOverAcceptor _acceptor = new();
        private readonly IDisposable _registration;

        public InMemory() => _registration = _network.Register(new("us"), _acceptor);

        public async Task<ConnectedPair> OpenAsync() =>
            await _acceptor.PairWithAsync(await _network.For(new("eu")).ConnectAsync(new(new("us"), s_anywhere), default));

        public async Task<IPeerConnection> DialUnknownAsync() => await _network.For(new("eu")).ConnectAsync(new(new("nobody"), s_anywhere), default);

        public ValueTask DisposeAsync()
        {
            _registration.Dispose();
            Assert.Empty(_network.AcceptorFaults);
            return ValueTask.CompletedTask;
        }
    }
}
