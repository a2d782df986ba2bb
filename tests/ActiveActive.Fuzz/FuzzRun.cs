using System.Diagnostics;
using ActiveActive.Fuzz.Targets;

namespace ActiveActive.Fuzz;

/// <summary>Draws inputs for each target and counts what they do. Its last line is what a test looks at.</summary>
internal static class FuzzRun
{
    private const int MaxPrinted = 10;

    public static int Run(CommandLine command)
    {
        FuzzTarget[] all = [new FrameTarget(), new CompressedTarget(), new HandshakeTarget(), new PgOutputTarget()];
        var targets = all.Where(t => command.Target is null || t.Name == command.Target).ToArray();
        if (targets.Length == 0)
        {
            Console.Error.WriteLine($"There is no target {command.Target}: {string.Join(", ", all.Select(t => t.Name))}.");
            return 2;
        }

        Console.WriteLine($"seed {command.Seed}");
        var counts = new long[Enum.GetValues<FindingKind>().Length];
        var inputs = 0L;
        foreach (var target in targets)
        {
            using var watchdog = new Watchdog(input =>
            {
                counts[(int)FindingKind.Hang]++;
                Console.WriteLine(new Finding(FindingKind.Hang, target.Name, input, "It does not end."));
                PrintCounts(inputs, counts);
                Environment.Exit(1);
            });
            var started = Stopwatch.GetTimestamp();
            var before = inputs;
            foreach (var input in Inputs(command, target, command.Inputs / targets.Length))
            {
                watchdog.Begin(input);
                var finding = InputRun.Run(target, input);
                watchdog.End();
                inputs++;
                if (finding is null) continue;
                if (counts[(int)finding.Kind]++ < MaxPrinted) Console.WriteLine(Minimiser.Minimise(target, finding));
            }

            var seconds = Stopwatch.GetElapsedTime(started).TotalSeconds;
            Console.WriteLine($"{target.Name}: {inputs - before} inputs in {seconds:f1} s, {(inputs - before) / seconds:f0} a second; {target.Outcomes} outcomes");
        }

        PrintCounts(inputs, counts);
        return counts.Sum() == 0 ? 0 : 1;
    }

    private static IEnumerable<FuzzInput> Inputs(CommandLine command, FuzzTarget target, long count)
    {
        if (command.Input is { } only)
        {
            yield return only;
            yield break;
        }

        // Of the target, too: that the targets before it were left out changes nothing.
        var mutator = new Mutator(new Random(HashCodeOf(target.Name) ^ command.Seed));
        for (var i = 0L; i < count; i++) yield return target.Next(mutator);
    }

    private static int HashCodeOf(string name) => name.Aggregate(17, static (hash, c) => unchecked((hash * 31) + c));

    private static void PrintCounts(long inputs, long[] counts) => Console.WriteLine($"inputs {inputs}, crashes {counts[0]}, hangs {counts[1]}, over-allocations {counts[2]}");
}
