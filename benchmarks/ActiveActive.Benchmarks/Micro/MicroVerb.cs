using ActiveActive.Benchmarks.Reports;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Loggers;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.NoEmit;

namespace ActiveActive.Benchmarks.Micro;

/// <summary>Runs <see cref="HotPath"/> by BenchmarkDotNet, in this process, and adds its figures to the report.</summary>
internal static class MicroVerb
{
    public static void Run(BenchmarkOptions options, Report report)
    {
        var job = (options.Quick ? Job.ShortRun : Job.MediumRun).WithToolchain(InProcessNoEmitToolchain.DontLogOutput);
        var config = ManualConfig.CreateEmpty().AddJob(job).AddDiagnoser(BenchmarkDotNet.Diagnosers.MemoryDiagnoser.Default)
            .AddColumnProvider(BenchmarkDotNet.Columns.DefaultColumnProviders.Instance).AddLogger(options.Verbose ? ConsoleLogger.Default : NullLogger.Instance)
            .WithArtifactsPath(Path.Combine(options.Output ?? Path.GetTempPath(), "micro"));
        foreach (var measured in BenchmarkRunner.Run<HotPath>(config).Reports)
        {
            var name = $"micro_{measured.BenchmarkCase.Descriptor.WorkloadMethod.Name.ToLowerInvariant()}";
            if (!options.Wants(name)) continue;
            report.Add(measured.ResultStatistics is { } time && measured.GcStats.GetBytesAllocatedPerOperation(measured.BenchmarkCase) is { } bytes
                ? new CaseResult(name).With("ns_per_row", time.Median).With("bytes_per_row", bytes)
                : new CaseResult(name) { Void = "it did not run; --verbose tells why" });
        }
    }
}
