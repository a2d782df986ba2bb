using System.Diagnostics;
using ActiveActive.Diagnostics;

namespace ActiveActive.Simulation;

/// <summary>Switches each safeguard off in turn and runs seeds until the checkers miss it.</summary>
internal static class MutantRun
{
    public static int Run(CommandLine command)
    {
        // The simulator's database writes row by row, rewrites no table, and ends a circle of waits at once: those are shown on servers.
        var mutants = Enum.GetValues<Safeguard>().Where(s => s is not (Safeguard.None or Safeguard.KnownFiles or Safeguard.SplitRefusedSets or Safeguard.GroupsGiveWay) && command.Covers(s)).ToList();
        var killed = mutants.Count(mutant => IsKilled(mutant, command));
        Console.WriteLine($"mutants killed {killed} of {mutants.Count}");
        return killed == mutants.Count ? 0 : 1;
    }

    private static bool IsKilled(Safeguard mutant, CommandLine command)
    {
        try
        {
            var watch = Stopwatch.StartNew();
            var processor = Environment.CpuUsage.UserTime;
            var seeds = 0;
            while (seeds < command.Seeds && watch.Elapsed < command.Time)
            {
                Safeguards.SwitchOff(mutant);
                var result = Simulation.Run(command.OptionsOf(command.FirstSeed + (ulong)seeds, drawn => Narrow(mutant, drawn)));
                seeds++;
                if (result.Findings.IsClean) continue;
                // What is missed with the safeguard on, too, says nothing of it.
                Safeguards.SwitchOff(Safeguard.None);
                if (!Simulation.Run(result.Options).Findings.IsClean)
                {
                    Console.WriteLine($"{mutant}: FAILS WITHOUT IT, TOO: seed {result.Options.Seed}");
                    if (command.Verbose) SeedRun.Print(Trimming.Trim(result.Options), verbose: false);
                    return false;
                }

                Safeguards.SwitchOff(mutant);
                var finding = result.Findings.All[0].Split('\n')[0];
                Console.WriteLine($"{mutant}: killed by seed {result.Options.Seed}, the {seeds}th, in {(Environment.CpuUsage.UserTime - processor).TotalSeconds:0.0} s: {(finding.Length > 150 ? finding[..150] + "…" : finding)}");
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

    /// <summary>
    /// Leaves out what can't meet the mutant, so that fewer seeds do. A wrong decision shows only where no later write of the key covers it: several keys and few writes of
    /// each show more than many writes of one.
    /// </summary>
    private static SimulationOptions Narrow(Safeguard mutant, SimulationOptions options) => mutant switch
    {
        Safeguard.RuleE or Safeguard.VersionOverride => options with { Tables = [1] },
        Safeguard.LockTruncatedTables => options with { Tables = [1], Truncates = true },
        Safeguard.DropOwnOverride => Calm(options) with { Tables = [1], Keys = 1, Truncates = true, TruncatePercent = 25, DeletePercent = 15, SkewMicroseconds = 5000, LatencyMicroseconds = 1000, ThinkMicroseconds = 2000, Transactions = 30 },
        Safeguard.GreatestDeleteStays => Calm(options) with { Nodes = 3, ClientsPerNode = 1, Tables = [1], Keys = 2, Truncates = true, TruncatePercent = 8, DeletePercent = 35, HeartbeatMicroseconds = 1000, LatencyMicroseconds = 300, ThinkMicroseconds = 2000, SkewMicroseconds = 20_000, Transactions = 20, NetworkFaults = true },
        Safeguard.NotesOutlastTheirWriter => Calm(options) with { Nodes = 3, ClientsPerNode = 1, Tables = [2], Keys = 2, Truncates = true, TruncatePercent = 10, DeletePercent = 0, HeartbeatMicroseconds = 500, LatencyMicroseconds = 300, ThinkMicroseconds = 8000, SkewMicroseconds = 20_000, Transactions = 30, NetworkFaults = true, RelayAfterMicroseconds = 10_000_000 },
        Safeguard.TableTombstone or Safeguard.LaterRowsStay or Safeguard.RecordTruncated => options with { Tables = [0], Truncates = true },
        Safeguard.WaitUntilVisible => Calm(options) with { Transactions = 60, Tables = [0], Keys = 8, DeletePercent = 50, LatencyMicroseconds = 100, ThinkMicroseconds = 500, HoldMicroseconds = 50, CommitMicroseconds = 3000, ClientsPerNode = 3 },
        Safeguard.NobodyElseWrote => Calm(options) with { Tables = [0], Keys = 8, DeletePercent = 60, LatencyMicroseconds = 100, ThinkMicroseconds = 500, HoldMicroseconds = 50, CommitMicroseconds = 3000, ClientsPerNode = 3 },
        Safeguard.MarkerFloor => Calm(options) with { Nodes = 2, ClientsPerNode = 1, Transactions = 24, Tables = [0], Keys = 4, DeletePercent = 60, LatencyMicroseconds = 200, SlownessBack = 200, ThinkMicroseconds = 2000, HoldMicroseconds = 500, CommitMicroseconds = 10_000, HeartbeatMicroseconds = 50_000, InterruptPercent = 100, Slowness = 10 },
        Safeguard.AbsenceIsExplained => Calm(options) with { Nodes = 3, Tables = [1], Keys = 2, DeletePercent = 60, LatencyMicroseconds = 100, ThinkMicroseconds = 200, HoldMicroseconds = 50, CommitMicroseconds = 3000, ClientsPerNode = 3 },
        Safeguard.TombstoneWithoutRow => options with { Nodes = 4, Tables = [0], Keys = 3, DeletePercent = 50, Transactions = 60 },
        Safeguard.EqualRowsAreWritten => Calm(options) with { Nodes = 4, Tables = [0], Keys = 4, DeletePercent = 0, SameValuePercent = 80, LatencyMicroseconds = 5000, ThinkMicroseconds = 2000, Transactions = 60 },
        Safeguard.TakePlace => options with { Tables = [1], Keys = 1, DeletePercent = 50, LatencyMicroseconds = 100, ThinkMicroseconds = 500, HoldMicroseconds = 5000, CommitMicroseconds = 3000, ClientsPerNode = 3, Truncates = false },
        Safeguard.KeyGate => Calm(options) with { Nodes = 4, Keys = 5, Tables = [0], DeletePercent = 50, ThinkMicroseconds = 500, LatencyMicroseconds = 1000, HoldMicroseconds = 50, ClientsPerNode = 2, Transactions = 80, InterruptPercent = 50 },
        Safeguard.PassedBeforeTheLook => options with { Tables = [0, 1], Slowness = 20, CommitMicroseconds = 200, LatencyMicroseconds = 100, DeletePercent = 35 },
        Safeguard.NoteMemberInOrder => options with { Nodes = 4, Keys = 1, DeletePercent = 35, HeartbeatMicroseconds = 1000, NetworkFaults = true },
        Safeguard.AcknowledgeWhenDurable => options with { Crashes = true },
        Safeguard.ApplyWait => options with { ClockStepMicroseconds = 0, SkewMicroseconds = 50_000 },
        Safeguard.StrictApplyWait => options with { ClockStepMicroseconds = 0, SkewMicroseconds = 0, GranuleMicroseconds = 1000, LatencyMicroseconds = 100, TiesWithinNode = true },
        Safeguard.CorrectStamps => options with { ClockStepMicroseconds = 50_000 },
        Safeguard.SessionsBehindCapture => Calm(options) with { Nodes = 3, ClientsPerNode = 1, Transactions = 200, Crashes = true, LateNotice = true, LatencyMicroseconds = 1000, ThinkMicroseconds = 8000, HoldMicroseconds = 50, HeartbeatMicroseconds = 20_000, Orphans = null },
        Safeguard.ProgressIsInTheLog => options with { AbortPercent = 5, NetworkFaults = true },
        Safeguard.TiedStamps => Calm(options) with { Nodes = 2, ClientsPerNode = 3, Tables = [2], Keys = 4, DeletePercent = 15, GranuleMicroseconds = 1000, TiesWithinNode = true, HeartbeatMicroseconds = 500, LatencyMicroseconds = 100, ThinkMicroseconds = 500, HoldMicroseconds = 5000, CommitMicroseconds = 3000 },
        Safeguard.TieByNode => options with { GranuleMicroseconds = 1000, TiesWithinNode = true },
        Safeguard.CopyVersions or Safeguard.KeepForTheUnheard => options with { Nodes = Math.Max(options.Nodes, 3), Joins = true, Deaths = false, Orphans = null, NetworkFaults = true },
        Safeguard.SettleBeforeParted => options with { Nodes = Math.Max(options.Nodes, 3), Deaths = true, Partings = true, Orphans = null, NetworkFaults = true },
        Safeguard.Relay => options with { Nodes = 3, Deaths = true, NetworkFaults = true },
        Safeguard.RelayedVector => options with { Nodes = 3, Tables = [1], Keys = 1, DeletePercent = 50, Deaths = true, NetworkFaults = true, RelayAfterMicroseconds = 0 },
        Safeguard.WholeRows or Safeguard.AbsentUntilReplaced => options with { Nodes = 3, Tables = [0], Keys = 1, DeletePercent = 0 },
        Safeguard.FetchWhenVisible => options with { Tables = [0], Slowness = 20, CommitMicroseconds = 3000, Keys = 1, DeletePercent = 0, LatencyMicroseconds = 100, ThinkMicroseconds = 500, HoldMicroseconds = 50 },
        Safeguard.KeepLosers or Safeguard.LosersAreVersions or Safeguard.ReturnAfterLocalWrite => options with { Tables = [3], UniqueKeys = 1, Keys = Math.Max(options.Keys, 3), Deaths = false },
        Safeguard.KeepComparedVersions => Calm(options) with { Nodes = 3, ClientsPerNode = 1, Transactions = 80, Tables = [4, 5], UniqueKeys = 1, Keys = 6, DeletePercent = 5, HeartbeatMicroseconds = 500, LatencyMicroseconds = 100, ThinkMicroseconds = 2000, HoldMicroseconds = 5000, CommitMicroseconds = 3000, SkewMicroseconds = 20_000 },
        Safeguard.AddHiddenRow => options with { Tables = [4], UniqueKeys = 1, Keys = 2, DeletePercent = 15, Deaths = false },
        Safeguard.ExcludeLocalWriters => Calm(options) with { Nodes = 3, Tables = [4, 5], UniqueKeys = 1, Keys = 2, DeletePercent = 35, LatencyMicroseconds = 100, ThinkMicroseconds = 500, HoldMicroseconds = 500, CommitMicroseconds = 3000, ClientsPerNode = 3 },
        Safeguard.FoldVersion or Safeguard.SiblingsOfLosers => options with { Nodes = 3, Tables = [5], UniqueKeys = 1, Keys = Math.Max(options.Keys, 3), DeletePercent = 15, Deaths = false },
        Safeguard.TruncateLosers => options with { Nodes = 3, Tables = [4, 5], UniqueKeys = 1, Keys = Math.Max(options.Keys, 3), Truncates = true, DeletePercent = 15, SkewMicroseconds = 5000, Deaths = false },
        Safeguard.Siblings => options with { Tables = [2] },
        Safeguard.QuarantineGap => options with { Tables = [2], QuarantinePercent = 10 },
        Safeguard.LateTransactions => options with
        {
            Nodes = 3, ClientsPerNode = 3, Transactions = 24, Tables = [0], Keys = 4, UniqueKeys = 0, Orphans = null, Deaths = false, Truncates = false, NetworkFaults = false, Crashes = true, SlowCapture = true, ChangesPerPart = 1,
            DeletePercent = 15, QuarantinePercent = 5, SkewMicroseconds = 500, ClockStepMicroseconds = 0, LatencyMicroseconds = 1000, ThinkMicroseconds = 500, CommitMicroseconds = 3000, HoldMicroseconds = 5000, HeartbeatMicroseconds = 20_000,
        },
        Safeguard.QuarantineOrder => options with { Tables = [0], Keys = 1, QuarantinePercent = 10 },
        Safeguard.RepairStableOrphans => WithOrphans(options),
        Safeguard.RepairWhatIsStillOrphaned => WithOrphans(Calm(options)) with { Nodes = 3, Slowness = 20, ThinkMicroseconds = 500, HoldMicroseconds = 50, LatencyMicroseconds = 100, HeartbeatMicroseconds = 2000, Transactions = 200 },
        Safeguard.RepairByOneNode => WithOrphans(options) with { Nodes = 4 },
        Safeguard.RouteOnStream => options with { Nodes = 3, Tables = [0, 1], Orphans = null, Routes = true },
        Safeguard.RouteOnRelay or Safeguard.RelayOfWholeRoutes => options with { Nodes = 4, Tables = [0, 1], Orphans = null, Routes = true, NetworkFaults = true, RelayAfterMicroseconds = 0, Deaths = false },
        Safeguard.RouteOnJoinCopy => options with { Nodes = 3, Tables = [0, 1], Orphans = null, Routes = true, Joins = true, Deaths = false },
        Safeguard.MovesAreSplit or Safeguard.RouteMarkers or Safeguard.EvictMovedRows => options with { Nodes = 3, Tables = [0], Orphans = null, Routes = false, Values = true, Deaths = false },
        Safeguard.EvictBeforeCheckpoint => options with { Nodes = 2, Tables = [0], Keys = 8, Transactions = 60, Orphans = null, Routes = false, Values = true, Joins = false, Deaths = false, Truncates = false, NetworkFaults = false, SlowCapture = false, Crashes = true, LateNotice = false, Slowness = 20, LatencyMicroseconds = 100, HeartbeatMicroseconds = 500, HoldMicroseconds = 20_000, CommitMicroseconds = 3000, DeletePercent = 0, QuarantinePercent = 0 },
        Safeguard.RouteOnRowFetch => options with { Nodes = 4, Tables = [0, 1], Keys = 1, DeletePercent = 0, Orphans = null, Routes = true, NetworkFaults = true, Deaths = false },
        _ => options,
    };

    private static SimulationOptions WithOrphans(SimulationOptions options) => options with
    {
        Orphans = options.Orphans is null or OrphanPolicy.Keep ? OrphanPolicy.SetNull : options.Orphans, Tables = [0], DeletePercent = 35, OrphanCheckMicroseconds = 2000, Truncates = false, Deaths = false, Routes = false, Values = false,
    };

    /// <summary>Nothing breaks and no clock is off, so that only what transactions do to each other is left.</summary>
    private static SimulationOptions Calm(SimulationOptions options) => options with
    {
        Crashes = false, NetworkFaults = false, SlowCapture = false, Deaths = false, Truncates = false, QuarantinePercent = 0, AbortPercent = 0, SkewMicroseconds = 0, ClockStepMicroseconds = 0, GranuleMicroseconds = 1,
    };
}
