using ActiveActive.Testing;
using Microsoft.Extensions.Logging;

namespace ActiveActive.Tests.Cluster;

/// <summary>A table of each rule: <c>lww</c> (id, v), <c>delta</c> (id, v, n) and <c>merged</c> (id, v), whose resolver shows what it was asked.</summary>
internal static class TestTables
{
    public static Task<InMemoryCluster> StartAsync(params string[] names) => StartAsync(names, static _ => { });

    public static Task<InMemoryCluster> StartAsync(IReadOnlyList<string> names, Action<ReplicationNodeOptions> configure, ILoggerFactory? loggers = null) => InMemoryCluster.StartAsync(names, options =>
    {
        options.Loggers = loggers ?? options.Loggers;
        options
            .Table("lww", "id integer", "v text")
            .Table("delta", "id integer", "v text", "n bigint")
            .Table("merged", "id integer", "v text")
            .Node(node => node
                .Replicate("public.delta", table => table.DeltaColumn("n"))
                .Replicate("public.merged", table => table.ResolveConflictsWith(new Chain()))
                .With(configure));
    });

    /// <summary>Inserts a row with <c>v</c>, and <c>n</c> where the table has it.</summary>
    public static Task<bool> PutAsync(this InMemoryNode node, string table, string key, string v, string n = "0") =>
        table == "delta" ? node.InsertAsync(table, ("id", key), ("v", v), ("n", n)) : node.InsertAsync(table, ("id", key), ("v", v));

    public static Task<bool> SetAsync(this InMemoryNode node, string table, string key, string v) => node.UpdateAsync(table, ("id", key), ("v", v));

    /// <summary>The row's columns but the key, for example <c>x|5</c>; null where there is no row.</summary>
    public static string? Text(this InMemoryNode node, string table, string key) => node.Read(table, key) is { } row ? string.Join("|", row.Values.Skip(1)) : null;

    private sealed class Chain : IConflictResolver
    {
        public ConflictResolution Resolve(Conflict conflict) => ConflictResolution.Merge(conflict.Local.With("v", $"({conflict.Local["v"]}>{conflict.Remote["v"]})"));
    }
}
