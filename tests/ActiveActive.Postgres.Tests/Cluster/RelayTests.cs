using ActiveActive.Testing;

namespace ActiveActive.Postgres.Tests.Cluster;

/// <summary>A node dies after one of the others has its transactions: the rest get them there.</summary>
[Collection(nameof(ClusterServers))]
public sealed class RelayTests(ClusterServers servers)
{
    private const string Schema = "CREATE TABLE notes (id int PRIMARY KEY, body text); CREATE TABLE counters (id int PRIMARY KEY, n bigint NOT NULL);";
    private static readonly string[] s_tables = ["notes", "counters"];

    [Theory]
    [InlineData(15, 18)]
    [InlineData(18, 15, Traits = ["Run", "Long"])]
    [Trait("Story", "21")]
    public async Task Survivors_of_a_dead_node_agree_and_it_comes_back(int relayer, int receiver)
    {
        await using var dying = await PostgresServer.StartAsync(new PostgresServerOptions { Version = 16, Fsync = true }, TestContext.Current.CancellationToken);
        await using var cluster = await TestCluster.StartAsync([dying, .. await servers.GetAsync(relayer, receiver)], Schema, node => node
            .Replicate("public.*").Replicate("public.counters", table => table.DeltaColumn("n")).With(o => (o.RelayAfter, o.MaxChangesPerPart) = (TimeSpan.Zero, 100)));
        var (a, b, c) = (cluster[0], cluster[1], cluster[2]);
        await a.ExecuteAsync("INSERT INTO counters SELECT g, 0 FROM generate_series(1, 3) g; INSERT INTO notes VALUES (-1, 'base')");
        await cluster.QuietAsync();

        // c takes nothing more from a; b has all of it, and skipped what lost: a's insert over its delete, and an older update.
        await c.Node.PausePeerAsync(new NodeName("a"));
        await b.Node.PausePeerAsync(new NodeName("a"));
        await a.ExecuteAsync("UPDATE notes SET body = 'older' WHERE id = -1; INSERT INTO counters VALUES (9, 5)");
        await b.ExecuteAsync("UPDATE notes SET body = 'later' WHERE id = -1; INSERT INTO counters VALUES (9, 7)");
        await b.ExecuteAsync("DELETE FROM counters WHERE id = 9");
        for (var i = 0; i < 20; i++) await a.ExecuteAsync("UPDATE counters SET n = n + 1 WHERE id = 1");
        await a.ExecuteAsync("INSERT INTO notes SELECT g, repeat(md5(g::text), 100) FROM generate_series(1, 450) g");
        await b.Node.ResumePeerAsync(new NodeName("a"));
        await cluster.UntilAsync("b has a's rows", async () => await b.ScalarAsync<long>("SELECT count(*) FROM notes") == 451);
        await b.ExecuteAsync("UPDATE counters SET n = n + 100 WHERE id = 1");
        await dying.KillAsync(TestContext.Current.CancellationToken);
        await a.StopAsync();
        Assert.Equal(1, await c.ScalarAsync<long>("SELECT count(*) FROM notes"));

        await c.Node.ResumePeerAsync(new NodeName("a"));
        await cluster.UntilAsync("c has a's rows, and b's that depend on them", async () => await c.ScalarAsync<long>("SELECT count(*) FROM notes") == 451 && await c.ScalarAsync<long>("SELECT n FROM counters WHERE id = 1") == 120);
        foreach (var table in s_tables) Assert.Equal(await b.DumpAsync(table), await c.DumpAsync(table));
        Assert.Equal("later", await c.ScalarAsync<string>("SELECT body FROM notes WHERE id = -1"));
        Assert.Equal(0, await c.ScalarAsync<long>("SELECT count(*) FROM counters WHERE id = 9"));
        const string Versions = "SELECT string_agg(format('%s %s', id, pg_xact_commit_timestamp(xmin)), E'\\n' ORDER BY id) FROM notes";
        Assert.Equal(await b.ScalarAsync<string>(Versions), await c.ScalarAsync<string>(Versions));
        Assert.Equal("b", c.Node.Status.Peers.Single(p => p.Peer.Value == "a").RelayedBy?.Value);
        Assert.Contains("AA3013", cluster.Log, StringComparison.Ordinal);

        await dying.StartAgainAsync(TestContext.Current.CancellationToken);
        a.Sql.Clear();
        await a.StartAsync();
        await a.ExecuteAsync("UPDATE counters SET n = n + 1000 WHERE id = 1; INSERT INTO notes VALUES (1000, 'back')");
        await cluster.QuietAsync(TimeSpan.FromMinutes(1));
        await cluster.AssertIdenticalAsync(s_tables);
        foreach (var node in cluster.Nodes) Assert.Equal(1120, await node.ScalarAsync<long>("SELECT n FROM counters WHERE id = 1"));
        await cluster.UntilAsync("a's transactions come from a again", () => Task.FromResult(
            c.Node.Status.Peers.Single(p => p.Peer.Value == "a") is { RelayedBy: null, Receiving: PeerLinkState.Streaming }));
        await cluster.UntilAsync("no copy of a slot is left", async () =>
            await b.ScalarAsync<long>("SELECT count(*) FROM pg_replication_slots WHERE database = current_database()") == 1);
    }
}
