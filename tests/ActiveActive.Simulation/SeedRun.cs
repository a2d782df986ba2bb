using System.Diagnostics;

namespace ActiveActive.Simulation;

/// <summary>Runs seeds one after the other and tells what the checkers found.</summary>
internal static class SeedRun
{
    public static int Run(CommandLine command)
    {
        var (seeds, divergences, losses, violations, printed) = (0, 0, 0, 0, 0);
        var nowhere = 0;
        var (steps, transactions, operations, relays, groups, treatments) = (0L, 0L, 0L, 0L, 0L, 0L);
        var watch = Stopwatch.StartNew();
        var processor = Environment.CpuUsage.UserTime;
        while (seeds < command.Seeds && watch.Elapsed < command.Time)
        {
            var result = Simulation.Run(command.OptionsOf(command.FirstSeed + (ulong)seeds));
            seeds++;
            steps += result.Steps;
            transactions += result.Transactions;
            operations += result.Operations;
            relays += result.Relays;
            groups += result.Groups;
            treatments += result.Treatments;
            if (result.IsValueNowhere) nowhere++;
            divergences += result.Findings.Divergences;
            losses += result.Findings.Losses;
            violations += result.Findings.Violations;
            if (result.Findings.IsClean) continue;
            if (printed++ < command.Failures) Print(Trimming.Trim(result.Options), command.Verbose);
            else if (printed < 1000) Console.WriteLine($"seed {result.Options.Seed} ({result.Transactions} transactions): {FirstLine(result.Findings.All[0])}");
        }

        var seconds = watch.Elapsed.TotalSeconds;
        // Other processes take their share of a shared machine, and the compiler its own: this one's own time tells more.
        var busy = (Environment.CpuUsage.UserTime - processor).TotalSeconds;
        Console.WriteLine($"{seconds:0.0} s ({busy:0.0} s of processor time, {seeds / busy:0} seeds each), {seeds / seconds:0} seeds/s, {transactions / seconds:0} transactions/s, {steps / seconds:0} steps/s, {operations / (double)seeds:0} row operations a seed, {groups} commits of several transactions, {relays} relays, {treatments} orphans treated, {nowhere} runs that ended since a dead node had taken something with it");
        Console.WriteLine($"seeds {seeds}, divergences {divergences}, losses {losses}, violations {violations}");
        return divergences + losses + violations == 0 ? 0 : 1;
    }

    public static void Print(SimulationOptions options, bool verbose)
    {
        var result = Simulation.Run(options, keepTrace: true);
        Console.WriteLine($"FAILED {options}");
        foreach (var finding in result.Findings.All.Take(5)) Console.WriteLine($"  {finding}");
        foreach (var line in result.Trace.Lines(verbose ? null : result.Findings.Subject)) Console.WriteLine($"    {line}");
        Console.WriteLine();
    }

    private static string FirstLine(string text) => text.Split('\n')[0];
}
