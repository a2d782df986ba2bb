using ActiveActive.Testing;

namespace ActiveActive.Postgres.Tests.Cluster;

/// <summary>Servers and connections that die while everyone writes. Each test has servers of its own.</summary>
public sealed class CrashTests
{
    [Fact]
    [Trait("Story", "18")]
    public async Task Killed_database_loses_nothing_that_was_acknowledged()
    {
        var options = new PostgresServerOptions { Version = 15, Fsync = true };
        await using var first = await PostgresServer.StartAsync(options, TestContext.Current.CancellationToken);
        await using var second = await PostgresServer.StartAsync(options, TestContext.Current.CancellationToken);
        await using var cluster = await TestCluster.StartAsync([first, second], "CREATE TABLE items (id uuid PRIMARY KEY, node text); CREATE TABLE counters (id int PRIMARY KEY, n bigint NOT NULL);", node => node
            .Replicate("public.*").Replicate("public.counters", table => table.DeltaColumn("n")));
        await cluster[0].ExecuteAsync("INSERT INTO counters VALUES (1, 0)");
        await cluster.QuietAsync();

        using var stop = new CancellationTokenSource();
        var writers = cluster.Nodes.Select(node => WriteUntilAsync(node, stop.Token)).ToList();
        for (var round = 0; round < 2; round++)
        {
            var applied = cluster[1 - (round % 2)].Node.Status.Peers[0].AppliedTransactions;
            await cluster.UntilAsync("transactions flow", () => Task.FromResult(cluster[1 - (round % 2)].Node.Status.Peers[0].AppliedTransactions > applied + 50));
            var victim = round % 2 == 0 ? first : second;
            await victim.KillAsync(TestContext.Current.CancellationToken);
            await victim.StartAgainAsync(TestContext.Current.CancellationToken);
            await cluster.UntilAsync("both nodes stream again", () => Task.FromResult(cluster.Nodes.All(n => n.Node.Status.Peers.All(p => p.Receiving == PeerLinkState.Streaming))));
        }

        await stop.CancelAsync();
        var acknowledged = (await Task.WhenAll(writers)).SelectMany(ids => ids).ToHashSet();
        await cluster.QuietAsync(TimeSpan.FromMinutes(1));
        await cluster.AssertIdenticalAsync("items", "counters");
        foreach (var node in cluster.Nodes)
        {
            await using var command = node.Sql.CreateCommand("SELECT array_agg(id) FROM items");
            var present = ((Guid[])(await command.ExecuteScalarAsync(TestContext.Current.CancellationToken))!).ToHashSet();
            Assert.Empty(acknowledged.Except(present));
            // One delta for each row, in the same transaction: equal counts mean that nothing was applied twice.
            Assert.Equal(present.Count, await node.ScalarAsync<long>("SELECT n FROM counters WHERE id = 1"));
        }
    }

    private static async Task<List<Guid>> WriteUntilAsync(ClusterNode node, CancellationToken stop)
    {
        var acknowledged = new List<Guid>();
        while (!stop.IsCancellationRequested)
        {
            var id = Guid.NewGuid();
            try
            {
                await node.ExecuteAsync($"WITH i AS (INSERT INTO items VALUES ('{id}', '{node.Name}')) UPDATE counters SET n = n + 1 WHERE id = 1");
                acknowledged.Add(id);
            }
            catch (Npgsql.NpgsqlException)
            {
                // The server is down: whether this write was committed is unknown, so it is not counted as acknowledged.
                await Task.Yield();
            }
        }

        return acknowledged;
    }
}
