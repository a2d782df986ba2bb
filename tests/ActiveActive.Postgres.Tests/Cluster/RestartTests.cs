namespace ActiveActive.Postgres.Tests.Cluster;

/// <summary>Hosts that stop and come back: what was committed meanwhile arrives once.</summary>
[Collection(nameof(ClusterServers))]
public sealed class RestartTests(ClusterServers servers)
{
    private const string Schema = "CREATE TABLE notes (id int PRIMARY KEY, body text); CREATE TABLE counters (id int PRIMARY KEY, n bigint NOT NULL);";

    [Theory]
    [InlineData(15, Traits = ["Run", "Long"])]
    [InlineData(18)]
    [Trait("Story", "22")]
    public async Task Peer_that_fell_behind_the_change_log_catches_up_through_its_own_slot(int version)
    {
        await using var cluster = await TestCluster.StartAsync(await servers.GetAsync(version, version, version), Schema, node => Configure(node)
            .With(o => o.ChangeLogBytes = 1 << 20));
        await cluster[0].ExecuteAsync("INSERT INTO counters VALUES (1, 0)");
        await cluster.QuietAsync();
        await cluster[2].StopAsync();

        // Four times what the log in memory holds; the third node's host is down, the second goes on without waiting for it.
        for (var i = 0; i < 40; i++)
        {
            await cluster[0].ExecuteAsync($"INSERT INTO notes SELECT {i} * 100 + g, repeat('x', 1000) FROM generate_series(1, 100) g");
            await cluster[1].ExecuteAsync("UPDATE counters SET n = n + 1 WHERE id = 1");
        }

        await cluster.UntilAsync("the second node has all rows", async () => await cluster[1].ScalarAsync<long>("SELECT count(*) FROM notes") == 4000);
        await cluster[2].ExecuteAsync("UPDATE counters SET n = n + 100 WHERE id = 1");
        await cluster[2].StartAsync();
        await cluster.UntilAsync("the third node catches up and streams from the change log again", () => Task.FromResult(
            cluster[0].Node.Status.Peers.Single(p => p.Peer.Value == "c").Sending == PeerFeedState.Streaming));
        await cluster.QuietAsync(TimeSpan.FromMinutes(1));

        await cluster.AssertIdenticalAsync("notes", "counters");
        Assert.Equal(140, await cluster[2].ScalarAsync<long>("SELECT n FROM counters"));
        Assert.Contains("reads its log again for peer 'c'", cluster.Log, StringComparison.Ordinal);
        await cluster.UntilAsync("the catch-up slot is dropped", async () =>
            await cluster[0].ScalarAsync<long>("SELECT count(*) FROM pg_replication_slots WHERE database = current_database()") == 1);
    }

    [Fact]
    [Trait("Story", "17")]
    public async Task Restarted_hosts_apply_everything_once()
    {
        await using var cluster = await TestCluster.StartAsync(await servers.GetAsync(15, 18), Schema, node => Configure(node));
        await cluster[0].ExecuteAsync("INSERT INTO counters VALUES (1, 0)");
        await cluster.QuietAsync();
        for (var round = 0; round < 3; round++)
        {
            var node = cluster[round % 2];
            await node.StopAsync();
            foreach (var writer in cluster.Nodes) await writer.ExecuteAsync("UPDATE counters SET n = n + 1 WHERE id = 1");
            await node.StartAsync();
            foreach (var writer in cluster.Nodes) await writer.ExecuteAsync("UPDATE counters SET n = n + 1 WHERE id = 1");
        }

        await cluster.QuietAsync();
        foreach (var node in cluster.Nodes) Assert.Equal(12, await node.ScalarAsync<long>("SELECT n FROM counters"));
    }

    [Fact]
    public async Task Slot_follows_while_nodes_write_and_while_they_rest()
    {
        await using var cluster = await TestCluster.StartAsync(await servers.GetAsync(18, 18), Schema, node => Configure(node));
        for (var i = 0; i < 20; i++) await cluster[0].ExecuteAsync($"INSERT INTO notes VALUES ({i}, 'x')");
        var written = await cluster[0].ScalarAsync<NpgsqlTypes.NpgsqlLogSequenceNumber>("SELECT pg_current_wal_lsn()");
        await cluster.UntilAsync("the slot is confirmed to the end of what was written", async () =>
            await cluster[0].ScalarAsync<NpgsqlTypes.NpgsqlLogSequenceNumber>("SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE database = current_database()") >= written
            || cluster[0].Node.Status.RetainedBytes < 1024);

        // Traffic that does not replicate must not be held back either.
        await cluster[0].ExecuteAsync("CREATE TABLE elsewhere_log (x text); INSERT INTO elsewhere_log SELECT repeat('y', 1000) FROM generate_series(1, 5000)");
        written = await cluster[0].ScalarAsync<NpgsqlTypes.NpgsqlLogSequenceNumber>("SELECT pg_current_wal_lsn()");
        await cluster.UntilAsync("the slot passes traffic that does not replicate", async () =>
            await cluster[0].ScalarAsync<NpgsqlTypes.NpgsqlLogSequenceNumber>("SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE database = current_database()") >= written);
    }

    private static ReplicationNodeBuilder Configure(ReplicationNodeBuilder node) => node
        .Replicate("public.*").Replicate("public.counters", table => table.DeltaColumn("n"));
}
