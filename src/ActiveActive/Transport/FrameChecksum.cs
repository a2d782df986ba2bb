using System.Buffers;
using System.Buffers.Binary;
using System.Numerics;

namespace ActiveActive.Transport;

/// <summary>
/// CRC-32C (Castagnoli). TLS and TCP have checks of their own; this one finds what lies between: a wrong buffer, a proxy, our own bugs.
/// </summary>
internal static class FrameChecksum
{
    public static uint Of(ReadOnlySpan<byte> bytes) => ~Add(uint.MaxValue, bytes);

    public static uint Of(in ReadOnlySequence<byte> bytes)
    {
        if (bytes.IsSingleSegment) return Of(bytes.FirstSpan);
        var crc = uint.MaxValue;
        foreach (var segment in bytes) crc = Add(crc, segment.Span);
        return ~crc;
    }

    private static uint Add(uint crc, ReadOnlySpan<byte> bytes)
    {
        while (bytes.Length >= sizeof(ulong))
        {
            crc = BitOperations.Crc32C(crc, BinaryPrimitives.ReadUInt64LittleEndian(bytes));
            bytes = bytes[sizeof(ulong)..];
        }

        foreach (var value in bytes) crc = BitOperations.Crc32C(crc, value);
        return crc;
    }
}
