using System.Runtime.InteropServices;
using ActiveActive.Testing;
using Npgsql;
using QuickStart;
using QuickStart.Cluster;

// This program starts itself once more for each host.
if (args is ["host"]) return await HostProcess.RunHostAsync();

if (!QuickStartOptions.TryParse(args, out var options, out var error))
{
    await Console.Error.WriteLineAsync($"{error}\n\n{QuickStartOptions.Usage}");
    return QuickStartExit.WrongOptions;
}

if (options.Help)
{
    Console.WriteLine(QuickStartOptions.Usage);
    return 0;
}

using var interrupted = new CancellationTokenSource();
void Interrupt(PosixSignalContext context)
{
    // The run ends by itself, in order: hosts, then servers.
    context.Cancel = true;
    interrupted.Cancel();
}

using var ctrlC = PosixSignalRegistration.Create(PosixSignal.SIGINT, Interrupt);
using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Interrupt);
try
{
    var verdict = await new QuickStartRun(options).RunAsync(interrupted.Token);
    // After everything has been stopped, so that it is the last line in any case.
    Console.WriteLine(verdict);
    return verdict.ExitCode;
}
catch (OperationCanceledException) when (interrupted.IsCancellationRequested)
{
    Console.WriteLine("interrupted: hosts and servers are stopped");
    return QuickStartExit.Interrupted;
}
catch (Exception e) when (e is QuickStartException or PostgresNotFoundException or PostgresServerException or NpgsqlException)
{
    Console.WriteLine($"FAILED: {e.Message}");
    return QuickStartExit.NotRun;
}
