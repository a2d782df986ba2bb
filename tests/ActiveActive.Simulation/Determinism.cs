namespace ActiveActive.Simulation;

/// <summary>The same seed gives the same history, to the last event.</summary>
internal static class Determinism
{
    public static int Check(CommandLine command)
    {
        var different = 0;
        for (var i = 0; i < command.Seeds; i++)
        {
            var options = command.OptionsOf(command.FirstSeed + (ulong)i);
            var first = Simulation.Run(options);
            var second = Simulation.Run(options);
            if (first.Trace.Hash == second.Trace.Hash && first.Steps == second.Steps) continue;
            different++;
            Console.WriteLine($"not repeated: {options}");
        }

        Console.WriteLine($"seeds {command.Seeds}, not repeated {different}");
        return different == 0 ? 0 : 1;
    }
}
