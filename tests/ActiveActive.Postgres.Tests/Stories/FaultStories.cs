using ActiveActive.Postgres.Tests.Cluster;
using ActiveActive.Testing;
using Npgsql;

namespace ActiveActive.Postgres.Tests.Stories;

/// <summary>Stories of lost acknowledgements, deadlocks, and servers that have forgotten commit timestamps.</summary>
[Collection(nameof(ClusterServers))]
public sealed class FaultStories(ClusterServers servers)
{
    private const string Schema = "CREATE TABLE notes (id int PRIMARY KEY, body text); CREATE TABLE counters (id int PRIMARY KEY, n bigint NOT NULL);";

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private static void Configure(ReplicationNodeBuilder node) => node.Replicate("public.*").Replicate("public.counters", table => table.DeltaColumn("n"));

    [Fact]
    [Trait("Story", "20")]
    public async Task Transaction_whose_acknowledgement_was_lost_is_applied_once()
    {
        await using var cluster = await TestCluster.StartAsync(await servers.GetAsync(18, 15), Schema, Configure);
        var (a, b) = (cluster[0], cluster[1]);
        await using var line = FaultProxy.Start(a.Port);
        await b.StopAsync();
        await b.StartAsync(node => node.AddPeer("a", line.Address));
        await a.ExecuteAsync("INSERT INTO counters VALUES (1, 0)");
        await cluster.QuietAsync();
        for (var round = 1; round <= 3; round++)
        {
            await cluster.UntilAsync("a has b's acknowledgements", () => Task.FromResult(Acknowledged(a) >= a.Node.Status.PublishedPosition));
            line.Upstream.LosesBytes = true;
            await a.ExecuteAsync("UPDATE counters SET n = n + 1 WHERE id = 1");
            await cluster.UntilAsync(b, "SELECT n FROM counters", $"({round})");
            var position = b.Node.Status.Peers[0].AppliedPosition;
            Assert.True(Acknowledged(a) < position, "The acknowledgement was not lost.");
            line.Heal();
            line.Cut();
            await cluster.UntilAsync("b is connected again and its acknowledgement arrives", () => Task.FromResult(Acknowledged(a) >= position));
        }

        await cluster.QuietAsync();
        await cluster.AssertEverywhereAsync("(1,3)", "SELECT * FROM counters");
    }

    [Fact]
    [Trait("Story", "27")]
    public async Task Applier_that_is_the_victim_of_a_deadlock_with_a_local_user_loses_nothing()
    {
        await using var cluster = await TestCluster.StartAsync(await servers.GetAsync(15, 18), Schema, Configure);
        var (a, b) = (cluster[0], cluster[1]);
        await a.ExecuteAsync("INSERT INTO counters VALUES (1, 0), (2, 0), (3, 0)");
        await cluster.QuietAsync();

        // The user never looks for deadlocks: the applier, which closes the circle, finds it and is the victim.
        await using var user = await OpenAsync(b, "SET deadlock_timeout = '10min'; BEGIN; UPDATE counters SET n = n + 10 WHERE id = 3");
        await using var other = await OpenAsync(b, "BEGIN; SELECT FROM counters WHERE id = 2 FOR UPDATE");
        await a.ExecuteAsync("UPDATE counters SET n = n + 1");
        await UntilWaitingAsync(cluster, b, "the applier holds the first row and waits for the second", 1);
        var waiting = ExecuteAsync(user, "UPDATE counters SET n = n + 10 WHERE id = 1");
        await UntilWaitingAsync(cluster, b, "the user waits for the first row", 2);
        await ExecuteAsync(other, "ROLLBACK");
        // The second row is free now: the applier takes it and waits for the third.
        await waiting;
        await ExecuteAsync(user, "COMMIT");
        await cluster.UntilAsync("both have all", async () => await a.TextAsync("SELECT * FROM counters") == "(1,11) (2,1) (3,11)" && await b.TextAsync("SELECT * FROM counters") == "(1,11) (2,1) (3,11)");
        Assert.True(b.Node.Status.Peers[0].Retries > 0, "There was no deadlock.");
        Assert.Contains("40P01", cluster.Log, StringComparison.Ordinal);
    }

    /// <summary>A dump restored before the nodes started, without commit timestamps.</summary>
    [Fact]
    [Trait("Story", "35")]
    public async Task Rows_without_commit_timestamps_on_both_sides_converge()
    {
        await using var first = await ForgetfulServerAsync(18, "off");
        await using var second = await ForgetfulServerAsync(15, "off");
        await using var cluster = await TestCluster.StartAsync([first, second], Schema, Configure, prepare: async node =>
        {
            await node.ExecuteAsync("INSERT INTO notes SELECT i, 'restored' FROM generate_series(1, 5) i; INSERT INTO counters VALUES (1, 100)");
            await RestartAsync(node, "on");
        });
        var (a, b) = (cluster[0], cluster[1]);
        foreach (var node in cluster.Nodes) Assert.Equal("(5)", await node.TextAsync("SELECT count(*) FROM notes WHERE pg_xact_commit_timestamp(xmin) IS NULL"));

        await cluster.ConcurrentlyAsync(
            (a, "UPDATE notes SET body = 'a' WHERE id = 1"), (b, "UPDATE notes SET body = 'b' WHERE id = 1"),
            (b, "UPDATE notes SET body = 'b' WHERE id = 2"), (a, "UPDATE notes SET body = 'a' WHERE id = 2"),
            (a, "DELETE FROM notes WHERE id = 3"), (b, "UPDATE notes SET body = 'b' WHERE id = 3"),
            (b, "UPDATE notes SET body = 'b' WHERE id = 4"), (a, "DELETE FROM notes WHERE id = 4"),
            (a, "UPDATE counters SET n = n + 1"), (b, "UPDATE counters SET n = n + 10"));
        await cluster.AssertEverywhereAsync("(1,b) (2,a) (3,b) (5,restored)", "SELECT * FROM notes");
        await cluster.AssertEverywhereAsync("(1,111)", "SELECT * FROM counters");
    }

    /// <summary>Both servers forget the timestamps of writes that the other node has not seen yet.</summary>
    [Fact]
    [Trait("Story", "35")]
    public async Task Concurrent_writes_whose_commit_timestamps_both_servers_forget_converge()
    {
        await using var first = await ForgetfulServerAsync(18, "on");
        await using var second = await ForgetfulServerAsync(15, "on");
        await using var cluster = await TestCluster.StartAsync([first, second], Schema, Configure);
        var (a, b) = (cluster[0], cluster[1]);
        await a.ExecuteAsync("INSERT INTO notes SELECT i, 'old' FROM generate_series(1, 5) i; INSERT INTO counters VALUES (1, 100)");
        await cluster.QuietAsync();
        foreach (var node in cluster.Nodes) await node.StopAsync();
        foreach (var (node, sql) in new[]
        {
            (a, "UPDATE notes SET body = 'a' WHERE id = 1"), (b, "UPDATE notes SET body = 'b' WHERE id = 1"),
            (b, "UPDATE notes SET body = 'b' WHERE id = 2"), (a, "UPDATE notes SET body = 'a' WHERE id = 2"),
            (a, "DELETE FROM notes WHERE id = 3"), (b, "UPDATE notes SET body = 'b' WHERE id = 3"),
            (b, "UPDATE notes SET body = 'b' WHERE id = 4"), (a, "DELETE FROM notes WHERE id = 4"),
            (a, "UPDATE counters SET n = n + 1"), (b, "UPDATE counters SET n = n + 10"),
        }) await node.ExecuteAsync(sql);
        foreach (var node in cluster.Nodes)
        {
            await RestartAsync(node, "off");
            await RestartAsync(node, "on");
            Assert.NotEqual("(0)", await node.TextAsync("SELECT count(*) FROM notes WHERE pg_xact_commit_timestamp(xmin) IS NULL"));
        }

        foreach (var node in cluster.Nodes) await node.StartAsync();
        await cluster.QuietAsync();
        await cluster.AssertEverywhereAsync("(1,b) (2,a) (3,b) (5,old)", "SELECT * FROM notes");
        await cluster.AssertEverywhereAsync("(1,111)", "SELECT * FROM counters");
    }

    private static Task<PostgresServer> ForgetfulServerAsync(int version, string tracks) =>
        PostgresServer.StartAsync(new PostgresServerOptions { Version = version, Settings = { ["track_commit_timestamp"] = tracks } }, Token);

    /// <summary>Switched off and on again, the setting forgets all timestamps so far.</summary>
    private static async Task RestartAsync(ClusterNode node, string tracks)
    {
        await node.Server.ExecuteAsync($"ALTER SYSTEM SET track_commit_timestamp = {tracks}", cancellationToken: Token);
        await node.Server.StopAsync(cancellationToken: Token);
        await node.Server.StartAgainAsync(Token);
        node.Sql.Clear();
    }

    private static NpgsqlTypes.NpgsqlLogSequenceNumber Acknowledged(ClusterNode node) => node.Node.Status.Peers[0].AcknowledgedPosition;

    private static async Task<NpgsqlConnection> OpenAsync(ClusterNode node, string sql)
    {
        var connection = new NpgsqlConnection(node.Server.ConnectionStringFor(node.Database) + ";Pooling=false");
        await connection.OpenAsync(Token);
        await ExecuteAsync(connection, sql);
        return connection;
    }

    private static async Task ExecuteAsync(NpgsqlConnection connection, string sql)
    {
        await using var command = new NpgsqlCommand(sql, connection);
        await command.ExecuteNonQueryAsync(Token);
    }

    private static Task UntilWaitingAsync(TestCluster cluster, ClusterNode node, string what, int sessions) => cluster.UntilAsync(what, async () =>
        await node.ScalarAsync<long>("SELECT count(DISTINCT l.pid) FROM pg_locks l JOIN pg_stat_activity s USING (pid) WHERE NOT l.granted AND s.datname = current_database()") == sessions);
}
