using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace ActiveActive.Benchmarks;

/// <summary>What the command line says.</summary>
internal sealed record BenchmarkOptions
{
    public const string Usage = """
        Measures ActiveActive and PostgreSQL's own logical replication side by side, on real servers, in turn.

          dotnet run --project benchmarks/ActiveActive.Benchmarks -c Release -- VERB [options]

        Verbs:
          drain        build a backlog with apply stopped, then the time until it is visible on the other node (W1 to W5)
          live         from commit to visible at a fixed rate
          mesh         one writer and three peers; both ways at once between two nodes
          conflicts    clean updates against conflicting ones
          writers      what the writers of a node pay: pgbench on a bare node, with a host attached, with delta columns
          wide         wide rows, many columns, jsonb, and a one-million-row transaction with the hosts' memory
          wan          the backlogs W1 and W2 over lines of 0, 1, 25 and 100 ms round trip
          slowpeer     three nodes under a steady load, all up and with one host stopped (SIGSTOP): what the other two notice
          takeover     20 kills and 20 stops of a node's leading instance, until another leads (without core)
          micro        what a host does with each row, without a server: decode, encode, frame, plan (BenchmarkDotNet)

        Options:
          --quick          small loads, one round: under a minute on two cores; only to see that all works
          --rounds N       how often each case is measured for each system, 1 to 100 (default 3)
          --scale X        share of the full load, 0.0001 to 1 (default 1; quick: 0.01)
          --seconds N      how long live, writers and slowpeer run each time (default 30; quick: 2)
          --postgres V     major version, 15 to 18 (default 18)
          --only A,B       only the cases whose names begin so, for example W1,W4
          --only-ours      leave core replication out, to profile
          --rate N         slowpeer: transactions a second on each of the two writers, 1 to 100000 (default 200)
          --timeout N      seconds until a drain is given up and its figure is void (default 600; quick: 30)
          --setting N=V    a server setting, for all servers; may be given several times
          --output DIR     writes VERB.json and VERB.md there
          --verbose        show what the hosts log

        Ends with one line for each case: its name, then key=value. Exit code 0; 1 where a figure is void; 2 wrong options.
        """;

    public static readonly IReadOnlyList<string> Verbs = ["drain", "live", "mesh", "conflicts", "writers", "wide", "wan", "slowpeer", "takeover", "micro"];

    public required string Verb { get; init; }

    public bool Quick { get; init; }

    public int? GivenRounds { get; init; }

    public double? GivenScale { get; init; }

    public int? GivenSeconds { get; init; }

    public int? GivenTimeout { get; init; }

    public int Rate { get; init; } = 200;

    public int Postgres { get; init; } = 18;

    public IReadOnlyList<string> Only { get; init; } = [];

    public bool OnlyOurs { get; init; }

    public IReadOnlyDictionary<string, string> Settings { get; init; } = new Dictionary<string, string>();

    public string? Output { get; init; }

    public bool Verbose { get; init; }

    public int Rounds => GivenRounds ?? (Quick ? 1 : 3);

    public double Scale => GivenScale ?? (Quick ? 0.01 : 1);

    public int Seconds => GivenSeconds ?? (Quick ? 2 : 30);

    /// <summary>How often a new replication is warmed before it counts.</summary>
    public int WarmUps => Quick ? 1 : 5;

    public TimeSpan Timeout => TimeSpan.FromSeconds(GivenTimeout ?? (Quick ? 30 : 600));

    public bool Wants(string name) => Only.Count == 0 || Only.Any(o => name.StartsWith(o, StringComparison.OrdinalIgnoreCase));

    /// <summary>Reads the command line; false, with a sentence, where it makes no sense.</summary>
    public static bool TryParse(IReadOnlyList<string> args, [NotNullWhen(true)] out BenchmarkOptions? options, [NotNullWhen(false)] out string? error)
    {
        options = null;
        if (args.Count == 0 || !Verbs.Contains(args[0]))
        {
            error = args.Count == 0 ? "Which verb?" : $"'{args[0]}' is no verb.";
            return false;
        }

        var read = new BenchmarkOptions { Verb = args[0] };
        for (var i = 1; i < args.Count; i++)
        {
            if (Switch(read, args[i]) is { } switched)
            {
                read = switched;
                continue;
            }

            if (i + 1 >= args.Count || Valued(read, args[i], args[++i]) is not { } valued)
            {
                error = $"'{args[i]}' is no option, or lacks a value in its range.";
                return false;
            }

            read = valued;
        }

        (options, error) = (read, null);
        return true;
    }

    private static BenchmarkOptions? Switch(BenchmarkOptions options, string name) => name switch
    {
        "--quick" => options with { Quick = true },
        "--only-ours" => options with { OnlyOurs = true },
        "--verbose" => options with { Verbose = true },
        _ => null,
    };

    private static BenchmarkOptions? Valued(BenchmarkOptions options, string name, string value) => name switch
    {
        "--rounds" when Number(value, 1, 100) is { } n => options with { GivenRounds = n },
        "--seconds" when Number(value, 1, 3600) is { } n => options with { GivenSeconds = n },
        "--rate" when Number(value, 1, 100_000) is { } n => options with { Rate = n },
        "--timeout" when Number(value, 1, 86_400) is { } n => options with { GivenTimeout = n },
        "--postgres" when Number(value, 15, 18) is { } n => options with { Postgres = n },
        "--scale" when double.TryParse(value, CultureInfo.InvariantCulture, out var x) && x is >= 0.0001 and <= 1 => options with { GivenScale = x },
        "--only" => options with { Only = value.Split(',') },
        "--output" => options with { Output = value },
        "--setting" when value.Split('=', 2) is [var setting, var to] => options with { Settings = new Dictionary<string, string>(options.Settings) { [setting] = to } },
        _ => null,
    };

    private static int? Number(string value, int least, int greatest) =>
        int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number >= least && number <= greatest ? number : null;
}
