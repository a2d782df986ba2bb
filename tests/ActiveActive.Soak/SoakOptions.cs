using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using ActiveActive.Soak.Faults;

namespace ActiveActive.Soak;

/// <summary>What the command line says.</summary>
internal sealed record SoakOptions
{
    public const string Usage = """
        Runs three nodes on real servers for long, writes on all of them, breaks hosts, servers and the network between them, and looks for lost
        writes and for differences.

          dotnet run --project tests/ActiveActive.Soak -c Release -- [options]

          --minutes M      how long, 0.1 to 100000 (default 10)
          --hours H        the same in hours
          --every S        seconds from one fault to the next, 1 to 3600 (default 20)
          --check S        seconds from one comparison to the next, 5 to 86400 (default 120)
          --rate N         writes per second on each node, 1 to 1000 (default 30)
          --seed N         draws faults and writes (default: drawn, and printed)
          --postgres V     PostgreSQL's major versions, in turn (default 15,17,18)
          --only A,B       only faults of these kinds
          --report FILE    writes a report in Markdown there
          --logs DIR       writes what each host logs there

        Faults:
        """;

    public TimeSpan Duration { get; init; } = TimeSpan.FromMinutes(10);

    public TimeSpan Every { get; init; } = TimeSpan.FromSeconds(20);

    public TimeSpan CheckEvery { get; init; } = TimeSpan.FromSeconds(120);

    public int Rate { get; init; } = 30;

    public int Seed { get; init; } = Random.Shared.Next(1, 1_000_000);

    public IReadOnlyList<int> Postgres { get; init; } = [15, 17, 18];

    public IReadOnlyList<FaultKind> Only { get; init; } = [];

    public string? Report { get; init; }

    public string? Logs { get; init; }

    public static string Help => $"{Usage}\n  {string.Join("\n  ", Enum.GetValues<FaultKind>().Select(k => k.ToString()))}";

    /// <summary>Reads the command line; false, with a sentence, where it makes no sense.</summary>
    public static bool TryParse(IReadOnlyList<string> args, [NotNullWhen(true)] out SoakOptions? options, [NotNullWhen(false)] out string? error)
    {
        var read = new SoakOptions();
        for (var i = 0; i < args.Count; i += 2)
        {
            if (i + 1 < args.Count && Valued(read, args[i], args[i + 1]) is { } valued)
            {
                read = valued;
                continue;
            }

            (options, error) = (null, $"'{args[i]}' is no option, or lacks a value in its range.");
            return false;
        }

        (options, error) = (read, null);
        return true;
    }

    private static SoakOptions? Valued(SoakOptions options, string name, string value) => name switch
    {
        "--minutes" when Number(value, 0.1, 100_000) is { } n => options with { Duration = TimeSpan.FromMinutes(n) },
        "--hours" when Number(value, 0.1, 1_000) is { } n => options with { Duration = TimeSpan.FromHours(n) },
        "--every" when Number(value, 1, 3_600) is { } n => options with { Every = TimeSpan.FromSeconds(n) },
        "--check" when Number(value, 5, 86_400) is { } n => options with { CheckEvery = TimeSpan.FromSeconds(n) },
        "--rate" when Number(value, 1, 1_000) is { } n => options with { Rate = (int)n },
        "--seed" when Number(value, 0, int.MaxValue) is { } n => options with { Seed = (int)n },
        "--postgres" when Versions(value) is { } versions => options with { Postgres = versions },
        "--only" when Kinds(value) is { } kinds => options with { Only = kinds },
        "--report" => options with { Report = value },
        "--logs" => options with { Logs = value },
        _ => null,
    };

    private static double? Number(string value, double least, double greatest) =>
        double.TryParse(value, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var number) && number >= least && number <= greatest ? number : null;

    private static List<int>? Versions(string value)
    {
        var versions = new List<int>();
        foreach (var part in value.Split(','))
        {
            if (Number(part, 15, 18) is not { } version) return null;
            versions.Add((int)version);
        }

        return versions;
    }

    private static List<FaultKind>? Kinds(string value)
    {
        var kinds = new List<FaultKind>();
        foreach (var part in value.Split(','))
        {
            if (!Enum.TryParse<FaultKind>(part, ignoreCase: true, out var kind)) return null;
            kinds.Add(kind);
        }

        return kinds;
    }
}
