using ActiveActive.Fuzz.Targets;

namespace ActiveActive.Fuzz;

/// <summary>Makes the input of a finding small: leaves out pieces, then stretches of bytes, as long as it ends in the same way.</summary>
internal static class Minimiser
{
    private const int MaxTries = 20_000;

    public static Finding Minimise(FuzzTarget target, Finding finding)
    {
        if (finding.Kind == FindingKind.Hang) return finding;
        var tries = 0;
        var shrunk = true;
        while (shrunk && tries < MaxTries)
        {
            shrunk = false;
            foreach (var smaller in Smaller(finding.Input))
            {
                if (tries++ >= MaxTries) break;
                if (InputRun.Run(target, smaller) is not { } again || again.Kind != finding.Kind) continue;
                finding = again;
                shrunk = true;
                break;
            }
        }

        return finding;
    }

    private static IEnumerable<FuzzInput> Smaller(FuzzInput input)
    {
        if (input.SegmentBytes != int.MaxValue) yield return input with { SegmentBytes = int.MaxValue };
        for (var i = 0; i < input.Pieces.Length && input.Pieces.Length > 1; i++) yield return input with { Pieces = [.. input.Pieces.Where((_, at) => at != i)] };
        for (var i = 0; i < input.Pieces.Length; i++)
        {
            for (var size = input.Pieces[i].Length / 2; size > 0; size /= 2)
            {
                for (var at = 0; at + size <= input.Pieces[i].Length; at += size)
                {
                    var pieces = (byte[][])input.Pieces.Clone();
                    pieces[i] = [.. pieces[i].AsSpan(0, at), .. pieces[i].AsSpan(at + size)];
                    yield return input with { Pieces = pieces };
                }
            }
        }
    }
}
