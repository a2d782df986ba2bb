using System.Runtime.InteropServices;
using ActiveActive.Benchmarks;
using ActiveActive.Benchmarks.Hosts;
using ActiveActive.Benchmarks.Reports;
using ActiveActive.Benchmarks.Verbs;

// This program starts itself once more for each host.
if (args is ["host"]) return await HostProcess.RunHostAsync();

if (!BenchmarkOptions.TryParse(args, out var options, out var error))
{
    await Console.Error.WriteLineAsync($"{error}\n\n{BenchmarkOptions.Usage}");
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

var report = new Report(options);
try
{
    await Verb.RunAsync(options, report, interrupted.Token);
}
catch (Exception e) when (e is BenchmarkException or ActiveActive.Testing.PostgresNotFoundException or ActiveActive.Testing.PostgresServerException or Npgsql.NpgsqlException or OperationCanceledException)
{
    report.Fail(e.Message);
}

return await report.FinishAsync();
