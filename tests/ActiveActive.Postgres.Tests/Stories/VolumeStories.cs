using ActiveActive.Postgres.Tests.Cluster;

namespace ActiveActive.Postgres.Tests.Stories;

/// <summary>Stories of many rows: in one transaction, in many, and all in conflict.</summary>
[Collection(nameof(ClusterServers))]
public sealed class VolumeStories(ClusterServers servers)
{
    private const long MaxHeapBytes = 1L << 30;

    private const string Schema = """
        CREATE TABLE notes (id int PRIMARY KEY, body text);
        CREATE PROCEDURE write_each(count int, value text) LANGUAGE plpgsql AS $$
        BEGIN FOR i IN 1..count LOOP INSERT INTO notes VALUES (i, value) ON CONFLICT (id) DO UPDATE SET body = excluded.body; COMMIT; END LOOP; END $$;
        CREATE PROCEDURE update_each(count int) LANGUAGE plpgsql AS $$
        BEGIN FOR i IN 1..count LOOP UPDATE notes SET body = 'tiny ' || i WHERE id = i % 1000; COMMIT; END LOOP; END $$;
        """;

    /// <summary>Both nodes, their change logs and their queues live in this process: the limit is generous, since it counts garbage, too.</summary>
    [Fact]
    [Trait("Run", "Long")]
    [Trait("Story", "28")]
    public async Task A_large_transaction_and_many_tiny_ones_arrive_in_bounded_memory()
    {
        await using var cluster = await TestCluster.StartAsync(await servers.GetAsync(15, 18), Schema, node => node.Replicate("public.*").With(o => o.ChangeLogBytes = 8 << 20));
        await cluster[1].ExecuteAsync("INSERT INTO notes SELECT i, 'old' FROM generate_series(0, 999) i");
        await cluster.QuietAsync();
        var before = GC.GetTotalMemory(forceFullCollection: true);
        await WriteAsync(cluster[0], "INSERT INTO notes SELECT i, repeat('x', 500) FROM generate_series(1000001, 1200000) i");
        await WriteAsync(cluster[1], "CALL update_each(20000)");
        var round = Guid.NewGuid();
        foreach (var node in cluster.Nodes) await node.ExecuteAsync($"UPDATE quiet_probe SET round = '{round}' WHERE node = '{node.Name}'");
        long most = 0;
        foreach (var node in cluster.Nodes)
        {
            await cluster.UntilAsync($"node {node.Name} has applied all", async () =>
            {
                most = Math.Max(most, GC.GetTotalMemory(forceFullCollection: false) - before);
                return await node.ScalarAsync<long>($"SELECT count(*) FROM quiet_probe WHERE round = '{round}'") == 2;
            }, TimeSpan.FromMinutes(3));
        }

        TestContext.Current.TestOutputHelper?.WriteLine($"at most {most >> 20} MiB more than before");
        Assert.True(most < MaxHeapBytes, $"The heap grew by {most >> 20} MiB.");
        foreach (var node in cluster.Nodes) Assert.Equal("(1000,200000)", await node.TextAsync("SELECT count(*) FILTER (WHERE body LIKE 'tiny %'), count(*) FILTER (WHERE id > 1000) FROM notes"));
        var sum = "SELECT md5(string_agg(id || body, ',' ORDER BY id)) FROM notes";
        Assert.Equal(await cluster[0].TextAsync(sum), await cluster[1].TextAsync(sum));
        foreach (var node in cluster.Nodes) Assert.Equal(0, node.Node.Status.Conflicts);
    }

    [Fact]
    [Trait("Story", "29")]
    public async Task Storm_in_which_every_row_conflicts_converges_and_records_all()
    {
        const int rows = 300;
        await using var cluster = await TestCluster.StartAsync(await servers.GetAsync(18, 15, 18), Schema, node => node.Replicate("public.*"));
        await cluster[0].ExecuteAsync($"CALL write_each({rows}, 'old')");
        await cluster.PauseAllAsync();
        await Task.WhenAll(cluster.Nodes.Select(node => WriteAsync(node, $"CALL write_each({rows}, '{node.Name}')")));
        await cluster.ResumeAllAsync();

        await cluster.AssertIdenticalAsync("notes");
        await cluster.AssertEverywhereAsync($"({rows})", "SELECT count(*) FROM notes WHERE body IN ('a', 'b', 'c')");
        foreach (var node in cluster.Nodes)
        {
            // Of three concurrent writes of a row the second and the third to arrive each meet another's.
            Assert.Equal($"({rows},2)", await node.TextAsync(
                "SELECT count(*), records FROM (SELECT count(*) AS records FROM active_active.conflict WHERE table_name = 'public.notes' AND type = 'update_origin_differs' GROUP BY key) k GROUP BY records"));
            Assert.Equal(2 * rows, node.Node.Status.Conflicts);

            // What a record calls the winner of the last of them is what stands.
            Assert.Equal($"({rows})", await node.TextAsync(
                "SELECT count(*) FROM notes n JOIN (SELECT DISTINCT ON (key) key->>0 AS id, winner FROM active_active.conflict ORDER BY key, active_active.conflict.id DESC) c ON c.id = n.id::text AND c.winner = n.body"));
        }
    }

    private static async Task WriteAsync(ClusterNode node, string sql)
    {
        await using var command = node.Sql.CreateCommand(sql);
        command.CommandTimeout = 120;
        await command.ExecuteNonQueryAsync(TestContext.Current.CancellationToken);
    }
}
