using System.Globalization;

namespace ActiveActive.Fuzz;

/// <summary>What the program was asked to do.</summary>
internal sealed record CommandLine
{
    public const string Usage = """
        dotnet run -c Release --project tests/ActiveActive.Fuzz -- [options]
          --inputs N        how many inputs (default 100000), shared among the targets
          --seed S          where chance begins (default: drawn, and printed)
          --target NAME     frames, compressed, handshake or pgoutput (default: all)
          --input HEX       only this one, as a finding printed it; needs --target
        dotnet run -c Release --project tests/ActiveActive.Fuzz -- record FILE
          writes what a real server's pgoutput says of a few transactions, for Corpus/pgoutput.txt
        """;

    public long Inputs { get; init; } = 100_000;

    public int Seed { get; init; } = Random.Shared.Next();

    public string? Target { get; init; }

    public FuzzInput? Input { get; init; }

    /// <summary>Null, and the usage is printed, where the arguments make no sense.</summary>
    public static CommandLine? Parse(string[] arguments)
    {
        var command = new CommandLine();
        try
        {
            for (var i = 0; i < arguments.Length; i += 2)
            {
                var value = arguments[i + 1];
                command = arguments[i] switch
                {
                    "--inputs" => command with { Inputs = long.Parse(value, CultureInfo.InvariantCulture) },
                    "--seed" => command with { Seed = int.Parse(value, CultureInfo.InvariantCulture) },
                    "--target" => command with { Target = value },
                    "--input" => command with { Input = FuzzInput.Parse(value) },
                    _ => throw new FormatException($"{arguments[i]} is no option."),
                };
            }

            if (command.Input is not null && command.Target is null) throw new FormatException("--input needs --target.");
            return command;
        }
        catch (Exception e) when (e is FormatException or OverflowException or IndexOutOfRangeException)
        {
            Console.Error.WriteLine($"{e.Message}\n{Usage}");
            return null;
        }
    }
}
