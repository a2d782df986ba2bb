using System.Buffers;

namespace ActiveActive.Fuzz.Targets;

/// <summary>Bytes as a network may hand them over: in pieces.</summary>
internal sealed class Segments : ReadOnlySequenceSegment<byte>
{
    private Segments(ReadOnlyMemory<byte> memory, Segments? previous)
    {
        Memory = memory;
        if (previous is null) return;
        previous.Next = this;
        RunningIndex = previous.RunningIndex + previous.Memory.Length;
    }

    public static ReadOnlySequence<byte> Of(ReadOnlyMemory<byte> bytes, int segmentBytes)
    {
        // Few and large ones where there are many bytes: the pieces are not what is measured.
        segmentBytes = Math.Max(segmentBytes, bytes.Length / 256);
        if (bytes.Length <= segmentBytes) return new(bytes);
        Segments? first = null;
        Segments? last = null;
        for (var i = 0; i < bytes.Length; i += segmentBytes)
        {
            last = new Segments(bytes.Slice(i, Math.Min(segmentBytes, bytes.Length - i)), last);
            first ??= last;
        }

        return new(first!, 0, last!, last!.Memory.Length);
    }
}
