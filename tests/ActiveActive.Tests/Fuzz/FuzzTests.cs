using System.Diagnostics;

namespace ActiveActive.Tests.Fuzz;

/// <summary>The fuzzer as it is run by hand, bounded by inputs. See <c>tests/ActiveActive.Fuzz</c>.</summary>
public sealed class FuzzTests(ITestOutputHelper output)
{
    private static readonly TimeSpan s_deadline = TimeSpan.FromMinutes(10);

    [Fact]
    [Trait("Story", "32")]
    public async Task No_input_crashes_hangs_or_takes_more_memory_than_it_may()
    {
        var start = new ProcessStartInfo("dotnet", [Program(), "--inputs", "100000"]) { RedirectStandardOutput = true, RedirectStandardError = true };
        using var process = Process.Start(start)!;
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        deadline.CancelAfter(s_deadline);
        try
        {
            var errors = process.StandardError.ReadToEndAsync(deadline.Token);
            var said = await process.StandardOutput.ReadToEndAsync(deadline.Token);
            await process.WaitForExitAsync(deadline.Token);
            output.WriteLine(said);
            Assert.True(said.TrimEnd().EndsWith("\ninputs 100000, crashes 0, hangs 0, over-allocations 0", StringComparison.Ordinal) && process.ExitCode == 0, $"Exit code {process.ExitCode}\n{said}{await errors}");
        }
        finally
        {
            if (!process.HasExited) process.Kill(entireProcessTree: true);
        }
    }

    /// <summary>Built with this project, into the same folder beside it.</summary>
    private static string Program()
    {
        var framework = new DirectoryInfo(Path.TrimEndingDirectorySeparator(AppContext.BaseDirectory));
        var configuration = framework.Parent!;
        var tests = configuration.Parent!.Parent!.Parent!;
        return Path.Combine(tests.FullName, "ActiveActive.Fuzz", "bin", configuration.Name, framework.Name, "ActiveActive.Fuzz.dll");
    }
}
