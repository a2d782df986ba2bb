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
    [InlineData(15)]
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
}
