using System.Buffers;
using System.Collections.Concurrent;
using ActiveActive.Changes;
using ActiveActive.Database;
using ActiveActive.Transport;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.Logging;

namespace ActiveActive.Postgres.Tests.BadInput;

/// <summary>A web server where a peer should be: whoever dials it gets the next kind of garbage.</summary>
internal sealed class GarbagePeer : IAsyncDisposable
{
    public const string Name = "c";
    private const int MaxFrameBytes = 1 << 20;

    private readonly WebApplication _application;
    private readonly ConcurrentQueue<byte[]> _answers;

    private GarbagePeer(WebApplication application, ConcurrentQueue<byte[]> answers) => (_application, _answers) = (application, answers);

    /// <summary>Whether every kind has been said once.</summary>
    public bool IsExhausted => _answers.IsEmpty;

    private static DatabaseIdentity Identity { get; } = new(99, 1, 1, new Guid(99, 0, 0, new byte[8]), 180_004);

    public static async Task<GarbagePeer> StartAsync(int port)
    {
        var answers = new ConcurrentQueue<byte[]>([.. BeforeTheHandshake(), .. AfterTheWelcome().Select(garbage => (byte[])[.. Welcome(), .. garbage])]);
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.ListenLocalhost(port, listen => listen.Protocols = HttpProtocols.Http2));
        var application = builder.Build();
        application.MapPost(PeerProtocol.DefaultPath, async context =>
        {
            await context.Response.BodyWriter.FlushAsync(context.RequestAborted);
            await context.Request.BodyReader.ReadAsync(context.RequestAborted);
            if (!answers.TryDequeue(out var answer)) return;
            await context.Response.BodyWriter.WriteAsync(answer, context.RequestAborted);
        });
        await application.StartAsync();
        return new GarbagePeer(application, answers);
    }

    /// <summary>Where a hello or its answer belongs.</summary>
    public static IEnumerable<byte[]> BeforeTheHandshake()
    {
        var noise = new byte[5_000];
        new Random(32).NextBytes(noise);
        var hello = FrameCodec.Encode(Hello("x", "y"));
        yield return [0];
        yield return noise;
        yield return "GET / HTTP/1.1\r\n\r\n"u8.ToArray();
        yield return [.. Enumerable.Repeat((byte)0xff, 64)];
        yield return hello[..^1];
        yield return [.. hello[..4], 1, 2, 3, 4, .. hello[8..]];
        // Announces more than is let in.
        yield return [0xff, 0xff, 0xff, 0x7f, 0, 0, 0, 0, 0x9b, 1];
        yield return Sealed([0x9f, 1, .. Enumerable.Repeat((byte)0x91, 100_000)]);
        yield return FrameCodec.Encode(new PingFrame());
    }

    /// <summary>Where transactions belong.</summary>
    public static IEnumerable<byte[]> AfterTheWelcome()
    {
        var relation = new Relation(new("public", "t"), new("public", "t"), [new("id", "integer", 1), new("v", "text", 0), new("n", "integer", 0)]);
        var insert = new ChangeTransaction
        {
            Origin = new NodeName(Name), Position = new(0x100), Stamp = new CommitTimestamp(1), Dependencies = DependencyVector.Empty,
            Changes = [Change.Insert(relation, [ColumnValue.Of("666"), ColumnValue.Of("of the garbage"), ColumnValue.Of("1")])],
        };
        var encoded = new TransactionEncoder(MaxFrameBytes).Encode(insert);
        yield return Sealed([0x99, 5]);
        // Of a table that was not announced; then of one that was announced twice.
        yield return encoded.FrameBytes.ToArray();
        yield return [.. encoded.Relations[0].FrameBytes.Span, .. encoded.Relations[0].FrameBytes.Span, .. encoded.FrameBytes.Span];
        yield return new TransactionEncoder(MaxFrameBytes).Encode(insert with { Origin = new NodeName("b"), Changes = [] }).FrameBytes.ToArray();
        yield return FrameCodec.Encode(Hello("x", "y"));
        yield return CompressedFrame.Encode(256 << 20, [0x6b, 0xff, 0xff]);
        yield return CompressedFrame.Encode(100, new byte[100]);
        var cut = encoded.FrameBytes.ToArray();
        cut[^1] ^= 1;
        yield return [.. encoded.Relations[0].FrameBytes.Span, .. cut];
    }

    public static HelloFrame Hello(string from, string to) => new(
        Handshake.MinProtocol, Handshake.MaxProtocol, new NodeName(from), new NodeName(to), new NodeName(to), Identity,
        ClusterSettings.Of([new TableRule { Pattern = "public.*" }], null), default, Features: [Handshake.Brotli]);

    public async ValueTask DisposeAsync() => await _application.DisposeAsync();

    private static byte[] Welcome() => FrameCodec.Encode(new WelcomeFrame(2, new NodeName(Name), Identity, default, [Handshake.Brotli]));

    private static byte[] Sealed(byte[] payload)
    {
        var buffer = new ArrayBufferWriter<byte>();
        FrameCodec.Begin(buffer);
        buffer.Write(payload);
        return FrameCodec.Seal(buffer);
    }
}
