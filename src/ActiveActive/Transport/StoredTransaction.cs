using System.Buffers;
using ActiveActive.Changes;

namespace ActiveActive.Transport;

/// <summary>A part of a transaction as bytes at rest: the frames of the relations that it refers to, then its own, as on a connection.</summary>
internal static class StoredTransaction
{
    public static byte[] Encode(ChangeTransaction part)
    {
        var encoded = new TransactionEncoder(int.MaxValue).Encode(part);
        var bytes = new ArrayBufferWriter<byte>(encoded.LengthBytes);
        foreach (var relation in encoded.Relations) bytes.Write(relation.FrameBytes.Span);
        bytes.Write(encoded.FrameBytes.Span);
        return bytes.WrittenSpan.ToArray();
    }

    /// <exception cref="ReplicationException">Corrupt: the bytes are not what <see cref="Encode"/> wrote.</exception>
    public static ChangeTransaction Decode(ReadOnlyMemory<byte> bytes)
    {
        var decoder = new FrameDecoder(int.MaxValue);
        var rest = new ReadOnlySequence<byte>(bytes);
        while (decoder.TryDecode(ref rest, out var frame))
        {
            if (frame is TransactionFrame { Transaction: var part } && rest.IsEmpty) return part;
        }

        throw new ReplicationException(ReplicationErrorKind.Corrupt, $"A stored transaction of {bytes.Length} bytes has no end.");
    }
}
