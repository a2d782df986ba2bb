using System.Diagnostics;
using ActiveActive.Fuzz.Targets;

namespace ActiveActive.Fuzz;

/// <summary>Draws inputs for all targets in turn and counts what they do. Its last line is what a test looks at.</summary>
internal sealed class FuzzRun
{
    private const int MaxPrinted = 10;
    private const int InputsPerTurn = 5_000;
    private const long InputsPerLine = 500_000;

    private readonly long[] _counts = new long[Enum.GetValues<FindingKind>().Length];
    private readonly CommandLine _command;
    private readonly FuzzTarget[] _targets;
    private readonly Watchdog _watchdog;
    private FuzzTarget _target;
    private long _inputs;

    private FuzzRun(CommandLine command, FuzzTarget[] targets)
    {
        _command = command;
        _targets = targets;
        _target = targets[0];
        _watchdog = new Watchdog(EndHung);
    }

    /// <summary>The program's exit code.</summary>
    public static int Run(CommandLine command)
    {
        FuzzTarget[] all = [new FrameTarget(), new CompressedTarget(), new HandshakeTarget(), new PgOutputTarget()];
        var targets = all.Where(t => command.Target is null || t.Name == command.Target).ToArray();
        if (targets.Length > 0) return new FuzzRun(command, targets).Run();
        Console.Error.WriteLine($"There is no target {command.Target}: {string.Join(", ", all.Select(t => t.Name))}.");
        return 2;
    }

    private int Run()
    {
        Console.WriteLine($"seed {_command.Seed}");
        var started = Stopwatch.GetTimestamp();
        if (_command.Input is { } only)
        {
            Run(only);
        }
        else
        {
            // Of each target's own chance: with the same seed it draws the same, whichever others there are.
            var mutators = _targets.Select(t => new Mutator(new Random(HashCodeOf(t.Name) ^ _command.Seed))).ToArray();
            while (_inputs < _command.Inputs)
            {
                for (var i = 0; i < _targets.Length && _inputs < _command.Inputs; i++)
                {
                    _target = _targets[i];
                    for (var left = Math.Min(InputsPerTurn, _command.Inputs - _inputs); left > 0; left--) Run(_target.Next(mutators[i]));
                }
            }
        }

        _watchdog.Dispose();
        Console.WriteLine($"{Stopwatch.GetElapsedTime(started).TotalSeconds:f1} s; outcomes: {string.Join(", ", _targets.Select(t => $"{t.Name} {t.Outcomes}"))}");
        PrintCounts();
        return _counts.Sum() == 0 ? 0 : 1;
    }

    private void Run(FuzzInput input)
    {
        _watchdog.Begin(input);
        var finding = InputRun.Run(_target, input);
        _watchdog.End();
        if (++_inputs % InputsPerLine == 0) PrintCounts();
        if (finding is not null && _counts[(int)finding.Kind]++ < MaxPrinted) Console.WriteLine(Minimiser.Minimise(_target, finding));
    }

    private void EndHung(FuzzInput input)
    {
        _counts[(int)FindingKind.Hang]++;
        Console.WriteLine(new Finding(FindingKind.Hang, _target.Name, input, "It does not end."));
        PrintCounts();
        Environment.Exit(1);
    }

    private void PrintCounts() => Console.WriteLine($"inputs {_inputs}, crashes {_counts[0]}, hangs {_counts[1]}, over-allocations {_counts[2]}");

    private static int HashCodeOf(string name) => name.Aggregate(17, static (hash, c) => unchecked((hash * 31) + c));
}
