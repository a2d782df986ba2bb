using System.Diagnostics;

namespace ActiveActive.Postgres.Tests.Programs;

/// <summary>Runs a program that this project references, so that it stands beside the tests in every configuration, as a process of its own.</summary>
internal static class ProgramRun
{
    /// <param name="program">Its file, for example <c>QuickStart.dll</c>.</param>
    /// <param name="limit">The test fails where it takes longer.</param>
    /// <param name="arguments">Its arguments.</param>
    public static async Task<(int ExitCode, string Output)> RunAsync(string program, TimeSpan limit, params string[] arguments)
    {
        var start = new ProcessStartInfo(Environment.GetEnvironmentVariable("DOTNET_HOST_PATH") ?? "dotnet", [Path.Combine(AppContext.BaseDirectory, program), .. arguments])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        using var process = Process.Start(start)!;
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        patience.CancelAfter(limit);
        var output = process.StandardOutput.ReadToEndAsync(CancellationToken.None);
        var errors = process.StandardError.ReadToEndAsync(CancellationToken.None);
        try
        {
            await process.WaitForExitAsync(patience.Token);
        }
        catch (OperationCanceledException)
        {
            // Its hosts and servers end with it.
            process.Kill();
            Assert.Fail($"{program} did not end within {limit.TotalMinutes} minutes:\n{await output}{await errors}");
        }

        return (process.ExitCode, await errors + await output);
    }
}
