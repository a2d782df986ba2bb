namespace ActiveActive.Benchmarks.Workloads;

/// <summary>One load.</summary>
/// <param name="Name">As in the last lines.</param>
/// <param name="Units">How many transactions or rows it writes; for the line.</param>
/// <param name="Seed">Tables and rows that all nodes start with.</param>
/// <param name="WriteAsync">Writes it all. With several writers each gets its own part of the keys.</param>
internal sealed record Workload(string Name, long Units, string Seed, Func<WriterPlace, CancellationToken, Task> WriteAsync);

/// <summary>Where a load is written.</summary>
/// <param name="Database">There.</param>
/// <param name="Part">Which part of the keys, from 0.</param>
/// <param name="Parts">Of how many.</param>
internal sealed record WriterPlace(Clusters.BenchmarkDatabase Database, int Part, int Parts);
