using ActiveActive.Benchmarks.Clusters;
using ActiveActive.Benchmarks.Micro;
using ActiveActive.Benchmarks.Reports;
using ActiveActive.Benchmarks.Workloads;

namespace ActiveActive.Benchmarks.Verbs;

/// <summary>Starts the servers that a verb needs, and runs it.</summary>
internal static class Verb
{
    public static async Task RunAsync(BenchmarkOptions options, Report report, CancellationToken cancellationToken)
    {
        if (options.Verb == "micro")
        {
            report.Begin("no server, in this process");
            MicroVerb.Run(options, report);
            return;
        }

        await using var group = await ServerGroup.StartAsync(options, options.Verb switch { "mesh" => 4, "slowpeer" => 3, _ => 2 }, cancellationToken);
        report.Begin(group.Describe(options));
        var measurement = new Measurement(options, report, group);
        var drains = new DrainVerb(options, report, measurement);
        switch (options.Verb)
        {
            case "drain":
                foreach (var workload in StandardWorkloads.Drain(options.Scale)) await drains.RunAsync(workload.Name, workload, 2, [0], false, cancellationToken);
                drains.AddGeometricMean();
                break;
            case "wide":
                foreach (var workload in StandardWorkloads.Wide(options.Scale)) await drains.RunAsync(workload.Name, workload, 2, [0], true, cancellationToken);
                break;
            case "mesh":
                await drains.RunAsync("mesh_fanout3_W1", StandardWorkloads.W1(options.Scale), 4, [0], false, cancellationToken);
                await drains.RunAsync("mesh_fanout3_W2", StandardWorkloads.W2(options.Scale), 4, [0], false, cancellationToken);
                // Without an origin filter core would send everything round and round.
                if (group.Version >= 16 || options.OnlyOurs) await drains.RunAsync("mesh_bothways_W1", StandardWorkloads.W1(options.Scale), 2, [0, 1], false, cancellationToken);
                break;
            case "live":
                await new LiveVerb(options, report, measurement).RunAsync(cancellationToken);
                break;
            case "wan":
                await new WanVerb(options, report, measurement).RunAsync(cancellationToken);
                break;
            case "slowpeer":
                await new SlowPeerVerb(options, report, measurement).RunAsync(cancellationToken);
                break;
            case "conflicts":
                await new ConflictsVerb(options, report, measurement).RunAsync(cancellationToken);
                break;
            case "takeover":
                await new TakeoverVerb(options, report, measurement).RunAsync(cancellationToken);
                break;
            default:
                await new WritersVerb(options, report, measurement).RunAsync(cancellationToken);
                break;
        }
    }
}
