using System.Runtime.InteropServices;
using ActiveActive.Soak;
using QuickStart.Cluster;

// This program starts itself once more for each host.
if (args is ["host"]) return await HostProcess.RunHostAsync();

if (!SoakOptions.TryParse(args, out var options, out var error))
{
    await Console.Error.WriteLineAsync($"{error}\n\n{SoakOptions.Help}");
    return 2;
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
var report = await new SoakRun(options, line => Console.WriteLine(line)).RunAsync(interrupted.Token);
Console.WriteLine(report.Verdict);
return report.IsGood ? 0 : 1;
