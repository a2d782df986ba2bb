using ActiveActive.Postgres.Tests.Cluster;

namespace ActiveActive.Postgres.Tests.Stories;

/// <summary>Stories of rows that name others by a foreign key.</summary>
[Collection(nameof(ClusterServers))]
public sealed class ForeignKeyStories(ClusterServers servers)
{
    private const string Schema = """
        CREATE TABLE owners (id int PRIMARY KEY);
        CREATE TABLE pets (id int PRIMARY KEY, owner int REFERENCES owners ON DELETE CASCADE);
        CREATE TABLE places (country text, city text, PRIMARY KEY (country, city));
        CREATE TABLE shops (id int, country text, city text, FOREIGN KEY (country, city) REFERENCES places, PRIMARY KEY (id)) PARTITION BY RANGE (id);
        CREATE TABLE shops_1 PARTITION OF shops FOR VALUES FROM (0) TO (100);
        """;

    [Fact]
    [Trait("Story", "10")]
    public async Task Child_of_a_parent_deleted_at_the_same_time_stays_and_every_node_reports_it()
    {
        await using var cluster = await TestCluster.StartAsync(await servers.GetAsync(18, 15, 18), Schema, node => node.Replicate("public.*"));
        var (a, b) = (cluster[0], cluster[1]);
        await a.ExecuteAsync(
            "INSERT INTO owners VALUES (1), (2); INSERT INTO pets VALUES (10, 1), (11, 1), (12, 2), (13, NULL);"
            + "INSERT INTO places VALUES ('at', 'Wien'); INSERT INTO shops VALUES (1, 'at', 'Wien'), (2, 'at', NULL)");
        await cluster.QuietAsync();
        foreach (var node in cluster.Nodes) Assert.Empty(await OrphansAsync(node));

        // The cascade takes the children that B had, and not the one that A inserts meanwhile.
        await cluster.ConcurrentlyAsync(
            (a, "INSERT INTO pets VALUES (14, 1); INSERT INTO shops VALUES (3, 'at', 'Wien')"),
            (b, "DELETE FROM owners WHERE id = 1; DELETE FROM shops WHERE id = 1; DELETE FROM places"));

        await cluster.AssertEverywhereAsync("(12,2) (13,) (14,1)", "SELECT * FROM pets");
        foreach (var node in cluster.Nodes)
        {
            Assert.Equal(["public.pets 14 pets_owner_fkey 1 public.owners", "public.shops 3 shops_country_city_fkey at,Wien public.places"], await OrphansAsync(node));
            Assert.Single(await OrphansAsync(node, limit: 1));
        }

        // A parent that comes back takes its child in.
        await b.ExecuteAsync("INSERT INTO owners VALUES (1)");
        await cluster.QuietAsync();
        foreach (var node in cluster.Nodes) Assert.Equal(["public.shops 3 shops_country_city_fkey at,Wien public.places"], await OrphansAsync(node));
    }

    [Theory]
    [InlineData(15, Traits = ["Run", "Long"])]
    [InlineData(18)]
    [Trait("Story", "10")]
    public async Task Orphan_is_set_to_null_as_an_update_that_all_nodes_get(int version)
    {
        await using var cluster = await StartAsync(version, table => table.OnOrphan(OrphanPolicy.SetNull));
        var (a, b) = (cluster[0], cluster[1]);
        await OrphansAsync(cluster);
        // Of a composite key the country is part of no choice: it is NOT NULL. The trigger says who wrote.
        await UntilEverywhereAsync(cluster, "SELECT * FROM visits", "(1,,at,,treated,2)");
        await cluster.UntilAsync("no orphan is left", () => Task.FromResult(cluster.Nodes.All(n => StatusOf(n, "visits_pet_fkey") is { Orphans: 0, Message: null })));
        await cluster.QuietAsync();
        await cluster.AssertIdenticalAsync("visits", "pets", "active_active.orphan");
        Assert.Equal(0, await b.ScalarAsync<long>("SELECT count(*) FROM active_active.conflict WHERE table_name = 'public.visits'"));
        Assert.Equal(0, await a.ScalarAsync<long>("SELECT count(*) FROM active_active.orphan"));
    }

    [Theory]
    [InlineData(15, Traits = ["Run", "Long"])]
    [InlineData(18)]
    [Trait("Story", "10")]
    public async Task Quarantined_child_is_whole_on_every_node_and_back_with_its_parents(int version)
    {
        await using var cluster = await StartAsync(version, table => table.OnOrphan(OrphanPolicy.Quarantine));
        var (a, b) = (cluster[0], cluster[1]);
        await OrphansAsync(cluster);
        await UntilEverywhereAsync(cluster, "SELECT id FROM visits", "");
        await cluster.QuietAsync();
        await cluster.AssertIdenticalAsync("visits", "active_active.orphan");
        foreach (var node in cluster.Nodes)
        {
            var orphan = Assert.Single(await node.Node.ReadQuarantinedOrphansAsync());
            Assert.Equal(("public.visits", "1", "10", "at", "Wien"), (orphan.Table.ToString(), orphan.Key[0], orphan.Row["pet"], orphan.Row["country"], orphan.Row["city"]));
        }

        // One parent of two is not enough.
        await b.ExecuteAsync("INSERT INTO pets VALUES (10, NULL)");
        await cluster.QuietAsync();
        Assert.False(await a.Node.ReturnOrphanAsync(TableName.Parse("public.visits"), ["1"]));
        await b.ExecuteAsync("INSERT INTO places VALUES ('at', 'Wien')");
        await UntilEverywhereAsync(cluster, "SELECT * FROM visits", "(1,10,at,Wien,,2)");
        await cluster.QuietAsync();
        await cluster.AssertIdenticalAsync("visits", "active_active.orphan");
        foreach (var node in cluster.Nodes) Assert.Empty(await node.Node.ReadQuarantinedOrphansAsync());
    }

    [Theory]
    [InlineData(15, Traits = ["Run", "Long"])]
    [InlineData(18)]
    [Trait("Story", "10")]
    public async Task Policy_that_the_database_refuses_is_told_and_replication_goes_on(int version)
    {
        await using var cluster = await StartAsync(version, table => table.OnOrphan("pet", OrphanPolicy.SetNull),
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$; CREATE TRIGGER refuses BEFORE UPDATE ON visits FOR EACH ROW EXECUTE FUNCTION refuse();");
        await OrphansAsync(cluster);
        await cluster.UntilAsync("the status says so", () => Task.FromResult(StatusOf(cluster[0], "visits_pet_fkey") is { Orphans: 1, Message: { } message } && message.Contains("P0001", StringComparison.Ordinal)));
        Assert.Contains("AA3028", cluster.Log, StringComparison.Ordinal);
        Assert.Equal(OrphanPolicy.Keep, StatusOf(cluster[0], "visits_country_city_fkey")!.Policy);
        await cluster.QuietAsync();
        await cluster.AssertEverywhereAsync("(1,10,at,Wien,,2)", "SELECT * FROM visits");
        foreach (var node in cluster.Nodes) await node.ExecuteAsync("DROP TRIGGER refuses ON visits");
        await UntilEverywhereAsync(cluster, "SELECT pet FROM visits", "()");
    }

    private const string Visits = """
        CREATE TABLE places (country text, city text, PRIMARY KEY (country, city));
        CREATE TABLE pets (id int PRIMARY KEY, owner int);
        CREATE TABLE visits (id int PRIMARY KEY, pet int REFERENCES pets, country text NOT NULL, city text, note text, doubled int GENERATED ALWAYS AS (id * 2) STORED,
            FOREIGN KEY (country, city) REFERENCES places ON DELETE CASCADE);
        CREATE FUNCTION mark() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.note := 'treated'; RETURN NEW; END $$;
        CREATE TRIGGER marks BEFORE UPDATE ON visits FOR EACH ROW EXECUTE FUNCTION mark();
        """;

    private async Task<TestCluster> StartAsync(int version, Action<TableRuleBuilder> policy, string more = "") => await TestCluster.StartAsync(await servers.GetAsync(version, version == 18 ? 15 : 18, version),
        Visits + more, node => node.Replicate("public.*").Replicate("public.visits", policy).With(o => o.OrphanCheckInterval = TimeSpan.FromSeconds(1)));

    /// <summary>B deletes both parents of a visit that A makes meanwhile.</summary>
    private static async Task OrphansAsync(TestCluster cluster)
    {
        await cluster[0].ExecuteAsync("INSERT INTO pets VALUES (10, NULL); INSERT INTO places VALUES ('at', 'Wien')");
        await cluster.QuietAsync();
        await cluster.ConcurrentlyAsync((cluster[0], "INSERT INTO visits VALUES (1, 10, 'at', 'Wien')"), (cluster[1], "DELETE FROM pets; DELETE FROM places"));
    }

    private static async Task UntilEverywhereAsync(TestCluster cluster, string sql, string expected)
    {
        foreach (var node in cluster.Nodes) await cluster.UntilAsync(node, sql, expected);
    }

    private static ForeignKeyStatus? StatusOf(ClusterNode node, string constraint) => node.Node.Status.ForeignKeys.FirstOrDefault(k => k.Constraint == constraint);

    private static async Task<List<string>> OrphansAsync(ClusterNode node, int limit = 1000)
    {
        var found = new List<string>();
        await foreach (var orphan in node.Node.FindOrphansAsync(limit, TestContext.Current.CancellationToken))
        {
            found.Add($"{orphan.Table} {string.Join(',', orphan.Key)} {orphan.Constraint} {string.Join(',', orphan.Values)} {orphan.Referenced}");
        }

        return found;
    }
}
