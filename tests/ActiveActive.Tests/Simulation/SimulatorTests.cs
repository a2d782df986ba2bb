using System.Diagnostics;
using System.Globalization;

namespace ActiveActive.Tests.Simulation;

/// <summary>The simulator as it is run by hand, bounded by seeds. See <c>tests/ActiveActive.Simulation</c>.</summary>
public sealed class SimulatorTests
{
    private static readonly TimeSpan s_deadline = TimeSpan.FromMinutes(10);

    /// <summary>Each found within the first seeds; those of the other list are, too, and the rest needs many more and is run by hand.</summary>
    public static TheoryData<string> Mutants =>
    [
        "CausalHold", "LocalTombstones", "CollectWhenStable", "RuleE", "VersionOverride", "CorrectStamps", "ProgressIsInTheLog", "Siblings", "RepairStableOrphans", "RouteOnStream", "RouteMarkers", "EvictMovedRows", "SettleBeforeParted",
    ];

    public static TheoryData<string> MoreMutants =>
    [
        "Deduplication", "DecideBehindCapture", "TiedStamps", "SessionsBehindCapture", "TieByNode", "TableTombstone", "LaterRowsStay", "RepairWhatIsStillOrphaned", "RepairByOneNode",
        "RouteOnRelay", "RouteOnJoinCopy", "RouteOnRowFetch", "RelayOfWholeRoutes", "MovesAreSplit", "EvictBeforeCheckpoint",
    ];

    private static int Seeds =>
        Environment.GetEnvironmentVariable("ACTIVEACTIVE_SIMULATION_SEEDS") is { Length: > 0 } text ? int.Parse(text, CultureInfo.InvariantCulture) : 300;

    [Fact]
    public Task Seeds_end_without_divergence_loss_or_violation() =>
        AssertLastLineAsync($"seeds {Seeds}, divergences 0, losses 0, violations 0", "--seeds", $"{Seeds}");

    [Fact]
    public Task Seed_repeats_to_the_last_event() => AssertLastLineAsync("seeds 5, not repeated 0", "--determinism", "--seeds", "5");

    [Theory]
    [MemberData(nameof(Mutants))]
    public Task Rule_that_is_switched_off_is_missed(string safeguard) => AssertLastLineAsync("mutants killed 1 of 1", "--mutant", safeguard, "--seeds", "500");

    [Theory]
    [MemberData(nameof(MoreMutants))]
    [Trait("Run", "Long")]
    public Task Rule_of_the_longer_list_that_is_switched_off_is_missed(string safeguard) => Rule_that_is_switched_off_is_missed(safeguard);

    /// <summary>Built with this project, into the same folder beside it.</summary>
    private static string Program()
    {
        var framework = new DirectoryInfo(Path.TrimEndingDirectorySeparator(AppContext.BaseDirectory));
        var configuration = framework.Parent!;
        var tests = configuration.Parent!.Parent!.Parent!;
        return Path.Combine(tests.FullName, "ActiveActive.Simulation", "bin", configuration.Name, framework.Name, "ActiveActive.Simulation.dll");
    }

    private static async Task AssertLastLineAsync(string expected, params IEnumerable<string> arguments)
    {
        var start = new ProcessStartInfo("dotnet", [Program(), .. arguments]) { RedirectStandardOutput = true, RedirectStandardError = true };
        using var process = Process.Start(start)!;
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        if (Seeds <= 300) deadline.CancelAfter(s_deadline);
        try
        {
            var errors = process.StandardError.ReadToEndAsync(deadline.Token);
            var output = await process.StandardOutput.ReadToEndAsync(deadline.Token);
            await process.WaitForExitAsync(deadline.Token);
            var last = output.TrimEnd().Split('\n')[^1].TrimEnd();
            Assert.True(last == expected && process.ExitCode == 0, $"Exit code {process.ExitCode} of {string.Join(' ', arguments)}; expected at the end: {expected}\n{output}{await errors}");
        }
        finally
        {
            if (!process.HasExited) process.Kill(entireProcessTree: true);
        }
    }
}
