using ActiveActive.Postgres.Tests.Programs;

namespace ActiveActive.Postgres.Tests.Soak;

/// <summary>Runs the soak as a process of its own, short and with a pinned seed.</summary>
public sealed class SoakTests
{
    private static readonly TimeSpan s_limit = TimeSpan.FromMinutes(8);

    [Theory]
    [InlineData(1, 2, 4, 40)]
    [InlineData(2, 2, 4, 40)]
    [Trait("Run", "Long")]
    [Trait("Story", "17")]
    [Trait("Story", "18")]
    [Trait("Story", "19")]
    public Task Every_fault_comes_and_nothing_is_lost(int seed, double minutes, int every, int check) => RunAsync(seed, minutes, every, check, []);

    [Fact]
    [Trait("Run", "Long")]
    [Trait("Story", "17")]
    [Trait("Story", "18")]
    [Trait("Story", "19")]
    public Task Killed_host_killed_server_and_cut_lines_lose_nothing() =>
        RunAsync(3, 0.15, 1, 9, ["--only", "HostKill,ServerKill,Cut,Partition,HostStop", "--postgres", "18"]);

    [Fact]
    public async Task Wrong_option_ends_with_code_2()
    {
        var (exitCode, output) = await StartAsync("--only", "Meteor");
        Assert.Equal(2, exitCode);
        Assert.StartsWith("'--only' is no option, or lacks a value in its range.", output, StringComparison.Ordinal);
        Assert.Contains("HostKill", output, StringComparison.Ordinal);
    }

    private static async Task RunAsync(int seed, double minutes, int every, int check, string[] more)
    {
        var (exitCode, output) = await StartAsync([.. FormattableString.Invariant($"--seed {seed} --minutes {minutes} --every {every} --check {check}").Split(' '), .. more]);
        TestContext.Current.TestOutputHelper?.WriteLine(output);
        Assert.True(exitCode == 0, $"Exit code {exitCode}:\n{output}");
        Assert.StartsWith($"good: seed={seed} ", output.TrimEnd().Split('\n')[^1], StringComparison.Ordinal);
    }

    private static Task<(int ExitCode, string Output)> StartAsync(params string[] arguments) => ProgramRun.RunAsync("ActiveActive.Soak.dll", s_limit, arguments);
}
