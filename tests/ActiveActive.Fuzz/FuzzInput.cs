using System.Globalization;

namespace ActiveActive.Fuzz;

/// <summary>One input: some pieces of bytes, which a target makes a stream of. All that a run depends on is in it.</summary>
/// <param name="Variant">What the target does with the pieces.</param>
/// <param name="SegmentBytes">In pieces of how many bytes a network hands the stream over.</param>
/// <param name="Pieces">Payloads of frames, or messages.</param>
internal sealed record FuzzInput(int Variant, int SegmentBytes, byte[][] Pieces)
{
    public long LengthBytes
    {
        get
        {
            long sum = 0;
            foreach (var piece in Pieces) sum += piece.Length;
            return sum;
        }
    }

    public static FuzzInput Parse(string text)
    {
        var parts = text.Split(':');
        return new FuzzInput(int.Parse(parts[0], CultureInfo.InvariantCulture), int.Parse(parts[1], CultureInfo.InvariantCulture), [.. parts[2].Split('.').Select(Convert.FromHexString)]);
    }

    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Variant}:{SegmentBytes}:{string.Join('.', Pieces.Select(Convert.ToHexStringLower))}");
}
