using ActiveActive.Postgres.Tests.Cluster;

namespace ActiveActive.Postgres.Tests.BadInput;

/// <summary>A unique key over a column that only one node has: its values are nobody else's to resolve.</summary>
[Collection(nameof(ClusterServers))]
public sealed class UniqueDefaultTests(ClusterServers servers)
{
    [Fact]
    public async Task Default_that_clashes_on_one_node_only_holds_the_stream_until_it_is_mended()
    {
        await using var pair = await NodePair.StartAsync(servers,
            "CREATE TABLE t (id int PRIMARY KEY, email text UNIQUE);", "CREATE TABLE t (id int PRIMARY KEY, email text UNIQUE, code int UNIQUE DEFAULT 7);");
        await pair.A.ExecuteAsync("INSERT INTO t VALUES (1, 'x')");
        await pair.A.ExecuteAsync("INSERT INTO t VALUES (2, 'y')");
        await pair.PeerFaultAsync(pair.B, PeerLinkState.Holding, "public.t", "a column that node 'a' does not have", "Make the columns and unique keys of public.t equal");

        await pair.B.ExecuteAsync("ALTER TABLE t ALTER COLUMN code DROP DEFAULT");
        await pair.UntilStreamingAsync();
        await pair.A.ExecuteAsync("INSERT INTO t VALUES (3, 'z')");
        await pair.UntilAsync("b has all rows", async () => await pair.B.ScalarAsync<string>("SELECT string_agg(id || email, ' ' ORDER BY id) FROM t") == "1x 2y 3z");
    }
}
