using System.Globalization;
using ActiveActive.Diagnostics;

namespace ActiveActive.Simulation;

/// <summary>What the program was asked to do.</summary>
internal sealed record CommandLine
{
    public const string Usage = """
        dotnet run -c Release --project tests/ActiveActive.Simulation -- [options]
          --seeds N         how many seeds to run (default 1000; of each mutant at most 100000)
          --seed S          the first seed (default 1)
          --time 60s        stop after that time, however many seeds were run
          --verbose         print the whole trace of a failing seed, not only what concerns its key
          --failures N      how many failures to print (default 3)
          --determinism     run each seed twice and compare the traces
          --mutants         switch each safeguard off in turn: every one must be missed
          --mutant NAME     only that one
        Options of all seeds instead of drawn ones: --nodes --keys --transactions --clients --tables 0,1,2 --truncates --crashes --late-notice --network --slow-capture --ties --deaths --joins --partings --routes --values (0 or 1)
        --deletes --skew --granule --latency --think --hold --heartbeat --log --commit --steps --part --relay-after --quarantine --interrupts --slowness --slowness-back --truncate-percent --same --unique
        --orphans none|keep|setnull|quarantine --parent-at --orphan-check
        """;

    public int Seeds => GivenSeeds ?? (Mutants ? 100_000 : 1000);

    private int? GivenSeeds { get; init; }

    public ulong FirstSeed { get; init; } = 1;

    public TimeSpan Time { get; init; } = TimeSpan.MaxValue;

    public bool Verbose { get; init; }

    public int Failures { get; init; } = 3;

    public bool CheckDeterminism { get; init; }

    public bool Mutants { get; init; }

    /// <summary>The one mutant to run; null for all.</summary>
    private string? Mutant { get; init; }

    public bool Covers(Safeguard safeguard) => Mutant is null || safeguard.ToString() == Mutant;

    private IReadOnlyList<(string Name, string Value)> Overrides { get; init; } = [];

    public static CommandLine? Parse(string[] args)
    {
        var command = new CommandLine();
        var overrides = new List<(string, string)>();
        try
        {
            for (var i = 0; i < args.Length; i++)
            {
                command = args[i] switch
                {
                    "--seeds" => command with { GivenSeeds = Number(args[++i]) },
                    "--seed" => command with { FirstSeed = ulong.Parse(args[++i], CultureInfo.InvariantCulture) },
                    "--time" => command with { Time = TimeSpan.FromSeconds(double.Parse(args[++i].TrimEnd('s'), CultureInfo.InvariantCulture)) },
                    "--verbose" => command with { Verbose = true },
                    "--failures" => command with { Failures = Number(args[++i]) },
                    "--determinism" => command with { CheckDeterminism = true },
                    "--mutants" => command with { Mutants = true },
                    "--mutant" => command with { Mutants = true, Mutant = Enum.Parse<Safeguard>(args[++i]).ToString() },
                    _ => Keep(command, args[i], args[++i]),
                };
            }

            command = command with { Overrides = overrides };
            command.OptionsOf(1);
            return command;
        }
        catch (Exception e) when (e is FormatException or ArgumentException or IndexOutOfRangeException or OverflowException)
        {
            Console.Error.WriteLine($"{e.Message}{Environment.NewLine}{Usage}");
            return null;
        }

        CommandLine Keep(CommandLine unchanged, string name, string value)
        {
            overrides.Add((name, value));
            return unchanged;
        }
    }

    /// <param name="seed">Which everything is drawn from.</param>
    /// <param name="narrow">Changes what was drawn; what was asked for goes before it.</param>
    public SimulationOptions OptionsOf(ulong seed, Func<SimulationOptions, SimulationOptions>? narrow = null)
    {
        var options = SimulationOptions.From(seed);
        if (narrow is not null) options = narrow(options);
        foreach (var (name, value) in Overrides)
        {
            options = name switch
            {
                "--nodes" => options with { Nodes = Number(value) },
                "--keys" => options with { Keys = Number(value) },
                "--transactions" => options with { Transactions = Number(value) },
                "--clients" => options with { ClientsPerNode = Number(value) },
                "--tables" => options with { Tables = [.. value.Split(',').Select(Number)] },
                "--truncates" => options with { Truncates = value == "1" },
                "--crashes" => options with { Crashes = value == "1" },
                "--late-notice" => options with { LateNotice = value == "1" },
                "--network" => options with { NetworkFaults = value == "1" },
                "--slow-capture" => options with { SlowCapture = value == "1" },
                "--routes" => options with { Routes = value == "1", Orphans = value == "1" ? null : options.Orphans },
                "--values" => options with { Values = value == "1", Tables = value != "1" || options.Tables.Contains(0) ? options.Tables : [0], Orphans = value == "1" ? null : options.Orphans },
                "--joins" => options with { Joins = value == "1" },
                "--partings" => options with { Partings = value == "1" },
                "--deaths" => options with { Deaths = value == "1" },
                "--relay-after" => options with { RelayAfterMicroseconds = Number(value) },
                "--deletes" => options with { DeletePercent = Number(value) },
                "--skew" => options with { SkewMicroseconds = Number(value) },
                "--granule" => options with { GranuleMicroseconds = Number(value) },
                "--latency" => options with { LatencyMicroseconds = Number(value) },
                "--think" => options with { ThinkMicroseconds = Number(value) },
                "--hold" => options with { HoldMicroseconds = Number(value) },
                "--heartbeat" => options with { HeartbeatMicroseconds = Number(value) },
                "--ties" => options with { TiesWithinNode = value == "1" },
                "--commit" => options with { CommitMicroseconds = Number(value) },
                "--steps" => options with { ClockStepMicroseconds = Number(value) },
                "--part" => options with { ChangesPerPart = Number(value) },
                "--interrupts" => options with { InterruptPercent = Number(value) },
                "--slowness" => options with { Slowness = Number(value) },
                "--slowness-back" => options with { SlownessBack = Number(value) },
                "--truncate-percent" => options with { TruncatePercent = Number(value) },
                "--same" => options with { SameValuePercent = Number(value) },
                "--unique" => options with { UniqueKeys = Number(value) },
                "--quarantine" => options with { QuarantinePercent = Number(value) },
                "--orphans" => options with { Orphans = value == "none" ? null : Enum.Parse<OrphanPolicy>(value, ignoreCase: true) },
                "--parent-at" => options with { ParentAt = Number(value) },
                "--orphan-check" => options with { OrphanCheckMicroseconds = Number(value) },
                "--log" => options with { LogEntries = Number(value) },
                _ => throw new FormatException($"'{name}' is not an option."),
            };
        }

        return options;
    }

    private static int Number(string text) => int.Parse(text, CultureInfo.InvariantCulture);
}
