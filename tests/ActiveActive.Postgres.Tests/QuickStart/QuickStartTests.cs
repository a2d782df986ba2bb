using ActiveActive.Postgres.Tests.Programs;

namespace ActiveActive.Postgres.Tests.QuickStart;

/// <summary>Runs the built example as users do, as a process of its own.</summary>
public sealed class QuickStartTests
{
    private static readonly TimeSpan s_limit = TimeSpan.FromMinutes(8);

    [Theory]
    [InlineData("15,17,18")]
    public async Task Three_nodes_converge(string versions)
    {
        var (exitCode, output) = await RunAsync("--seconds", "5", "--postgres", versions);
        AssertConverged(exitCode, output, 3);
    }

    [Fact]
    [Trait("Run", "Long")]
    public async Task A_host_that_is_killed_and_started_again_loses_nothing()
    {
        var (exitCode, output) = await RunAsync("--seconds", "6", "--postgres", "18", "--kill");
        AssertConverged(exitCode, output, 3);
        Assert.Contains("Killed the host of 'asia'", output, StringComparison.Ordinal);
        Assert.Contains("Started the host of 'asia' again", output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_wrong_option_ends_with_code_2()
    {
        var (exitCode, output) = await RunAsync("--postgres", "15,14");
        Assert.Equal(2, exitCode);
        Assert.StartsWith("--postgres takes a number from 15 to 18, not '14'.", output, StringComparison.Ordinal);
    }

    private static void AssertConverged(int exitCode, string output, int nodes)
    {
        var last = output.TrimEnd().Split('\n')[^1].TrimEnd();
        Assert.True(exitCode == 0, $"Exit code {exitCode}:\n{output}");
        Assert.Matches($"^converged: {nodes} nodes identical, [0-9]+ conflicts recorded, 0 lost$", last);
    }

    private static Task<(int ExitCode, string Output)> RunAsync(params string[] arguments) => ProgramRun.RunAsync("QuickStart.dll", s_limit, arguments);
}
