using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace QuickStart;

/// <summary>What the command line says.</summary>
internal sealed record QuickStartOptions
{
    public const string Usage = """
        Brings up several PostgreSQL servers, joins their databases with ActiveActive, writes on all of them at once,
        and shows that they end up identical with nothing lost.

          dotnet run --project examples/QuickStart -c Release -- [options]

          --seconds N      how long to write, 1 to 86400 (default 20)
          --nodes N        how many nodes, 2 to 5 (default 3)
          --rate N         writes per second on each node, 1 to 5000 (default 50)
          --postgres V     PostgreSQL's major version, 15 to 18; a list such as 15,17,18 gives the nodes different ones in turn
                           (default: the first server found on this machine, else a downloaded one)
          --kill           kill one host process (SIGKILL) in the middle of it and start it again
          --verbose        show what the hosts log
          --help           show this

        Exit code: 0 converged and nothing lost, 1 not so, 2 wrong options, 3 the cluster could not be run or did not become quiet, 130 interrupted.
        """;

    public int Seconds { get; init; } = 20;

    public int Nodes { get; init; } = 3;

    public int Rate { get; init; } = 50;

    /// <summary>One major version for each node in turn; empty for whatever is found.</summary>
    public IReadOnlyList<int> Postgres { get; init; } = [];

    public bool Kill { get; init; }

    public bool Verbose { get; init; }

    public bool Help { get; init; }

    public int? PostgresOf(int node) => Postgres.Count == 0 ? null : Postgres[node % Postgres.Count];

    /// <summary>Reads the command line; false, with a sentence, where it makes no sense.</summary>
    public static bool TryParse(IReadOnlyList<string> args, [NotNullWhen(true)] out QuickStartOptions? options, [NotNullWhen(false)] out string? error)
    {
        var read = new QuickStartOptions();
        error = null;
        for (var i = 0; i < args.Count && error is null; i++)
        {
            // Both --seconds 20 and --seconds=20.
            var name = args[i].Split('=', 2) is [var head, _] ? head : args[i];
            if (Switch(read, args[i]) is { } switched)
            {
                read = switched;
                continue;
            }

            if (name is not ("--seconds" or "--nodes" or "--rate" or "--postgres"))
            {
                error = $"'{args[i]}' is no option.";
                continue;
            }

            var value = name.Length < args[i].Length ? args[i][(name.Length + 1)..] : ++i < args.Count ? args[i] : null;
            read = name switch
            {
                "--seconds" => read with { Seconds = Number(name, value, 1, 86_400, ref error) },
                "--nodes" => read with { Nodes = Number(name, value, 2, 5, ref error) },
                "--rate" => read with { Rate = Number(name, value, 1, 5_000, ref error) },
                _ => read with { Postgres = Versions(value, ref error) },
            };
        }

        options = error is null ? read : null;
        return error is null;
    }

    private static QuickStartOptions? Switch(QuickStartOptions options, string name) => name switch
    {
        "--kill" => options with { Kill = true },
        "--verbose" => options with { Verbose = true },
        "--help" or "-h" => options with { Help = true },
        _ => null,
    };

    private static List<int> Versions(string? value, ref string? error)
    {
        var versions = new List<int>();
        foreach (var part in (value ?? "").Split(',')) versions.Add(Number("--postgres", part, 15, 18, ref error));
        return versions;
    }

    private static int Number(string name, string? value, int least, int greatest, ref string? error)
    {
        if (int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number >= least && number <= greatest) return number;
        error ??= $"{name} takes a number from {least} to {greatest}{(string.IsNullOrEmpty(value) ? "" : $", not '{value}'")}.";
        return least;
    }
}
