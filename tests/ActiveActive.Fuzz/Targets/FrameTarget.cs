using System.Buffers;
using ActiveActive.Transport;

namespace ActiveActive.Fuzz.Targets;

/// <summary>Frames as they come from a peer, under right checksums, or as bytes of any kind.</summary>
internal sealed class FrameTarget : FuzzTarget
{
    public const int MaxFrameBytes = 1 << 20;

    public FrameTarget()
    {
        var frames = SampleFiles.Frames().ToList();
        var relation = frames.First(f => f.Name == "relation").Payload;
        foreach (var (_, payload) in frames) Seed(relation, payload);
        Seed([.. frames.Select(f => f.Payload)]);
    }

    public override string Name => "frames";

    // In one of eight, the bytes are taken as they are.
    protected override int Variants => 8;

    public override int Run(FuzzInput input)
    {
        var decoder = new FrameDecoder(MaxFrameBytes);
        var buffer = Segments.Of(Stream(input.Pieces, isSealed: input.Variant != 0), input.SegmentBytes);
        var outcome = 17;
        while (decoder.TryDecode(ref buffer, out var frame)) outcome = unchecked((outcome * 31) + frame!.GetType().Name.Length + (frame is TransactionFrame t ? Math.Min(3, t.Transaction.Changes.Count) : 0));
        return outcome;
    }

    public static byte[] Stream(byte[][] pieces, bool isSealed)
    {
        var stream = new ArrayBufferWriter<byte>();
        foreach (var piece in pieces) stream.Write(isSealed ? Sealed(piece) : piece);
        return stream.WrittenSpan.ToArray();
    }

    public static byte[] Sealed(byte[] payload)
    {
        var buffer = new ArrayBufferWriter<byte>(payload.Length + FrameLimits.HeaderBytes + 1);
        FrameCodec.Begin(buffer);
        buffer.Write(payload);
        return FrameCodec.Seal(buffer);
    }
}
