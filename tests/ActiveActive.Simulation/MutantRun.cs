using System.Diagnostics;
using ActiveActive.Diagnostics;

namespace ActiveActive.Simulation;

/// <summary>Switches each safeguard off in turn and runs seeds until the checkers miss it.</summary>
internal static class MutantRun
{
    public static int Run(CommandLine command)
    {
        var mutants = Enum.GetValues<Safeguard>().Where(s => s != Safeguard.None && command.Covers(s)).ToList();
        var killed = mutants.Count(mutant => IsKilled(mutant, command));
        Console.WriteLine($"mutants killed {killed} of {mutants.Count}");
        return killed == mutants.Count ? 0 : 1;
    }

    private static bool IsKilled(Safeguard mutant, CommandLine command)
    {
        Safeguards.SwitchOff(mutant);
        try
        {
            var watch = Stopwatch.StartNew();
            var seeds = 0;
            while (seeds < command.Seeds && watch.Elapsed < command.Time)
            {
                var result = Simulation.Run(Narrow(mutant, command.OptionsOf(command.FirstSeed + (ulong)seeds)));
                seeds++;
                if (result.Findings.IsClean) continue;
                var finding = result.Findings.All[0].Split('\n')[0];
                Console.WriteLine($"{mutant}: killed by seed {result.Options.Seed}, the {seeds}th: {(finding.Length > 150 ? finding[..150] + "…" : finding)}");
                if (command.Verbose) SeedRun.Print(Trimming.Trim(result.Options), verbose: false);
                return true;
            }

            Console.WriteLine($"{mutant}: SURVIVED {seeds} seeds in {watch.Elapsed.TotalSeconds:0} s");
            return false;
        }
        finally
        {
            Safeguards.SwitchOff(Safeguard.None);
        }
    }

    /// <summary>Leaves out what can't meet the mutant, so that fewer seeds do.</summary>
    private static SimulationOptions Narrow(Safeguard mutant, SimulationOptions options) => mutant switch
    {
        Safeguard.RuleE or Safeguard.VersionOverride or Safeguard.DropOwnOverride => options with { Tables = [1] },
        Safeguard.LockTruncatedTables or Safeguard.GreatestDeleteStays => options with { Tables = [1], Truncates = true },
        Safeguard.TableTombstone or Safeguard.LaterRowsStay or Safeguard.RecordTruncated => options with { Tables = [0], Truncates = true },
        Safeguard.MarkerFloor or Safeguard.WaitUntilVisible => options with { Transactions = 16, Tables = [0], Keys = 1, DeletePercent = 50, LatencyMicroseconds = 100, ThinkMicroseconds = 500, HoldMicroseconds = 50, SkewMicroseconds = 0, GranuleMicroseconds = 1, ClockStepMicroseconds = 0, CommitMicroseconds = 3000 },
        Safeguard.TombstoneWithoutRow => options with { Nodes = 4, Tables = [0], Keys = 1, DeletePercent = 50 },
        Safeguard.EqualRowsAreWritten => options with { Nodes = 3, Tables = [0], Keys = 1, DeletePercent = 0, SameValuePercent = 50 },
        Safeguard.TakePlace => options with { Tables = [1], Keys = 1, DeletePercent = 50, LatencyMicroseconds = 100, ThinkMicroseconds = 500, HoldMicroseconds = 5000, CommitMicroseconds = 3000, ClientsPerNode = 3, Truncates = false },
        Safeguard.KeyGate => options with { Nodes = 4, Keys = 1, Tables = [0], DeletePercent = 50, ThinkMicroseconds = 500, LatencyMicroseconds = 100 },
        Safeguard.NoteMemberInOrder => options with { Nodes = 4, Keys = 1, DeletePercent = 35, HeartbeatMicroseconds = 1000, NetworkFaults = true },
        Safeguard.CorrectStamps => options with { ClockStepMicroseconds = 50_000 },
        Safeguard.TieByNode => options with { GranuleMicroseconds = 1000, TiesWithinNode = true },
        Safeguard.Relay => options with { Nodes = 3, Deaths = true, NetworkFaults = true },
        Safeguard.RelayedVector => options with { Nodes = 3, Tables = [1], Keys = 1, DeletePercent = 50, Deaths = true, NetworkFaults = true, RelayAfterMicroseconds = 0 },
        Safeguard.WholeRows or Safeguard.AbsentUntilReplaced => options with { Nodes = 3, Tables = [0], Keys = 1, DeletePercent = 0 },
        Safeguard.FetchWhenVisible => options with { Tables = [0], Keys = 1, DeletePercent = 0, LatencyMicroseconds = 100, ThinkMicroseconds = 500, HoldMicroseconds = 50 },
        Safeguard.Siblings => options with { Tables = [2] },
        Safeguard.QuarantineGap => options with { Tables = [2], QuarantinePercent = 10 },
        Safeguard.QuarantineOrder => options with { Tables = [0], Keys = 1, QuarantinePercent = 10 },
        _ => options,
    };
}
