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
