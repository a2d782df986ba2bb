using ActiveActive.Postgres.Tests.Cluster;

namespace ActiveActive.Postgres.Tests.Tables;

/// <summary>A node on PostgreSQL 18 and one on 15, whose tables may differ.</summary>
internal static class TwoNodes
{
    public const string OddSchema = "Odd Schema";

    public static async Task<TestCluster> StartAsync(ClusterServers servers, string schema, string onlyA = "", string onlyB = "") =>
        await TestCluster.StartAsync(
            await servers.GetAsync(18, 15),
            $"""
            {schema}
            DO $node$ BEGIN
                IF current_database() LIKE 'a%' THEN {Statement(onlyA)} ELSE {Statement(onlyB)} END IF;
            END $node$;
            """,
            node =>
            {
                node.Replicate("public.*");
                if (schema.Contains(OddSchema, StringComparison.Ordinal)) node.Replicate($"{OddSchema}.*");
            });

    /// <summary>Compares the same query on both nodes, for tables whose rows are not shaped alike.</summary>
    public static async Task AssertSameAsync(this TestCluster cluster, string expected, string query)
    {
        await cluster.QuietAsync();
        foreach (var node in cluster.Nodes)
        {
            var rows = await node.ScalarAsync<string>($"SELECT coalesce(string_agg(r::text, ' ' ORDER BY r::text COLLATE \"C\"), '') FROM ({query}) r");
            Assert.True(expected == rows, $"{node.Name} has {rows} instead of {expected}.\n{cluster.Describe()}");
            Assert.Equal(0, node.Node.Status.Conflicts);
        }
    }

    private static string Statement(string sql) => sql.Length == 0 ? "NULL;" : $"EXECUTE $sql${sql}$sql$;";
}
