using System.Reflection;

namespace ActiveActive.Fuzz;

/// <summary>Inputs to begin with, as text in this program: what real nodes and servers have said.</summary>
internal static class SampleFiles
{
    /// <summary>The golden frames of every protocol version, by name, as payloads.</summary>
    public static IEnumerable<(string Name, byte[] Payload)> Frames()
    {
        foreach (var file in Assembly.GetExecutingAssembly().GetManifestResourceNames().Where(n => n.StartsWith("golden.", StringComparison.Ordinal)).Order(StringComparer.Ordinal))
        {
            foreach (var section in Read(file).Split("\n\n", StringSplitOptions.RemoveEmptyEntries))
            {
                var lines = section.Trim('\n').Split('\n');
                // Sixteen bytes a line, then the same as text.
                byte[] frame = [.. lines.Skip(1).SelectMany(static line => Convert.FromHexString(line[..Math.Min(32, line.Length)].TrimEnd()))];
                yield return (lines[0], frame[Transport.FrameLimits.HeaderBytes..]);
            }
        }
    }

    /// <summary>What a server said, a list for each stream.</summary>
    public static IEnumerable<byte[][]> PgOutput() =>
        Read("pgoutput").Split("\n\n", StringSplitOptions.RemoveEmptyEntries).Select(static stream =>
            stream.Split('\n', StringSplitOptions.RemoveEmptyEntries).Where(static line => !line.StartsWith('#')).Select(Convert.FromHexString).ToArray());

    private static string Read(string resource)
    {
        using var stream = Assembly.GetExecutingAssembly().GetManifestResourceStream(resource) ?? throw new InvalidOperationException($"{resource} is not in this program.");
        using var reader = new StreamReader(stream);
        return reader.ReadToEnd().ReplaceLineEndings("\n");
    }
}
