namespace ActiveActive.Postgres.Tests.Cluster;

/// <summary>Updates that leave a TOASTed column unchanged, on real servers: the log does not hold its value.</summary>
[Collection(nameof(ClusterServers))]
[Trait("Story", "8")]
public sealed class UnchangedValueTests(ClusterServers servers)
{
    private const string Schema = "CREATE TABLE documents (id int PRIMARY KEY, title text, body text); ALTER TABLE documents ALTER body SET STORAGE EXTERNAL";

    [Theory]
    [InlineData(15, Traits = ["Run", "Long"])]
    [InlineData(18)]
    public async Task Concurrent_winner_and_re_created_row_are_whole(int version)
    {
        await using var cluster = await StartAsync(version);
        var (a, b) = (cluster[0], cluster[1]);
        await ConcurrentlyAsync(cluster, onA: "UPDATE documents SET title = 'of a', body = repeat('a', 9000) WHERE id = 1; DELETE FROM documents WHERE id = 2",
            onB: "UPDATE documents SET title = 'of b'");
        foreach (var node in cluster.Nodes)
        {
            Assert.Equal("1 of b 9000 x, 2 of b 9000 x, 3 of b 9000 x", await RowsAsync(node));
        }

        Assert.Equal(9000, await a.ScalarAsync<int>("SELECT length(remote_row ->> 'body') FROM active_active.conflict WHERE type = 'update_origin_differs'"));
        Assert.Equal(2, await a.ScalarAsync<long>("SELECT count(*) FROM active_active.conflict WHERE table_name = 'public.documents'"));
        await cluster.AssertIdenticalAsync("documents");
    }

    [Theory]
    [InlineData(15, Traits = ["Run", "Long"])]
    [InlineData(18)]
    public async Task Key_changed_over_a_concurrent_write_keeps_its_large_value(int version)
    {
        await using var cluster = await StartAsync(version);
        await ConcurrentlyAsync(cluster, onA: "UPDATE documents SET body = repeat('a', 9000) WHERE id = 1", onB: "BEGIN; SAVEPOINT s; UPDATE documents SET id = 11, title = 'moved' WHERE id = 1; COMMIT");
        foreach (var node in cluster.Nodes) Assert.Equal("2 t 9000 x, 3 t 9000 x, 11 moved 9000 x", await RowsAsync(node));
        await cluster.AssertIdenticalAsync("documents");
    }

    [Theory]
    [InlineData(15, Traits = ["Run", "Long"])]
    [InlineData(18)]
    public async Task Row_changed_again_or_deleted_at_its_origin_ends_as_its_origin_left_it(int version)
    {
        await using var cluster = await StartAsync(version);
        await ConcurrentlyAsync(cluster, onA: "UPDATE documents SET title = 'of a', body = repeat('a', 9000)", onB:
            """
            UPDATE documents SET title = 'of b';
            UPDATE documents SET title = 'again' WHERE id = 1;
            UPDATE documents SET body = repeat('z', 9000) WHERE id = 2;
            UPDATE documents SET title = 'third' WHERE id = 2;
            DELETE FROM documents WHERE id = 3
            """);
        foreach (var node in cluster.Nodes) Assert.Equal("1 again 9000 x, 2 third 9000 z", await RowsAsync(node));
        await cluster.AssertIdenticalAsync("documents");
    }

    private async Task<TestCluster> StartAsync(int version)
    {
        var cluster = await TestCluster.StartAsync(await servers.GetAsync(version, version), Schema, node => node.Replicate("public.*"));
        await cluster[0].ExecuteAsync("INSERT INTO documents SELECT i, 't', repeat('x', 9000) FROM generate_series(1, 3) i");
        await cluster.QuietAsync();
        return cluster;
    }

    /// <summary>Neither node has seen the other's writes; those of node b are the later ones. Each statement is a transaction of its own.</summary>
    private static async Task ConcurrentlyAsync(TestCluster cluster, string onA, string onB)
    {
        var (a, b) = (cluster[0], cluster[1]);
        await a.Node.PausePeerAsync(b.Node.Name);
        await b.Node.PausePeerAsync(a.Node.Name);
        await cluster.UntilAsync("both links are paused", () => Task.FromResult(cluster.Nodes.All(n => n.Node.Status.Peers.All(p => p.Receiving == PeerLinkState.Paused))));
        foreach (var (node, sql) in new[] { (a, onA), (b, onB) })
        {
            if (sql.StartsWith("BEGIN", StringComparison.Ordinal)) await node.ExecuteAsync(sql);
            else foreach (var statement in sql.Split(';')) await node.ExecuteAsync(statement);
        }

        await a.Node.ResumePeerAsync(b.Node.Name);
        await b.Node.ResumePeerAsync(a.Node.Name);
        await cluster.QuietAsync();
    }

    /// <summary>Id, title, length of the body and its first letter.</summary>
    private static Task<string> RowsAsync(ClusterNode node) =>
        node.ScalarAsync<string>("SELECT string_agg(concat_ws(' ', id, title, length(body), left(body, 1)), ', ' ORDER BY id) FROM documents");
}
