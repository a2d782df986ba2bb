using ActiveActive.Postgres.Tests.Cluster;

namespace ActiveActive.Postgres.Tests.Unique;

/// <summary>Unique keys of two servers, of different versions, compared.</summary>
[Collection(ClusterServers.Tables)]
public sealed class UniqueKeyDifferenceTests(ClusterServers servers)
{
    private const string Schema = """
        CREATE TABLE people (id int PRIMARY KEY, email varchar(80) UNIQUE, name text, age int, tag text COLLATE "C");
        CREATE UNIQUE INDEX ON people (lower(email), tag) INCLUDE (name) WHERE age > 17;
        CREATE TABLE parts (region text, id int, number int, PRIMARY KEY (region, id), UNIQUE (region, number)) PARTITION BY LIST (region);
        CREATE TABLE parts_eu PARTITION OF parts FOR VALUES IN ('eu');
        CREATE UNIQUE INDEX ON parts_eu (number);
        CREATE TABLE aside (id int PRIMARY KEY, note text UNIQUE);
        CREATE TABLE queue (id int PRIMARY KEY, place int UNIQUE DEFERRABLE);
        """;

    [Fact]
    [Trait("Run", "Long")]
    public async Task Difference_is_told_until_both_nodes_agree()
    {
        await using var cluster = await TestCluster.StartAsync(await servers.GetAsync(15, 18), Schema, node => node.Replicate("public.*").Exclude("public.aside"));
        var (a, b) = (cluster[0], cluster[1]);
        await cluster.QuietAsync();
        Assert.All(cluster.Nodes, node => Assert.Empty(Differences(node)));

        // Names and the order of columns make no difference, and neither does what is not replicated.
        await b.ExecuteAsync("ALTER INDEX people_email_key RENAME TO by_email; DROP INDEX people_lower_tag_name_idx; CREATE UNIQUE INDEX ON people (tag, lower(email)) WHERE age > 17; ALTER TABLE aside DROP CONSTRAINT aside_note_key");
        await a.ExecuteAsync("CREATE UNIQUE INDEX ON people (name) NULLS NOT DISTINCT; DROP INDEX parts_eu_number_idx");
        string[] expected = ["public.parts (number) on partition public.parts_eu FOR VALUES IN ('eu') is unique on 'b' only", "public.people (name) NULLS NOT DISTINCT is unique on 'a' only"];
        await cluster.UntilAsync("both tell it", () => Task.FromResult(cluster.Nodes.All(n => Differences(n).SequenceEqual(expected))), TimeSpan.FromSeconds(60));
        Assert.All(cluster.Nodes, n => Assert.Equal(PeerLinkState.Streaming, n.Node.Status.Peers[0].Receiving));

        await b.ExecuteAsync("CREATE UNIQUE INDEX CONCURRENTLY ON people (name) NULLS NOT DISTINCT");
        await a.ExecuteAsync("CREATE UNIQUE INDEX ON parts_eu (number)");
        await cluster.UntilAsync("both agree", () => Task.FromResult(cluster.Nodes.All(n => Differences(n).Count == 0)), TimeSpan.FromSeconds(60));
        Assert.Equal(2, cluster.Log.Split('\n').Count(l => l.Contains("AA3029", StringComparison.Ordinal) && l.Contains("(name)", StringComparison.Ordinal) && l.Contains("(number)", StringComparison.Ordinal)));
    }

    [Fact]
    public async Task First_transaction_after_a_change_of_keys_is_applied()
    {
        await using var cluster = await TestCluster.StartAsync(await servers.GetAsync(15, 18), Schema, node => node.Replicate("public.*").Exclude("public.aside"));
        var (a, b) = (cluster[0], cluster[1]);
        await a.ExecuteAsync("INSERT INTO queue VALUES (1, 1), (2, 2)");
        await cluster.QuietAsync();
        await b.ExecuteAsync("CREATE UNIQUE INDEX ON people (age)");
        await cluster.UntilAsync("a is told of b's key", () => Task.FromResult(Differences(a).Count == 1), TimeSpan.FromSeconds(60));

        // What was known of the tables when it was made ready does not count any more.
        await a.ExecuteAsync("UPDATE queue SET place = place + 10");
        await cluster.QuietAsync();
        Assert.Equal("(1,11)\n(2,12)", await b.DumpAsync("queue"));
    }

    private static IReadOnlyList<string> Differences(ClusterNode node) => node.Node.Status.Peers[0].UniqueKeyDifferences;
}
