using ActiveActive.Postgres.Tests.Cluster;
using ActiveActive.Postgres.Tests.Stories;

namespace ActiveActive.Postgres.Tests.Unique;

/// <summary>Three nodes, two on PostgreSQL 18 and one on 15, whose tables have secondary unique keys of all kinds. Each test has its own keys and values.</summary>
public sealed class UniqueNodes(ClusterServers servers) : IAsyncLifetime
{
    private const string Schema = """
        CREATE TABLE members (id int PRIMARY KEY, email text UNIQUE, note text);
        CREATE TABLE emptied_members (id int PRIMARY KEY, email text UNIQUE);
        CREATE TABLE contacts (id int PRIMARY KEY, email text UNIQUE, phone text UNIQUE);
        CREATE TABLE bookings (id int PRIMARY KEY, room int, is_active boolean NOT NULL);
        CREATE UNIQUE INDEX ON bookings (room) WHERE is_active;
        CREATE TABLE tags (id int PRIMARY KEY, name text NOT NULL);
        CREATE UNIQUE INDEX ON tags (lower(name), (length(name) % 2));
        CREATE TABLE codes (id int PRIMARY KEY, area int NOT NULL, code text, UNIQUE NULLS NOT DISTINCT (area, code));
        CREATE TABLE ranks (id int PRIMARY KEY, rank int UNIQUE DEFERRABLE INITIALLY DEFERRED);
        CREATE TABLE computed (id int PRIMARY KEY, a text, b text GENERATED ALWAYS AS (upper(a)) STORED UNIQUE);
        CREATE TABLE parts (region text, id int, code int, PRIMARY KEY (id, region), UNIQUE (code, region)) PARTITION BY LIST (region);
        CREATE TABLE parts_eu PARTITION OF parts FOR VALUES IN ('eu');
        CREATE TABLE parts_us PARTITION OF parts FOR VALUES IN ('us');
        CREATE TABLE letters (id int PRIMARY KEY, address text UNIQUE, body text);
        ALTER TABLE letters ALTER COLUMN body SET STORAGE EXTERNAL;
        """;

    internal TestCluster Cluster { get; private set; } = null!;

    public async ValueTask InitializeAsync() => Cluster = await TestCluster.StartAsync(
        await servers.GetAsync(18, 15, 18), Schema, node => node.Replicate("public.*"));

    public ValueTask DisposeAsync() => Cluster.DisposeAsync();
}

/// <summary>What these tests do with a cluster.</summary>
internal static class UniqueActs
{
    /// <summary>Every node answers this in the end: what a local write has made free is shown a moment after it was captured.</summary>
    public static async Task UntilEverywhereAsync(this TestCluster cluster, string expected, string query)
    {
        await cluster.QuietAsync();
        foreach (var node in cluster.Nodes) await cluster.UntilAsync(node, query, expected);
    }

    /// <summary>The keys of a table's hidden rows, sorted.</summary>
    public static Task<string> LosersAsync(this ClusterNode node, string table) => node.ScalarAsync<string>(
        $"SELECT coalesce(string_agg(key, ' ' ORDER BY key COLLATE \"C\"), '') FROM active_active.unique_loser WHERE table_name = 'public.{table}'");
}
