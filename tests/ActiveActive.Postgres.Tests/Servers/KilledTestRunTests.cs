using System.Diagnostics;
using ActiveActive.Testing;

namespace ActiveActive.Postgres.Tests.Servers;

public sealed class KilledTestRunTests
{
    private const string ReportVariable = "ACTIVEACTIVE_TEST_REPORT";

    /// <summary>
    /// The test runs itself once more in a child process, which starts a server, reports it and then waits to be killed.
    /// </summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Killed_test_run_leaves_nothing(bool withAllItsChildren)
    {
        CancellationToken token = TestContext.Current.CancellationToken;
        if (Environment.GetEnvironmentVariable(ReportVariable) is { } reportTo)
        {
            await RunAsChildAsync(reportTo, token);
            return;
        }

        string report = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName());
        using Process child = StartChild(report);
        try
        {
            await Deadline.AwaitAsync("the child process reports its server", () => File.Exists(report));
            ServerTraces traces = ServerTraces.Parse(await File.ReadAllTextAsync(report, token));
            Assert.True(traces.Any());

            child.Kill(withAllItsChildren);

            await child.WaitForExitAsync(token);
            await Deadline.AwaitAsync("server, folder and shared memory are gone", () => !traces.Any());
        }
        finally
        {
            child.Kill();
            File.Delete(report);
        }
    }

    private static async Task RunAsChildAsync(string reportTo, CancellationToken token)
    {
        await using PostgresServer server = await PostgresServer.StartAsync(cancellationToken: token);
        await File.WriteAllTextAsync(reportTo + ".part", ServerTraces.Of(server).Format(), token);
        File.Move(reportTo + ".part", reportTo);
        await Task.Delay(Timeout.Infinite, token);
    }

    private static Process StartChild(string report)
    {
        string assembly = typeof(KilledTestRunTests).Assembly.Location;
        string method = $"{typeof(KilledTestRunTests).FullName}.{nameof(Killed_test_run_leaves_nothing)}";
        string dotnet = Environment.GetEnvironmentVariable("DOTNET_HOST_PATH") ?? "dotnet";
        ProcessStartInfo start = new(dotnet, [assembly, "-method", method, "-maxThreads", "1"])
        {
            RedirectStandardOutput = true,
            UseShellExecute = false,
        };
        start.Environment[ReportVariable] = report;

        // Else the killed runtime itself would leave its diagnostic sockets.
        start.Environment["DOTNET_EnableDiagnostics"] = "0";
        Process child = Process.Start(start)!;
        child.BeginOutputReadLine();
        return child;
    }
}
