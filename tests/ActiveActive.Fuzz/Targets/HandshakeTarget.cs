using System.IO.Pipelines;
using ActiveActive.Credentials;
using ActiveActive.Database;
using ActiveActive.Testing.Database;
using ActiveActive.Transport;
using Microsoft.Extensions.Logging.Abstractions;
using NpgsqlTypes;

namespace ActiveActive.Fuzz.Targets;

/// <summary>
/// What is said before two nodes trust each other, over real connections: to a node that accepts, to the check of a hello, and as the answer to a dialler.
/// </summary>
internal sealed class HandshakeTarget : FuzzTarget
{
    private static readonly NodeName s_eu = new("eu");
    private static readonly NodeName s_us = new("us");
    private static readonly DatabaseIdentity s_identity = new(7, 1, 16_384, new Guid(7, 0, 0, new byte[8]), 180_004);

    private readonly Handshake _handshake = new(s_us, s_identity, [s_eu, new("ap")], [new("tables", "public.*"), new("delta", "public.accounts.balance")]) { Compresses = static _ => true };
    private readonly IPeerAcceptor _node;

    public HandshakeTarget()
    {
        var frames = SampleFiles.Frames().ToList();
        foreach (var (name, payload) in frames)
        {
            if (name is "hello" or "welcome" or "refuse") Seed(payload);
        }

        var ack = frames.First(f => f.Name == "ack").Payload;
        var keys = frames.First(f => f.Name == "unique keys").Payload;
        foreach (var hello in Hellos()) Seed(FrameCodec.Encode(hello)[FrameLimits.HeaderBytes..], ack, keys, ack);
        var options = new ReplicationNodeOptions { Name = "us" };
        options.Peers.Add("eu", new PeerOptions { Addresses = { new Uri("http://localhost") } });
        options.Tables.Add(new TableRule { Pattern = "public.*" });
        _node = new ReplicationNode(
            options, new InMemoryDatabase(new InMemoryDatabaseOptions { Node = s_us, Clock = TimeProvider.System, Tables = [] }), new NoTransport(), TimeProvider.System, NullLoggerFactory.Instance);
    }

    public override string Name => "handshake";

    // Whom it is said to; odd ones are bytes as they are in one of four.
    protected override int Variants => 8;

    public override int Run(FuzzInput input)
    {
        var stream = Segments.Of(FrameTarget.Stream(input.Pieces, isSealed: input.Variant != 7), input.SegmentBytes);
        var connection = new SaidConnection(PipeReader.Create(stream));
        var running = (input.Variant % 3) switch
        {
            0 => AcceptAsync(connection),
            1 => CheckAsync(connection),
            _ => DialAsync(connection),
        };
        // All that is said is there: there is nothing to wait for.
        if (!running.IsCompleted) throw new InvalidOperationException("It waits for something.");
        return running.GetAwaiter().GetResult();
    }

    private static IEnumerable<HelloFrame> Hellos()
    {
        var hello = new HelloFrame(1, 2, s_eu, s_us, s_us, s_identity with { SystemIdentifier = 8, Incarnation = Guid.Empty }, [new("tables", "public.*"), new("delta", "public.accounts.balance")], default, Features: [Handshake.Brotli]);
        return [hello, hello with { MaxProtocol = 1, Features = null }, hello with { Purpose = HelloPurpose.Rows }, hello with { Origin = new("ap") }, hello with { MinProtocol = 7, MaxProtocol = 9 }, hello with { Settings = [] }, hello with { From = s_us }];
    }

    private async Task<int> AcceptAsync(SaidConnection connection)
    {
        await _node.AcceptAsync(connection, PresentedCredential.InProcess, CancellationToken.None);
        return (int)Math.Min(9, connection.Written);
    }

    private async Task<int> CheckAsync(SaidConnection connection)
    {
        await using var frames = new FrameConnection(connection, "The peer", FrameTarget.MaxFrameBytes, Timeout.InfiniteTimeSpan, TimeProvider.System);
        if (await frames.ReadAsync(CancellationToken.None) is not HelloFrame hello) return 1;
        var answer = _handshake.Answer(hello, s_identity with { Incarnation = Guid.Empty }, new LogExtent(new(1), new(NpgsqlLogSequenceNumber.Invalid == hello.ResumeAfter ? 2UL : 3UL)));
        await frames.WriteAsync(answer, CancellationToken.None);
        await frames.FlushAsync(CancellationToken.None);
        var outcome = answer is RefuseFrame { Code: var code } ? code[^1] + (code[^2] * 10) : 2;
        while (await frames.ReadAsync(CancellationToken.None) is { } frame) outcome = unchecked((outcome * 31) + frame.GetType().Name.Length);
        return outcome;
    }

    private async Task<int> DialAsync(SaidConnection connection)
    {
        await using var frames = new FrameConnection(connection, "The peer", FrameTarget.MaxFrameBytes, Timeout.InfiniteTimeSpan, TimeProvider.System);
        var hello = _handshake.Hello(s_eu, s_eu, default, HelloPurpose.Changes, takesCompressed: true);
        await PeerGreeting.GreetAsync(frames, _handshake, hello, CancellationToken.None);
        var outcome = frames.TakesCompressed ? 3 : 4;
        while (await frames.ReadAsync(CancellationToken.None) is { } frame) outcome = unchecked((outcome * 31) + frame.GetType().Name.Length);
        return outcome;
    }

    /// <summary>Somebody who has said all that he will, and hears nothing.</summary>
    private sealed class SaidConnection(PipeReader input) : IPeerConnection
    {
        private readonly CountingStream _output = new();

        public PipeReader Input => input;

        public PipeWriter Output => field ??= PipeWriter.Create(_output);

        public long Written => _output.Count;

        public void Abort() => input.CancelPendingRead();

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }

    private sealed class CountingStream : MemoryStream
    {
        public long Count => Length;
    }

    private sealed class NoTransport : IPeerTransport
    {
        public ValueTask<IPeerConnection> ConnectAsync(PeerAddress peer, CancellationToken cancellationToken) => throw new NotSupportedException("This node does not dial.");
    }
}
