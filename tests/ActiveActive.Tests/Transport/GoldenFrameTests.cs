using System.Text;
using System.Text.RegularExpressions;
using ActiveActive.Changes;
using ActiveActive.Tests.Snapshots;
using ActiveActive.Transport;
using static ActiveActive.Tests.Transport.FrameSamples;

namespace ActiveActive.Tests.Transport;

/// <summary>
/// The bytes of every frame, a file for each version of the protocol. What a published version writes never changes; a change of the protocol is a new file.
/// </summary>
public sealed partial class GoldenFrameTests
{
    [Fact]
    public void Protocol_1() => Snapshot.Verify(Golden(Common(), HelloOfProtocol1, WelcomeOfProtocol1));

    [Fact]
    public void Protocol_2() => Snapshot.Verify(Golden([.. Common(), ("compressed", CompressedFrame.TryEncode([.. Many().Select(new TransactionEncoder(MaxFrameBytes).Encode)])!)], Hello, Welcome));

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void Golden_bytes_are_read_as_what_they_were(int protocol)
    {
        var decoder = new FrameDecoder(MaxFrameBytes) { TakesCompressed = true };
        var read = new Dictionary<string, string>();
        foreach (var (name, bytes) in Recorded(protocol)) read.Add(name, Describe(Decode(decoder, bytes)));
        Assert.Equal(Describe(protocol == 1 ? HelloOfProtocol1 : Hello), read["hello"]);
        Assert.Equal(Describe(protocol == 1 ? WelcomeOfProtocol1 : Welcome), read["welcome"]);
        Assert.Equal(Describe(EveryShape()), read["transaction"]);
        Assert.Equal(Describe(FoundRow), read["row"]);
        if (protocol < 2) return;
        var compressed = new List<string> { read["compressed"] };
        while (decoder.TryTakeDecompressed(out var frame)) compressed.Add(Describe(frame));
        Assert.Equal(Many().Select(Describe), compressed);
    }

    [Fact]
    public void Handshake_of_either_version_is_read_with_fields_of_the_future()
    {
        foreach (var frame in new Frame[] { Hello, HelloOfProtocol1, Welcome, WelcomeOfProtocol1, Refuse })
        {
            var bytes = FrameCodec.Encode(frame);
            var payload = bytes[FrameLimits.HeaderBytes..];
            payload[0] += 3;
            // A number, a map in a list, a text.
            byte[] longer = [.. payload, 0x07, 0x91, 0x81, 0xa1, (byte)'k', 0x92, 0xc0, 0xc3, 0xa3, (byte)'n', (byte)'e', (byte)'w'];
            Assert.Equal(Describe(frame), Describe(new FrameDecoder(MaxFrameBytes).DecodePayload(new(longer))));
            Assert.Throws<ReplicationException>(() => new FrameDecoder(MaxFrameBytes).DecodePayload(new(longer[..^1])));
            Assert.Throws<ReplicationException>(() => new FrameDecoder(MaxFrameBytes).DecodePayload(new((byte[])[.. longer, 0xc0])));
        }
    }

    [Fact]
    public void No_other_frame_has_fields_of_the_future()
    {
        foreach (var frame in new Frame[] { Ack, UniqueKeys, RowRequest, FoundRow, new PingFrame(), new RelationFrame(9, Accounts()) })
        {
            var payload = FrameCodec.Encode(frame)[FrameLimits.HeaderBytes..];
            payload[0]++;
            Assert.Throws<ReplicationException>(() => new FrameDecoder(MaxFrameBytes).DecodePayload(new((byte[])[.. payload, 0xc0])));
        }
    }

    [Fact]
    public void Nested_fields_of_the_future_do_not_exhaust_the_stack()
    {
        var payload = FrameCodec.Encode(Refuse)[FrameLimits.HeaderBytes..];
        payload[0]++;
        byte[] nested = [.. payload, .. Enumerable.Repeat((byte)0x91, 1 << 20), 0xc0];
        Assert.Equal(Refuse, new FrameDecoder(MaxFrameBytes).DecodePayload(new(nested)));
    }

    /// <summary>Those that both versions have alike.</summary>
    private static IEnumerable<(string Name, byte[] Bytes)> Common()
    {
        var encoder = new TransactionEncoder(MaxFrameBytes);
        var transaction = encoder.Encode(EveryShape());
        return
        [
            ("refuse", FrameCodec.Encode(Refuse)),
            ("relation", transaction.Relations[0].FrameBytes.ToArray()),
            ("transaction", transaction.FrameBytes.ToArray()),
            ("heartbeat", encoder.Encode(Heartbeat()).FrameBytes.ToArray()),
            ("unique keys", FrameCodec.Encode(UniqueKeys)),
            ("ack", FrameCodec.Encode(Ack)),
            ("ping", FrameCodec.Encode(new PingFrame())),
            ("row request", FrameCodec.Encode(RowRequest)),
            ("row", FrameCodec.Encode(FoundRow)),
            ("row that is gone", FrameCodec.Encode(GoneRow)),
        ];
    }

    private static IEnumerable<ChangeTransaction> Many()
    {
        var accounts = Accounts();
        for (var i = 0UL; i < 40; i++)
        {
            yield return EveryShape() with { Position = new(0x2_0000_0010 + i), Part = 0, Changes = [Change.Insert(accounts, Row($"{i}", "eu", "10.00", "grüß 🙂"))] };
        }
    }

    private static string Golden(IEnumerable<(string Name, byte[] Bytes)> frames, HelloFrame hello, WelcomeFrame welcome)
    {
        var text = new StringBuilder();
        foreach (var (name, bytes) in frames.Prepend(("welcome", FrameCodec.Encode(welcome))).Prepend(("hello", FrameCodec.Encode(hello)))) text.Append($"{name}\n{Hex(bytes)}\n");
        return text.ToString();
    }

    /// <summary>Sixteen bytes a line: a change of the protocol shows as the lines that it changes.</summary>
    private static string Hex(ReadOnlySpan<byte> bytes)
    {
        var text = new StringBuilder();
        for (var i = 0; i < bytes.Length; i += 16)
        {
            var line = bytes.Slice(i, Math.Min(16, bytes.Length - i));
            text.Append(Convert.ToHexStringLower(line).PadRight(34));
            foreach (var b in line) text.Append(b is >= 0x20 and < 0x7f ? (char)b : '.');
            text.Append('\n');
        }

        return text.ToString();
    }

    private static IEnumerable<(string Name, byte[] Bytes)> Recorded(int protocol)
    {
        foreach (var section in Snapshot.Read($"Protocol_{protocol}").Split("\n\n", StringSplitOptions.RemoveEmptyEntries))
        {
            var lines = section.Trim('\n').Split('\n');
            yield return (lines[0], [.. lines.Skip(1).SelectMany(line => Convert.FromHexString(HexOfLine().Match(line).Value))]);
        }
    }

    [GeneratedRegex("^[0-9a-f]+")]
    private static partial Regex HexOfLine();
}
