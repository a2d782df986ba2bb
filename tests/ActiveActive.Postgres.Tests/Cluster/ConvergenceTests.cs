namespace ActiveActive.Postgres.Tests.Cluster;

/// <summary>The main job: nodes that are all written, over real servers and real HTTP/2.</summary>
[Collection(nameof(ClusterServers))]
public sealed class ConvergenceTests(ClusterServers servers)
{
    private const string Schema = """
        CREATE TABLE accounts (id int PRIMARY KEY, owner text NOT NULL, balance bigint NOT NULL);
        CREATE TABLE profiles (id int PRIMARY KEY, name text, city text);
        """;

    private static void Configure(ReplicationNodeBuilder node) => node
        .Replicate("public.*")
        .Replicate("public.accounts", table => table.DeltaColumn("balance"));

    [Theory]
    [InlineData(15, Traits = ["Run", "Long"])]
    [InlineData(18)]
    public async Task A_write_on_each_node_arrives_on_all(int version)
    {
        await using var cluster = await TestCluster.StartAsync(await servers.GetAsync(version, version, version), Schema, Configure);
        for (var i = 0; i < cluster.Nodes.Count; i++) await cluster[i].ExecuteAsync($"INSERT INTO profiles VALUES ({i}, 'name {i}', NULL)");
        await cluster.QuietAsync();
        await cluster[0].ExecuteAsync("UPDATE profiles SET city = 'Rome' WHERE id = 2");
        await cluster[1].ExecuteAsync("DELETE FROM profiles WHERE id = 0");
        await cluster.QuietAsync();
        Assert.Equal("(1,\"name 1\",)\n(2,\"name 2\",Rome)", await cluster[2].DumpAsync("profiles"));
        await cluster.AssertIdenticalAsync("profiles");
        foreach (var node in cluster.Nodes) Assert.Equal(0, node.Node.Status.Conflicts);
    }

    /// <summary>Two seeds by default; ACTIVEACTIVE_SEEDS=50 runs more.</summary>
    public static TheoryData<int, int> Seeds()
    {
        var seeds = new TheoryData<int, int>();
        var count = int.TryParse(Environment.GetEnvironmentVariable("ACTIVEACTIVE_SEEDS"), out var wanted) ? wanted : 2;
        for (var seed = 1; seed <= count; seed++) seeds.Add(seed % 2 == 1 ? 18 : 15, seed);
        return seeds;
    }

    [Theory]
    [MemberData(nameof(Seeds))]
    public async Task Random_writes_on_three_nodes_converge(int version, int seed)
    {
        TestContext.Current.TestOutputHelper?.WriteLine($"seed {seed}");
        await using var cluster = await TestCluster.StartAsync(await servers.GetAsync(version, version, version), RandomLoad.Schema, RandomLoad.Configure);
        var loads = cluster.Nodes.Select((node, i) => new RandomLoad(node, seed * 100 + i, keys: 12)).ToList();
        await Task.WhenAll(loads.Select(load => load.RunAsync(400, TestContext.Current.CancellationToken)));
        await cluster.QuietAsync();
        await cluster.AssertIdenticalAsync("lww", "delta", "tagged");
        Assert.True(cluster.Nodes.Sum(n => n.Node.Status.Conflicts) > 0, "The load made no conflict at all.");
    }

    [Fact]
    [Trait("Story", "12")]
    public async Task Counter_of_three_nodes_is_exact()
    {
        await using var cluster = await TestCluster.StartAsync(await servers.GetAsync(15, 18, 18), Schema, Configure);
        await cluster[0].ExecuteAsync("INSERT INTO accounts VALUES (1, 'x', 42)");
        await cluster.QuietAsync();
        await Task.WhenAll(AddAsync(cluster[0], 1, 10_001), AddAsync(cluster[1], -1, 10_000));
        await cluster.QuietAsync(TimeSpan.FromMinutes(2));
        foreach (var node in cluster.Nodes) Assert.Equal(43, await node.ScalarAsync<long>("SELECT balance FROM accounts WHERE id = 1"));
    }

    /// <summary>One transaction a step, in a procedure: 10,001 commits without 10,001 round trips.</summary>
    private static async Task AddAsync(ClusterNode node, int step, int times)
    {
        await node.ExecuteAsync($"""
            CREATE PROCEDURE add_{times}() LANGUAGE plpgsql AS $$
            BEGIN FOR i IN 1..{times} LOOP UPDATE accounts SET balance = balance + ({step}) WHERE id = 1; COMMIT; END LOOP; END $$
            """);
        await using var command = node.Sql.CreateCommand($"CALL add_{times}()");
        command.CommandTimeout = 120;
        await command.ExecuteNonQueryAsync();
    }
}
