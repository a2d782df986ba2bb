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
Console.CancelKeyPress += (_, e) =>
{
    // The run ends by itself, in order: hosts, then servers.
    e.Cancel = true;
    interrupted.Cancel();
};

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
