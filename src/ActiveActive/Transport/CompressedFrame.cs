using System.Buffers;
using System.IO.Compression;
using MessagePack;

namespace ActiveActive.Transport;

/// <summary>
/// Writes the frame that carries transactions compressed: their length, and their payloads one after the other as one Brotli stream. Made once for all
/// peers. <see cref="FrameDecoder"/> reads it.
/// </summary>
internal static class CompressedFrame
{
    /// <summary>What is smaller is sent as it is: it would take more of the processor than a line of 100 Mbit/s takes for the bytes that it saves (docs/PERFORMANCE.md).</summary>
    public const int LeastBytes = 1_024;

    // Of what was measured, the most bytes saved for the time; and a window that the reader has memory for.
    private const int Quality = 1;
    private const int WindowBits = 18;

    /// <summary>The whole frame; null where it is not worth it.</summary>
    /// <param name="transactions">Consecutive ones.</param>
    public static byte[]? TryEncode(params ReadOnlySpan<EncodedTransaction> transactions)
    {
        var length = 0;
        foreach (var transaction in transactions) length = checked(length + transaction.PayloadBytes.Length);
        if (length < LeastBytes) return null;
        var payloads = ArrayPool<byte>.Shared.Rent(length);
        var content = ArrayPool<byte>.Shared.Rent(length);
        try
        {
            var end = 0;
            foreach (var transaction in transactions)
            {
                transaction.PayloadBytes.Span.CopyTo(payloads.AsSpan(end));
                end += transaction.PayloadBytes.Length;
            }

            // An eighth must be gained, or the reader's work is not worth it.
            return BrotliEncoder.TryCompress(payloads.AsSpan(0, length), content.AsSpan(0, length - (length / 8)), out var count, Quality, WindowBits)
                && length <= (long)count * FrameLimits.MaxExpansion
                ? Encode(length, content.AsSpan(0, count)) : null;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(payloads);
            ArrayPool<byte>.Shared.Return(content);
        }
    }

    /// <summary>The frame around a content.</summary>
    public static byte[] Encode(int length, ReadOnlySpan<byte> content)
    {
        var buffer = new ArrayBufferWriter<byte>(content.Length + 32);
        FrameCodec.Begin(buffer);
        var writer = new MessagePackWriter(buffer);
        writer.WriteArrayHeader(3);
        writer.Write((int)FrameKind.Compressed);
        writer.Write(length);
        writer.Write(content);
        writer.Flush();
        return FrameCodec.Seal(buffer);
    }
}
