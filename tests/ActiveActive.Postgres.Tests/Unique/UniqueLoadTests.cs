using ActiveActive.Postgres.Tests.Cluster;
using Npgsql;

namespace ActiveActive.Postgres.Tests.Unique;

/// <summary>Many writers, few keys and few values: rows lose values and get them back all the time, on all nodes at once.</summary>
[Collection(ClusterServers.Tables)]
public sealed class UniqueLoadTests(ClusterServers servers)
{
    private const int Keys = 12;
    private const int Values = 6;

    // The second table's key is checked at the end of a transaction, by a trigger that does not fire for an applier.
    private const string Schema = """
        CREATE TABLE pairs (id int PRIMARY KEY, a int UNIQUE, b int, note text);
        CREATE UNIQUE INDEX ON pairs (b) WHERE b > 0;
        CREATE TABLE deferred_pairs (id int PRIMARY KEY, a int UNIQUE DEFERRABLE INITIALLY DEFERRED, b int UNIQUE, note text);
        """;

    // Rows that add up, rows that are folded, and a key of one partition.
    private const string OtherRules = """
        CREATE TABLE sums (id int PRIMARY KEY, a int UNIQUE, b int NOT NULL, note text);
        CREATE TABLE folds (id int PRIMARY KEY, a int UNIQUE, b int, note text NOT NULL);
        CREATE TABLE pieces (id int PRIMARY KEY, a int, b int, note text) PARTITION BY RANGE (id);
        CREATE TABLE pieces_1 PARTITION OF pieces FOR VALUES FROM (0) TO (8);
        CREATE TABLE pieces_2 PARTITION OF pieces DEFAULT;
        CREATE UNIQUE INDEX ON pieces_1 (a);
        """;

    [Theory]
    [InlineData(15, 1, Traits = ["Run", "Long"])]
    [InlineData(18, 2, Traits = ["Run", "Long"])]
    [Trait("Story", "39")]
    public async Task Writers_of_the_same_values_on_three_nodes_end_with_the_same_rows_visible_and_hidden(int version, int seed)
    {
        await RunAsync(version, seed, Schema, node => node.Replicate("public.*"), ["pairs", "deferred_pairs"], (table, left, right) =>
            $"({left("a")} = {right("a")} OR {left("b")} = {right("b")}{(table == "pairs" ? $" AND {right("b")} > 0" : "")})");
    }

    [Theory]
    [InlineData(15, 3, Traits = ["Run", "Long"])]
    [InlineData(18, 4, Traits = ["Run", "Long"])]
    [Trait("Story", "39")]
    public async Task Writers_of_sums_and_folds_and_of_a_partition_end_with_the_same_rows_visible_and_hidden(int version, int seed)
    {
        await RunAsync(version, seed, OtherRules, node => node.Replicate("public.*").Replicate("public.sums", table => table.DeltaColumn("b")).ResolveConflictsWith<Append>("public.folds"),
            ["sums", "folds", "pieces"], (table, left, right) => $"{left("a")} = {right("a")}{(table == "pieces" ? $" AND {left("id")} < 8 AND {right("id")} < 8" : "")}");
    }

    private async Task RunAsync(int version, int seed, string schema, Action<ReplicationNodeBuilder> configure, string[] tables, Func<string, Func<string, string>, Func<string, string>, string> clash)
    {
        await using var cluster = await TestCluster.StartAsync(await servers.GetAsync(version, version, version), schema, configure);
        for (var round = 0; round < 4; round++)
        {
            if (round % 2 == 1) await cluster[round / 2].StopAsync();
            await Task.WhenAll(cluster.Nodes.SelectMany((node, i) => Enumerable.Range(0, 2).Select(writer => WriteAsync(node, tables, new Random((((seed * 100) + round) * 10) + (i * 2) + writer)))));
            if (round % 2 == 1) await cluster[round / 2].StartAsync();
        }

        await cluster.QuietAsync(TimeSpan.FromMinutes(2));
        string[] states = [];
        try
        {
            await cluster.UntilAsync("all nodes agree", async () =>
            {
                states = await Task.WhenAll(cluster.Nodes.Select(n => StateAsync(n, tables)));
                return states.Distinct(StringComparer.Ordinal).Count() == 1;
            });
        }
        catch (Xunit.Sdk.FailException e)
        {
            Assert.Fail(string.Join("\n\n", states) + e.Message);
        }

        foreach (var node in cluster.Nodes)
        {
            foreach (var table in tables)
            {
                Assert.Equal(0, await node.ScalarAsync<long>($"SELECT count(*) FROM {table} x JOIN {table} y ON x.id < y.id AND {clash(table, c => $"x.{c}", c => $"y.{c}")}"));
                // Nothing is hidden without need.
                Assert.Equal(0, await node.ScalarAsync<long>(
                    $"SELECT count(*) FROM active_active.unique_loser l WHERE table_name = 'public.{table}' AND NOT EXISTS (SELECT FROM {table} t WHERE {clash(table, c => $"t.{c}", c => $"(l.row->>'{c}')::int")})"));
            }
        }

        Assert.NotEqual("", await cluster[0].ScalarAsync<string>("SELECT coalesce(min(table_name), '') FROM active_active.conflict WHERE resolver = 'unique'"));
    }

    private static async Task WriteAsync(ClusterNode node, string[] tables, Random random)
    {
        for (var i = 0; i < 25; i++)
        {
            try
            {
                await node.ExecuteAsync(Statement(tables, random));
            }
            catch (PostgresException e) when (e.SqlState is PostgresErrorCodes.UniqueViolation or PostgresErrorCodes.DeadlockDetected or PostgresErrorCodes.LockNotAvailable)
            {
                // The application's own conflicts are its own.
            }
        }
    }

    private static string Statement(string[] tables, Random random)
    {
        var table = tables[Math.Max(0, random.Next(-1, tables.Length))];
        var (key, other, a, b) = (random.Next(Keys), random.Next(Keys), random.Next(Values), random.Next(Values));
        return random.Next(9) switch
        {
            0 or 1 or 2 => $"INSERT INTO {table} VALUES ({key}, {a}, {b}, 'i{random.Next(1000)}')",
            3 => $"UPDATE {table} SET a = {a}, note = 'a{random.Next(1000)}' WHERE id = {key}",
            4 => $"UPDATE {table} SET b = {(table == "sums" ? "b + " : "")}{b} WHERE id = {key}",
            5 => $"DELETE FROM {table} WHERE id = {key}",
            6 => $"UPDATE {table} SET id = {other} WHERE id = {key}",
            7 => $"BEGIN; DELETE FROM {table} WHERE id = {key}; INSERT INTO {table} VALUES ({other}, {a}, {b}, 'm'); UPDATE {table} SET a = {random.Next(Values)} WHERE id = {random.Next(Keys)}; COMMIT",
            _ => $"UPDATE {table} SET note = note || '+' WHERE id = {key}",
        };
    }

    private static Task<string> StateAsync(ClusterNode node, string[] tables) => node.ScalarAsync<string>(
        $"""
        SELECT coalesce(string_agg(s, E'\n' ORDER BY s COLLATE "C"), '') FROM (
            {string.Join(" UNION ALL ", tables.Select(t => $"SELECT '{t} ' || t::text FROM {t} t"))}
            UNION ALL SELECT 'hidden ' || table_name || key || l.row::text || stamp || origin FROM active_active.unique_loser l) x (s)
        """);

    /// <summary>Which rows were folded, and in which order, can be read; within a length, for notes are folded again and again.</summary>
    private sealed class Append : IConflictResolver
    {
        public ConflictResolution Resolve(Conflict conflict)
        {
            var note = $"{conflict.Local["note"]}|{conflict.Remote["note"]}";
            return ConflictResolution.Merge(conflict.Remote.With("note", note[Math.Max(0, note.Length - 60)..]));
        }
    }
}
