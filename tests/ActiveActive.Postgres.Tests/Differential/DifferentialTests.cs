using System.Globalization;
using ActiveActive.Diagnostics;
using ActiveActive.Postgres.Tests.Cluster;

namespace ActiveActive.Postgres.Tests.Differential;

/// <summary>
/// The database in memory, on which the simulator and applications' tests rest, behaves as PostgreSQL: the same histories end with the same rows, step by
/// step, and the same conflict records.
/// </summary>
[Collection(Collection)]
public sealed class DifferentialTests(ServerTwin servers) : IClassFixture<ServerTwin>
{
    /// <summary>A switched off safeguard is so for the whole process: nothing else runs meanwhile.</summary>
    public const string Collection = "Differential";

    /// <summary>Seeds 1 to 4 by default; ACTIVEACTIVE_DIFFERENTIAL_SEEDS=1000 runs more, ACTIVEACTIVE_DIFFERENTIAL_FIRST_SEED=5000 others.</summary>
    public static TheoryData<int> Seeds() => [.. Enumerable.Range(Setting("ACTIVEACTIVE_DIFFERENTIAL_FIRST_SEED", 1), Setting("ACTIVEACTIVE_DIFFERENTIAL_SEEDS", 4))];

    [Theory]
    [MemberData(nameof(Seeds))]
    public async Task Nodes_in_memory_and_on_servers_come_to_the_same_rows_and_conflicts(int seed)
    {
        var history = TwinHistory.Draw(seed);
        var memory = await InMemoryAsync(history);
        var difference = TwinOutcome.Compare(memory, await servers.RunAsync(history));
        Assert.True(difference is null, $"Seed {seed}: {difference}");
    }

    [Fact]
    public async Task Rule_that_only_the_servers_keep_is_found()
    {
        var history = TwinHistory.Draw(2);
        Assert.NotNull(TwinOutcome.Compare(await InMemoryAsync(history, Safeguard.RuleE), await servers.RunAsync(history)));
    }

    [Fact]
    public async Task The_histories_make_conflicts_of_every_kind()
    {
        var lines = new List<string>();
        for (var seed = 1; seed <= 15; seed++) lines.AddRange((await InMemoryAsync(TwinHistory.Draw(seed))).Where(line => line.Contains(" recorded ", StringComparison.Ordinal)));
        // Unique keys, truncates and quarantine are not drawn; nothing records update_exists, since a key change is a delete and an insert.
        ConflictType[] others = [ConflictType.UpdateExists, ConflictType.MultipleUniqueConflicts, ConflictType.TruncateOriginDiffers, ConflictType.Discarded];
        Assert.All(Enum.GetValues<ConflictType>().Except(others), type => Assert.Contains(lines, line => line.Contains($" recorded {type} of ", StringComparison.Ordinal)));
        Assert.All(Enum.GetValues<ConflictOutcome>(), outcome => Assert.Contains(lines, line => line.Contains($": {outcome}, ", StringComparison.Ordinal)));
    }

    [Theory]
    [InlineData(nameof(Safeguard.TombstoneWithoutRow), 11)]
    [InlineData(nameof(Safeguard.VersionOverride), 11)]
    [InlineData(nameof(Safeguard.TableTombstone), 2)]
    [InlineData(nameof(Safeguard.LaterRowsStay), 12)]
    [InlineData(nameof(Safeguard.WholeRows), 4)]
    [InlineData(nameof(Safeguard.AbsentUntilReplaced), 64)]
    [InlineData(nameof(Safeguard.Siblings), 5)]
    public async Task The_histories_reach(string safeguard, int seed)
    {
        var history = TwinHistory.Draw(seed);
        Assert.NotNull(TwinOutcome.Compare(await InMemoryAsync(history), await InMemoryAsync(history, Enum.Parse<Safeguard>(safeguard))));
    }

    private static int Setting(string name, int otherwise) => Environment.GetEnvironmentVariable(name) is { Length: > 0 } text ? int.Parse(text, CultureInfo.InvariantCulture) : otherwise;

    private static async Task<IReadOnlyList<string>> InMemoryAsync(TwinHistory history, Safeguard off = Safeguard.None)
    {
        Safeguards.SwitchOff(off);
        try
        {
            await using var twin = await MemoryTwin.StartAsync();
            return await TwinOutcome.RunAsync(history, twin);
        }
        finally
        {
            Safeguards.SwitchOff(Safeguard.None);
        }
    }
}

/// <summary>What the differential tests share.</summary>
[CollectionDefinition(DifferentialTests.Collection, DisableParallelization = true)]
public sealed class DifferentialDefinition : ICollectionFixture<ClusterServers>;
