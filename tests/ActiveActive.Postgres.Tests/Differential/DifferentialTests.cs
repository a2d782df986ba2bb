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

    private const int MostSeeds = 300;

    /// <summary>Six seeds by default; ACTIVEACTIVE_DIFFERENTIAL_SEEDS=1000 runs more.</summary>
    public static TheoryData<int> Seeds() =>
        [.. Enumerable.Range(1, int.TryParse(Environment.GetEnvironmentVariable("ACTIVEACTIVE_DIFFERENTIAL_SEEDS"), out var wanted) ? wanted : 6)];

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
        var (history, planted) = await PlantAsync(Safeguard.RuleE);
        Assert.NotNull(TwinOutcome.Compare(planted, await servers.RunAsync(history)));
    }

    [Fact]
    public async Task The_histories_make_conflicts_of_every_kind()
    {
        var lines = new List<string>();
        for (var seed = 1; seed <= 40; seed++) lines.AddRange((await InMemoryAsync(TwinHistory.Draw(seed))).Where(line => line.Contains(" recorded ", StringComparison.Ordinal)));
        ConflictType[] others = [ConflictType.MultipleUniqueConflicts, ConflictType.TruncateOriginDiffers, ConflictType.Discarded];
        Assert.All(Enum.GetValues<ConflictType>().Except(others), type => Assert.Contains(lines, line => line.Contains($" recorded {type} of ", StringComparison.Ordinal)));
        Assert.All(Enum.GetValues<ConflictOutcome>(), outcome => Assert.Contains(lines, line => line.Contains($": {outcome}, ", StringComparison.Ordinal)));
    }

    [Theory]
    [InlineData(nameof(Safeguard.TombstoneWithoutRow))]
    [InlineData(nameof(Safeguard.VersionOverride))]
    [InlineData(nameof(Safeguard.TableTombstone))]
    [InlineData(nameof(Safeguard.LaterRowsStay))]
    [InlineData(nameof(Safeguard.WholeRows))]
    [InlineData(nameof(Safeguard.AbsentUntilReplaced))]
    [InlineData(nameof(Safeguard.Siblings))]
    public Task The_histories_reach(string safeguard) => PlantAsync(Enum.Parse<Safeguard>(safeguard));

    /// <summary>The first history that ends otherwise in memory where a safeguard is off, and how it ends then.</summary>
    private static async Task<(TwinHistory History, IReadOnlyList<string> Outcome)> PlantAsync(Safeguard safeguard)
    {
        for (var seed = 1; seed <= MostSeeds; seed++)
        {
            var history = TwinHistory.Draw(seed);
            var right = await InMemoryAsync(history);
            IReadOnlyList<string> planted;
            Safeguards.SwitchOff(safeguard);
            try
            {
                planted = await InMemoryAsync(history);
            }
            finally
            {
                Safeguards.SwitchOff(Safeguard.None);
            }

            if (TwinOutcome.Compare(right, planted) is null) continue;
            TestContext.Current.TestOutputHelper?.WriteLine($"{safeguard}: seed {seed}");
            return (history, planted);
        }

        throw new Xunit.Sdk.XunitException($"None of {MostSeeds} histories shows that {safeguard} is off.");
    }

    private static async Task<IReadOnlyList<string>> InMemoryAsync(TwinHistory history)
    {
        await using var twin = await MemoryTwin.StartAsync();
        return await TwinOutcome.RunAsync(history, twin);
    }
}

/// <summary>What the differential tests share.</summary>
[CollectionDefinition(DifferentialTests.Collection, DisableParallelization = true)]
public sealed class DifferentialDefinition : ICollectionFixture<ClusterServers>;
