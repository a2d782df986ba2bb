using System.Buffers.Binary;
using System.IO.Compression;
using ActiveActive.Transport;

namespace ActiveActive.Fuzz.Targets;

/// <summary>Compressed frames: garbage in what is compressed, in the compressed bytes and in the length that is announced.</summary>
internal sealed class CompressedTarget : FuzzTarget
{
    private readonly byte[] _relation;

    public CompressedTarget()
    {
        var frames = SampleFiles.Frames().ToList();
        _relation = FrameTarget.Sealed(frames.First(f => f.Name == "relation").Payload);
        var transaction = frames.First(f => f.Name == "transaction").Payload;
        var heartbeat = frames.First(f => f.Name == "heartbeat").Payload;
        Seed([0, 0, 0, 0], transaction);
        Seed([0, 0, 0, 0], [.. transaction, .. heartbeat, .. transaction]);
        Seed([0, 0, 0, 0], [.. Enumerable.Repeat(heartbeat, 500).SelectMany(static h => h)]);
        foreach (var (_, payload) in frames) Seed([0, 0, 0, 1], payload);
        // Bombs: much of nothing.
        Seed([0, 0, 0, 0], new byte[60_000]);
        Seed([0, 0xf, 0, 0], new byte[60_000]);
    }

    public override string Name => "compressed";

    // What the second piece is: 0 and 1 compressed here, 2 the compressed bytes themselves, changed; 3 the same with a flipped bit.
    protected override int Variants => 4;

    public override long AllowedBytes(FuzzInput input)
    {
        var content = Content(input);
        long announced = Announced(input);
        // What it is refused for is not decompressed.
        return base.AllowedBytes(input) + (announced > 0 && announced <= Math.Min(FrameTarget.MaxFrameBytes, content.Length * (long)FrameLimits.MaxExpansion) ? announced * 64 : 0);
    }

    public override int Run(FuzzInput input)
    {
        byte[] stream = [.. _relation, .. CompressedFrame.Encode(Announced(input), Content(input))];
        var decoder = new FrameDecoder(FrameTarget.MaxFrameBytes) { TakesCompressed = true };
        var buffer = Segments.Of(stream, input.SegmentBytes);
        var outcome = 17;
        while (decoder.TryDecode(ref buffer, out var frame)) outcome = Math.Min(100, outcome + 1 + (frame is TransactionFrame t ? Math.Min(3, t.Transaction.Changes.Count) : 0));
        return outcome;
    }

    /// <summary>The first piece is how far the announced length is off.</summary>
    private static int Announced(FuzzInput input)
    {
        Span<byte> off = stackalloc byte[4];
        input.Pieces[0].AsSpan(0, Math.Min(4, input.Pieces[0].Length)).CopyTo(off);
        return unchecked((input.Pieces.Length > 1 ? input.Pieces[1].Length : 0) + BinaryPrimitives.ReadInt32BigEndian(off));
    }

    private static byte[] Content(FuzzInput input)
    {
        var inner = input.Pieces.Length > 1 ? input.Pieces[1] : [];
        if (input.Variant == 2) return inner;
        var room = new byte[inner.Length + 1_000];
        if (!BrotliEncoder.TryCompress(inner, room, out var count, quality: 1, window: 18)) throw new InvalidOperationException("There was not enough room.");
        var content = room[..count];
        if (input.Variant == 3 && count > 0) content[inner.Length % count] ^= (byte)(1 << (inner.Length % 8));
        return content;
    }
}
