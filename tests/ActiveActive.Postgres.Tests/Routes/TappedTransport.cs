using System.IO.Pipelines;
using System.Text;
using ActiveActive.Credentials;
using ActiveActive.Transport;
using Microsoft.Extensions.DependencyInjection;

namespace ActiveActive.Postgres.Tests.Routes;

/// <summary>The real transport of a node that dials, and a copy of every byte that it is sent: changes, relayed ones, rows that it asks for, copies.</summary>
internal sealed class TappedTransport(IPeerTransport inner) : IPeerTransport
{
    private readonly List<MemoryStream> _received = [];

    /// <summary>For one node's application, each time it starts.</summary>
    public static IPeerTransport Of(IServiceProvider provider, Action<TappedTransport> made)
    {
        var tapped = new TappedTransport(new HttpPeerTransport(provider.GetRequiredService<CredentialStore>()));
        made(tapped);
        return tapped;
    }

    public async ValueTask<IPeerConnection> ConnectAsync(PeerAddress peer, CancellationToken cancellationToken) => new Tapped(await inner.ConnectAsync(peer, cancellationToken), Add());

    /// <summary>How often a text stands in what was received.</summary>
    public int Count(string text)
    {
        lock (_received) return _received.Sum(stream =>
        {
            lock (stream) return Encoding.Latin1.GetString(stream.GetBuffer(), 0, (int)stream.Length).Split(text).Length - 1;
        });
    }

    private MemoryStream Add()
    {
        var stream = new MemoryStream();
        lock (_received) _received.Add(stream);
        return stream;
    }

    private sealed class Tapped(IPeerConnection connection, MemoryStream received) : IPeerConnection
    {
        public PipeReader Input { get; } = PipeReader.Create(new TapStream(connection.Input.AsStream(), received));

        public PipeWriter Output => connection.Output;

        public void Abort() => connection.Abort();

        public ValueTask DisposeAsync() => connection.DisposeAsync();
    }

    private sealed class TapStream(Stream inner, MemoryStream received) : Stream
    {
        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => false;

        public override long Length => throw new NotSupportedException();

        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

        public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            var read = await inner.ReadAsync(buffer, cancellationToken);
            lock (received) received.Write(buffer.Span[..read]);
            return read;
        }

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override void Flush()
        {
        }

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    }
}
