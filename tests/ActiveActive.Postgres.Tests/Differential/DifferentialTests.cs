using System.Globalization;
using ActiveActive.Diagnostics;
using ActiveActive.Postgres.Tests.Cluster;

namespace ActiveActive.Postgres.Tests.Differential;

/// <summary>
/// The in-memory database behaves as PostgreSQL does, as far as convergence goes: the same histories end with the same rows and the same conflict records. More of them
/// than the first few with <c>ACTIVEACTIVE_DIFFERENTIAL_SEEDS</c>.
/// </summary>
[Collection(nameof(ClusterServers))]
public sealed class DifferentialTests(ClusterServers servers)
{
    private static int Seeds => Environment.GetEnvironmentVariable("ACTIVEACTIVE_DIFFERENTIAL_SEEDS") is { Length: > 0 } text ? int.Parse(text, CultureInfo.InvariantCulture) : 3;

    private static int FirstSeed => Environment.GetEnvironmentVariable("ACTIVEACTIVE_DIFFERENTIAL_FIRST_SEED") is { Length: > 0 } text ? int.Parse(text, CultureInfo.InvariantCulture) : 1;

    [Fact]
    public async Task Drawn_histories_end_alike_in_memory_and_on_servers()
    {
        // The nodes are the same for all seeds, and so the rows go on from one to the next: what a seed prints replays from the first one on.
        await using var memory = await MemoryWorld.StartAsync();
        await using var server = await ServerWorld.StartAsync(servers);
        for (var seed = FirstSeed; seed < FirstSeed + Seeds; seed++) await CompareAsync(seed, memory, server);
        var conflicts = await server.ConflictsAsync(0);
        Assert.DoesNotContain("?", conflicts, StringComparison.Ordinal);
        foreach (var type in new[] { ConflictType.InsertExists, ConflictType.UpdateOriginDiffers, ConflictType.UpdateMissing, ConflictType.DeleteOriginDiffers, ConflictType.DeleteMissing })
        {
            Assert.Contains($" {type} ", conflicts, StringComparison.Ordinal);
        }
    }

    /// <summary>That it can fail: one of two equal worlds has a node whose clock is 10 s behind, so that other writes win.</summary>
    [Fact]
    public async Task Difference_in_one_world_is_told()
    {
        await using var right = await MemoryWorld.StartAsync();
        await using var wrong = await MemoryWorld.StartAsync();
        await CompareAsync(1, right, wrong);
        wrong.SetBack(1);
        await Assert.ThrowsAsync<Xunit.Sdk.FailException>(() => CompareAsync(2, right, wrong));
    }

    private static async Task CompareAsync(int seed, World memory, World server)
    {
        var history = DrawnHistory.Draw(seed);
        for (var round = 0; round < history.Count; round++)
        {
            var inMemory = await memory.RunAsync(history[round]);
            var onServers = await server.RunAsync(history[round]);
            for (var node = 0; node < DrawnHistory.Nodes; node++)
            {
                AssertSame($"rows of node {(char)('a' + node)}", inMemory[node], onServers[node], seed, history, round);
                AssertSame($"conflicts of node {(char)('a' + node)}", await memory.ConflictsAsync(node), await server.ConflictsAsync(node), seed, history, round);
                AssertSame($"rows of nodes a and {(char)('a' + node)}, on servers,", onServers[0], onServers[node], seed, history, round);
            }
        }
    }

    private static void AssertSame(string what, string inMemory, string onServers, int seed, List<DrawnRound> history, int round)
    {
        if (inMemory == onServers) return;
        var (left, right) = (inMemory.Split('\n'), onServers.Split('\n'));
        Assert.Fail($"Seed {seed}, round {round}: the {what} differ.\nOnly in memory:\n{string.Join('\n', left.Except(right))}\nOnly on servers:\n{string.Join('\n', right.Except(left))}\n"
            + string.Join('\n', history[round].Transactions.Select(t => $"{(char)('a' + t.Node)}{t.Number}: {string.Join("; ", t.Statements)}")) + $"\nhanded over: {string.Join(' ', history[round].HandOver.Select(p => $"{(char)('a' + p.From)}→{(char)('a' + p.To)}"))}");
    }
}
