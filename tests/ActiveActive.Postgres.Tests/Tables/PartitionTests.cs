using ActiveActive.Postgres.Tests.Cluster;

namespace ActiveActive.Postgres.Tests.Tables;

/// <summary>Partitioned tables replicate as their root, however each node has divided them.</summary>
[Collection(ClusterServers.Tables)]
public sealed class PartitionTests(ClusterServers servers)
{
    private const string ByRange = "CREATE TABLE p (id int, region text, v text, PRIMARY KEY (id, region)) PARTITION BY RANGE (id); "
        + "CREATE TABLE p_low PARTITION OF p FOR VALUES FROM (MINVALUE) TO (100); CREATE TABLE p_high PARTITION OF p FOR VALUES FROM (100) TO (MAXVALUE)";

    private const string ByList = "CREATE TABLE p (region text, v text, id int, PRIMARY KEY (id, region)) PARTITION BY LIST (region); "
        + "CREATE TABLE p_eu PARTITION OF p FOR VALUES IN ('eu'); CREATE TABLE p_rest PARTITION OF p DEFAULT";

    // Two levels.
    private const string ByHash = "CREATE TABLE p (id int, region text, v text, PRIMARY KEY (id, region)) PARTITION BY HASH (id); "
        + "CREATE TABLE p_0 PARTITION OF p FOR VALUES WITH (MODULUS 2, REMAINDER 0) PARTITION BY LIST (region); CREATE TABLE p_0_all PARTITION OF p_0 DEFAULT; "
        + "CREATE TABLE p_1 PARTITION OF p FOR VALUES WITH (MODULUS 2, REMAINDER 1)";

    private const string Plain = "CREATE TABLE p (v text, id int, region text, PRIMARY KEY (region, id))";

    [Theory]
    [InlineData("range", "range", "p_low")]
    [InlineData("range", "list", "p_low")]
    [InlineData("list", "hash", "p_eu")]
    [InlineData("hash", "plain", "p_0")]
    [InlineData("plain", "range", "p")]
    public async Task Rows_arrive_whatever_the_partitions(string onA, string onB, string leafOnA)
    {
        await using var cluster = await TwoNodes.StartAsync(servers, "", Of(onA), Of(onB));
        await cluster[0].ExecuteAsync("INSERT INTO p (id, region, v) VALUES (1, 'eu', 'one'), (2, 'us', 'two'), (200, 'eu', 'far'), (201, 'us', 'farther')");
        await cluster[1].ExecuteAsync("INSERT INTO p (id, region, v) VALUES (3, 'eu', 'three')");
        await cluster.AssertSameAsync("(1,eu,one) (2,us,two) (200,eu,far) (201,us,farther) (3,eu,three)", "SELECT id, region, v FROM p");

        // Through a leaf.
        await cluster[0].ExecuteAsync($"UPDATE {leafOnA} SET v = 'leaf ' || id WHERE id = (SELECT min(id) FROM {leafOnA})");
        var id = await cluster[0].ScalarAsync<int>("SELECT id FROM p WHERE v LIKE 'leaf%'");
        await cluster.AssertSameAsync($"({id},\"leaf {id}\")", "SELECT id, v FROM p WHERE v LIKE 'leaf%'");
        await cluster[0].ExecuteAsync("UPDATE p SET v = 'one' WHERE id = 1; UPDATE p SET v = 'two' WHERE id = 2; UPDATE p SET v = 'three' WHERE id = 3; UPDATE p SET v = 'far' WHERE id = 200; UPDATE p SET v = 'farther' WHERE id = 201");

        // Rows move between partitions: on one node, on the other, on both.
        await cluster[0].ExecuteAsync("UPDATE p SET id = 101 WHERE id = 1");
        await cluster[0].ExecuteAsync("UPDATE p SET region = 'eu', v = 'moved' WHERE id = 2");
        await cluster.QuietAsync();
        await cluster[1].ExecuteAsync("UPDATE p SET id = 4, region = 'us' WHERE id = 200");
        await cluster[1].ExecuteAsync("DELETE FROM p WHERE id = 201");
        await cluster.AssertSameAsync("(101,eu,one) (2,eu,moved) (3,eu,three) (4,us,far)", "SELECT id, region, v FROM p");

        await cluster[1].ExecuteAsync("TRUNCATE p");
        await cluster.AssertSameAsync("", "SELECT id, region, v FROM p");
        await cluster[0].ExecuteAsync("INSERT INTO p (id, region, v) VALUES (1, 'eu', 'again')");
        await cluster.AssertSameAsync("(1,eu,again)", "SELECT id, region, v FROM p");
        await cluster[0].ExecuteAsync("TRUNCATE p; INSERT INTO p (id, region, v) VALUES (2, 'eu', 'after')");
        await cluster.AssertSameAsync("(2,eu,after)", "SELECT id, region, v FROM p");
    }

    [Fact]
    public async Task Rows_that_change_places_in_a_partition_with_a_unique_index_of_its_own_arrive()
    {
        const string Seats = "CREATE TABLE p (id int PRIMARY KEY, place text) PARTITION BY RANGE (id); CREATE TABLE p_1 PARTITION OF p FOR VALUES FROM (1) TO (100); CREATE UNIQUE INDEX ON p_1 (place);";
        await using var cluster = await TwoNodes.StartAsync(servers, Seats);
        await cluster[0].ExecuteAsync("INSERT INTO p SELECT g, chr(96 + g) FROM generate_series(1, 5) g");
        await cluster.QuietAsync();
        // As one set of rows each has two values at once: it is refused, and comes again in its order.
        await cluster[0].ExecuteAsync("BEGIN; UPDATE p SET place = 't' WHERE id = 1; UPDATE p SET place = 'a' WHERE id = 2; UPDATE p SET place = 'b' WHERE id = 1; UPDATE p SET place = upper(place) WHERE id > 2; COMMIT");
        await cluster.AssertSameAsync("(1,b) (2,a) (3,C) (4,D) (5,E)", "SELECT * FROM p");
    }

    [Fact]
    public async Task Rows_written_between_the_truncates_of_leaves_stay_or_go_as_on_their_node()
    {
        await using var cluster = await TwoNodes.StartAsync(servers, "", ByRange, ByRange);
        await cluster[0].ExecuteAsync("BEGIN; TRUNCATE p_low; INSERT INTO p VALUES (1, 'eu', 'stays'), (200, 'eu', 'goes'); TRUNCATE p_high; COMMIT");
        await cluster.AssertSameAsync("(1,eu,stays)", "SELECT id, region, v FROM p");
    }

    [Fact]
    public async Task Truncate_of_a_leaf_does_not_take_one_that_was_detached_right_after_it()
    {
        await using var cluster = await TwoNodes.StartAsync(servers, "", ByRange, ByRange);
        await cluster[0].ExecuteAsync("INSERT INTO p VALUES (1, 'eu', 'low'), (200, 'eu', 'high')");
        await cluster.QuietAsync();
        // By the time that capture reads it, p_low is all that p has.
        await cluster[0].ExecuteAsync("BEGIN; TRUNCATE p_low; ALTER TABLE p DETACH PARTITION p_high; COMMIT");
        await cluster.QuietAsync();
        Assert.Equal("(200,eu,high)", await cluster[1].ScalarAsync<string>("SELECT string_agg(p::text, ' ') FROM p"));
        // Nor one that is there again.
        await cluster[0].ExecuteAsync("BEGIN; TRUNCATE p_low; ALTER TABLE p ATTACH PARTITION p_high FOR VALUES FROM (100) TO (MAXVALUE); COMMIT");
        await cluster.QuietAsync();
        Assert.Equal("(200,eu,high)", await cluster[1].ScalarAsync<string>("SELECT string_agg(p::text, ' ') FROM p"));
    }

    /// <summary>What every job does that keeps the current month under one name.</summary>
    [Fact]
    public async Task Truncate_of_a_leaf_does_not_take_one_that_had_its_name_before()
    {
        const string Current = "CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE p_current PARTITION OF p FOR VALUES FROM (0) TO (100)";
        await using var cluster = await TwoNodes.StartAsync(servers, "", Current, Current);
        await cluster[0].ExecuteAsync("INSERT INTO p VALUES (1)");
        await cluster.QuietAsync();
        foreach (var node in cluster.Nodes) await node.ExecuteAsync("BEGIN; ALTER TABLE p_current RENAME TO p_2026_01; CREATE TABLE p_current PARTITION OF p FOR VALUES FROM (100) TO (200); COMMIT");
        await cluster[0].ExecuteAsync("INSERT INTO p VALUES (100)");
        await cluster.QuietAsync();
        await cluster[0].ExecuteAsync("TRUNCATE p_current");
        await cluster.AssertSameAsync("(1)", "SELECT * FROM p");

        // Nor where they exchange their names between two truncates: it is one leaf that is truncated twice.
        await cluster[0].ExecuteAsync("BEGIN; INSERT INTO p VALUES (100); COMMIT; BEGIN; TRUNCATE p_current; ALTER TABLE p_current RENAME TO x; ALTER TABLE p_2026_01 RENAME TO p_current; ALTER TABLE x RENAME TO p_2026_01; TRUNCATE p_2026_01; COMMIT");
        await cluster.QuietAsync();
        Assert.Equal("(1)", await cluster[0].ScalarAsync<string>("SELECT string_agg(p::text, ' ') FROM p"));
        Assert.Equal(0, await cluster[1].ScalarAsync<long>("SELECT count(*) FROM active_active.tombstone WHERE table_name = 'public.p' AND key = ''"));
    }

    /// <summary>It is met as any table is, by the first row that comes into it: here, or at a peer.</summary>
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public async Task Truncate_of_leaves_does_not_take_one_that_came_later_and_was_detached_right_after_it(int writer)
    {
        await using var cluster = await TwoNodes.StartAsync(servers, "", ByList, ByList);
        await cluster[0].ExecuteAsync("INSERT INTO p (id, region, v) VALUES (1, 'eu', 'x')");
        await cluster.QuietAsync();
        foreach (var node in cluster.Nodes) await node.ExecuteAsync("CREATE TABLE p_us PARTITION OF p FOR VALUES IN ('us')");
        await cluster[writer].ExecuteAsync("INSERT INTO p (id, region, v) VALUES (2, 'us', 'stays')");
        await cluster.QuietAsync();
        // And capture has passed it: what is committed behind it has reached the peer.
        await cluster.QuietAsync();
        await cluster[0].ExecuteAsync("BEGIN; TRUNCATE p_eu, p_rest; ALTER TABLE p DETACH PARTITION p_us; COMMIT");
        await cluster.QuietAsync();
        Assert.Equal("(us,stays,2)", await cluster[1].ScalarAsync<string>("SELECT string_agg(p::text, ' ') FROM p"));
    }

    [Fact]
    public async Task Truncate_of_a_table_is_one_however_late_it_is_read_and_whatever_was_attached_since()
    {
        await using var cluster = await TwoNodes.StartAsync(servers, "", ByList, ByList);
        await cluster[0].ExecuteAsync("INSERT INTO p (id, region, v) VALUES (1, 'eu', 'x')");
        await cluster.QuietAsync();
        await cluster[0].StopAsync();
        await cluster[0].ExecuteAsync("TRUNCATE p");
        foreach (var node in cluster.Nodes) await node.ExecuteAsync("CREATE TABLE p_us PARTITION OF p FOR VALUES IN ('us')");
        await cluster[0].StartAsync();
        await cluster.AssertSameAsync("", "SELECT * FROM p");
        Assert.Equal(1, await cluster[1].ScalarAsync<long>("SELECT count(*) FROM active_active.tombstone WHERE table_name = 'public.p' AND key = ''"));
    }

    [Fact]
    public async Task Truncate_of_a_table_is_one_also_after_a_partition_was_dropped_detached_or_renamed()
    {
        await using var cluster = await TwoNodes.StartAsync(servers, "", ByList, ByList);
        foreach (var node in cluster.Nodes) await node.ExecuteAsync("CREATE TABLE p_us PARTITION OF p FOR VALUES IN ('us'); CREATE TABLE p_ap PARTITION OF p FOR VALUES IN ('ap')");
        await cluster[0].ExecuteAsync("INSERT INTO p (id, region, v) VALUES (1, 'eu', 'x'), (2, 'us', 'x'), (3, 'ap', 'x')");
        await cluster.QuietAsync();
        foreach (var node in cluster.Nodes) await node.ExecuteAsync("ALTER TABLE p DETACH PARTITION p_us; DROP TABLE p_ap; ALTER TABLE p_eu RENAME TO p_europe");
        await cluster[0].ExecuteAsync("TRUNCATE p");
        await cluster.AssertSameAsync("", "SELECT * FROM p");
        Assert.Equal(1, await cluster[1].ScalarAsync<long>("SELECT count(*) FROM active_active.tombstone WHERE table_name = 'public.p' AND key = ''"));
    }

    [Fact]
    public async Task Truncate_of_a_leaf_that_is_partitioned_here_empties_its_partitions()
    {
        const string Divided = "CREATE TABLE p (region text, v text, id int, PRIMARY KEY (id, region)) PARTITION BY LIST (region); CREATE TABLE p_eu PARTITION OF p FOR VALUES IN ('eu') PARTITION BY RANGE (id); "
            + "CREATE TABLE p_eu_all PARTITION OF p_eu DEFAULT; CREATE TABLE p_rest PARTITION OF p DEFAULT";
        await using var cluster = await TwoNodes.StartAsync(servers, "", ByList, Divided);
        await cluster[0].ExecuteAsync("INSERT INTO p (id, region, v) VALUES (1, 'eu', 'goes'), (2, 'us', 'stays')");
        await cluster.QuietAsync();
        await cluster[0].ExecuteAsync("TRUNCATE p_eu");
        await cluster.AssertSameAsync("(2,us,stays)", "SELECT id, region, v FROM p");
    }

    [Fact]
    [Trait("Run", "Long")]
    public async Task Partition_that_is_detached_on_one_node_only_holds_the_stream_until_both_agree()
    {
        await using var cluster = await TwoNodes.StartAsync(servers, "", ByRange, ByRange);
        await cluster[0].ExecuteAsync("INSERT INTO p VALUES (1, 'eu', 'low'), (200, 'eu', 'high')");
        await cluster.QuietAsync();
        await cluster[0].ExecuteAsync("ALTER TABLE p DETACH PARTITION p_low");
        await cluster.UntilAsync("a publishes what is a table of its own now", async () => await cluster[0].ScalarAsync<long>("SELECT count(*) FROM pg_publication_rel WHERE prrelid = 'p_low'::regclass") == 1);
        await cluster[1].StopAsync();
        await cluster[1].StartAsync();
        await cluster[0].ExecuteAsync("UPDATE p_low SET v = 'apart' WHERE id = 1");
        await cluster.UntilAsync("b names the partition", () => Task.FromResult(cluster[1].Node.Status.Peers.Single().Message?.Contains("p_low is a partition here", StringComparison.Ordinal) == true));
        await cluster[1].ExecuteAsync("ALTER TABLE p DETACH PARTITION p_low");
        await cluster.AssertSameAsync("(1,apart) (200,high)", "SELECT id, v FROM p UNION ALL SELECT id, v FROM p_low");

        await cluster[0].ExecuteAsync("ALTER TABLE p ATTACH PARTITION p_low FOR VALUES FROM (0) TO (100)");
        await cluster[1].StopAsync();
        await cluster[1].StartAsync();
        await cluster[0].ExecuteAsync("DELETE FROM p WHERE id = 1");
        await cluster.UntilAsync("b names the table", () => Task.FromResult(cluster[1].Node.Status.Peers.Single().Message?.Contains("p_low is a partition of public.p on the peer", StringComparison.Ordinal) == true));
        await cluster[1].ExecuteAsync("ALTER TABLE p ATTACH PARTITION p_low FOR VALUES FROM (0) TO (100)");
        await cluster.AssertSameAsync("(200,high)", "SELECT id, v FROM p");
    }

    [Fact]
    public async Task An_inheritance_child_replicates_as_a_table_of_its_own_where_its_parent_does_not()
    {
        await using var cluster = await TestCluster.StartAsync(
            await servers.GetAsync(18, 15),
            "CREATE TABLE parent (id int PRIMARY KEY, v text); CREATE TABLE child (PRIMARY KEY (id), extra int) INHERITS (parent);",
            node => node.Replicate("public.*").Exclude("public.parent"));
        await cluster[0].ExecuteAsync("INSERT INTO child VALUES (1, 'child', 5); INSERT INTO parent VALUES (1, 'stays here')");
        await cluster[0].ExecuteAsync("UPDATE parent SET v = v || '!'");
        await cluster.AssertSameAsync("(1,child!,5)", "SELECT * FROM child");
        Assert.Equal(0, await cluster[1].ScalarAsync<long>("SELECT count(*) FROM ONLY parent"));
    }

    private static string Of(string partitions) => partitions switch { "range" => ByRange, "list" => ByList, "hash" => ByHash, _ => Plain };
}
