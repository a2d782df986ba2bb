using ActiveActive.Postgres.Tests.Cluster;

namespace ActiveActive.Postgres.Tests.Rewrite;

/// <summary>Tables are rewritten while all nodes write them.</summary>
[Collection(ClusterServers.Tables)]
public sealed class RewriteLoadTests(ClusterServers servers)
{
    // In transactions of their own, and in one that writes, too; the last two keep each row's xmin.
    private static readonly string[] s_rewrites =
    [
        "ALTER TABLE lww ALTER COLUMN a TYPE int USING a + 0",
        "ALTER TABLE delta ALTER COLUMN balance TYPE bigint USING balance + 0",
        "ALTER TABLE tagged ALTER COLUMN note TYPE text USING note || ''",
        "BEGIN; UPDATE lww SET a = 1 WHERE id = 3; ALTER TABLE lww ALTER COLUMN a TYPE int USING a + 0; SAVEPOINT s; UPDATE lww SET a = 2 WHERE id = 5; RELEASE s; COMMIT",
        "BEGIN; UPDATE delta SET balance = balance + 1 WHERE id = 3; ALTER TABLE delta ALTER COLUMN balance TYPE bigint USING balance + 0; COMMIT",
        "VACUUM FULL delta",
        "CLUSTER lww USING lww_pkey",
    ];

    [Theory]
    [MemberData(nameof(ConvergenceTests.Seeds), MemberType = typeof(ConvergenceTests))]
    [Trait("Story", "42")]
    [Trait("Run", "Long")]
    public async Task Nodes_converge_whose_tables_are_rewritten_under_load(int version, int seed)
    {
        TestContext.Current.TestOutputHelper?.WriteLine($"seed {seed}");
        await using var cluster = await TestCluster.StartAsync(await servers.GetAsync(version, 33 - version, version), RandomLoad.Schema, RandomLoad.Configure);
        var loads = cluster.Nodes.Select((node, i) => new RandomLoad(node, seed * 100 + i, keys: 12)).ToList();
        var running = Task.WhenAll(loads.Select(load => load.RunAsync(200, TestContext.Current.CancellationToken)));
        await Task.WhenAll(cluster.Nodes.Select((node, i) => RewriteAsync(node, new Random(seed * 100 + i), running)));
        await cluster.QuietAsync();
        await cluster.AssertIdenticalAsync("lww", "delta", "tagged");
        Assert.Contains("AA2002", cluster.Log, StringComparison.Ordinal);
    }

    private static async Task RewriteAsync(ClusterNode node, Random random, Task running)
    {
        while (!running.IsCompleted)
        {
            foreach (var sql in s_rewrites.OrderBy(_ => random.Next()))
            {
                try
                {
                    await node.ExecuteAsync(sql);
                }
                catch (Npgsql.PostgresException e) when (e.SqlState == Npgsql.PostgresErrorCodes.DeadlockDetected)
                {
                }
            }
        }

        await running;
    }
}
