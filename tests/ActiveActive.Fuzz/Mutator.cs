using System.Buffers.Binary;

namespace ActiveActive.Fuzz;

/// <summary>Changes bytes so that they stay near what is right: most garbage that hurts is nearly right.</summary>
internal sealed class Mutator(Random random)
{
    // The first bytes of MessagePack's forms: short and long texts, binaries, arrays, maps, numbers, nil, booleans, extensions.
    private static readonly byte[] s_codes =
    [
        0x00, 0x7f, 0x80, 0x8f, 0x90, 0x91, 0x93, 0x99, 0x9b, 0x9f, 0xa0, 0xa1, 0xbf, 0xc0, 0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc9, 0xca, 0xcb, 0xcc, 0xcd, 0xce, 0xcf,
        0xd0, 0xd1, 0xd2, 0xd3, 0xd4, 0xd8, 0xd9, 0xda, 0xdb, 0xdc, 0xdd, 0xde, 0xdf, 0xe0, 0xff,
    ];

    private static readonly long[] s_numbers = [0, 1, -1, 2, 15, 16, 31, 32, 127, 128, 255, 256, short.MaxValue, ushort.MaxValue, int.MaxValue, uint.MaxValue, int.MinValue, long.MaxValue, long.MinValue];

    public Random Random => random;

    /// <summary>Some changes, one after the other.</summary>
    /// <param name="bytes">Not touched.</param>
    /// <param name="other">Where pieces are taken from.</param>
    public byte[] Mutate(byte[] bytes, byte[] other)
    {
        var result = (byte[])bytes.Clone();
        for (var i = random.Next(1, random.Next(4) == 0 ? 12 : 4); i > 0; i--) result = MutateOnce(result, other);
        return result;
    }

    private byte[] MutateOnce(byte[] bytes, byte[] other)
    {
        if (bytes.Length == 0) return [(byte)random.Next(256)];
        var at = random.Next(bytes.Length);
        switch (random.Next(10))
        {
            case 0:
                bytes[at] ^= (byte)(1 << random.Next(8));
                return bytes;
            case 1:
                bytes[at] = (byte)random.Next(256);
                return bytes;
            case 2 or 3:
                bytes[at] = s_codes[random.Next(s_codes.Length)];
                return bytes;
            case 4:
                OverwriteNumber(bytes.AsSpan(at));
                return bytes;
            case 5:
                return [.. bytes.AsSpan(0, at), .. bytes.AsSpan(Math.Min(bytes.Length, at + random.Next(1, 9)))];
            case 6:
                return bytes[..at];
            case 7:
                // A piece once more, or many times.
                var piece = bytes.AsSpan(at, Math.Min(bytes.Length - at, random.Next(1, 17))).ToArray();
                var times = bytes.Length > 20_000 ? 1 : random.Next(20) == 0 ? random.Next(200) : random.Next(1, 4);
                var result = new byte[bytes.Length + (times * piece.Length)];
                bytes.AsSpan(0, at).CopyTo(result);
                for (var i = 0; i < times; i++) piece.CopyTo(result, at + (i * piece.Length));
                bytes.AsSpan(at).CopyTo(result.AsSpan(at + (times * piece.Length)));
                return result;
            case 8:
                if (other.Length == 0 || bytes.Length > 50_000) return bytes;
                var from = random.Next(other.Length);
                return [.. bytes.AsSpan(0, at), .. other.AsSpan(from, Math.Min(other.Length - from, random.Next(1, 64))), .. bytes.AsSpan(at)];
            default:
                return [.. bytes.AsSpan(0, at), s_codes[random.Next(s_codes.Length)], .. bytes.AsSpan(at)];
        }
    }

    private void OverwriteNumber(Span<byte> room)
    {
        var number = s_numbers[random.Next(s_numbers.Length)] + (random.Next(3) - 1);
        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteInt64BigEndian(bytes, number);
        var size = Math.Min(room.Length, 1 << random.Next(4));
        bytes[(8 - size)..].CopyTo(room);
    }
}
