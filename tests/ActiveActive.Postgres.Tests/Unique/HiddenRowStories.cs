using ActiveActive.Postgres.Tests.Cluster;
using ActiveActive.Postgres.Tests.Stories;

namespace ActiveActive.Postgres.Tests.Unique;

/// <summary>What is told of a row that lost a unique value, and what it is when it comes back; with nodes that stop. Statements are in the order of their stamps.</summary>
[Collection(ClusterServers.Tables)]
public sealed class HiddenRowStories(ClusterServers servers) : IAsyncLifetime
{
    private const string Schema = """
        CREATE TABLE people (id int PRIMARY KEY, email text UNIQUE, note text);
        """;

    private TestCluster _cluster = null!;

    private ClusterNode A => _cluster[0];

    private ClusterNode B => _cluster[1];

    private ClusterNode C => _cluster[2];

    public async ValueTask InitializeAsync() => _cluster = await TestCluster.StartAsync(await servers.GetAsync(18, 15, 18), Schema, node => node.Replicate("public.*"));

    public ValueTask DisposeAsync() => _cluster.DisposeAsync();

    [Fact]
    [Trait("Story", "9")]
    public async Task Hidden_row_is_told_by_the_status_and_by_its_key()
    {
        await LoseAsync();
        await _cluster.AssertEverywhereAsync("(2,x,b)", "SELECT * FROM people");
        foreach (var node in _cluster.Nodes)
        {
            var hidden = Assert.Single(await node.Node.ReadHiddenRowsAsync());
            Assert.Equal(("1", "x", "a", "2"), (hidden.Key[0], hidden.Row["email"], hidden.Row["note"], hidden.HiddenBy![0]));
            Assert.Equal("public.people", Assert.Single(node.Node.Status.TablesWithHiddenRows).ToString());
        }
    }

    [Fact]
    [Trait("Story", "39")]
    public async Task Loser_is_back_with_the_version_that_it_had()
    {
        await LoseAsync();
        await C.ExecuteAsync("UPDATE people SET email = 'z' WHERE id = 2");
        await BackAsync("people", "(1,x,a) (2,z,b)");
        await _cluster.UntilAsync("no table has hidden rows", () => Task.FromResult(_cluster.Nodes.All(n => n.Node.Status.TablesWithHiddenRows.Count == 0)));

        await _cluster.ConcurrentlyAsync((A, "UPDATE people SET note = 'first' WHERE id = 1"), (B, "UPDATE people SET note = 'second' WHERE id = 1"));
        await _cluster.AssertEverywhereAsync("(second)", "SELECT note FROM people WHERE id = 1");
    }

    [Fact]
    [Trait("Story", "39")]
    public async Task Loser_is_back_after_hosts_were_stopped_and_after_a_truncate_it_is_gone()
    {
        await LoseAsync();
        await C.StopAsync();
        await A.StopAsync();
        await A.ExecuteAsync("DELETE FROM people WHERE id = 2");
        await A.StartAsync();
        await C.StartAsync();
        await BackAsync("people", "(1,x,a)");

        await LoseAsync(first: 11, second: 12, value: "t");
        await B.ExecuteAsync("TRUNCATE people");
        await _cluster.QuietAsync();
        await _cluster.AssertEverywhereAsync("", "SELECT * FROM people");
        await A.ExecuteAsync("INSERT INTO people VALUES (13, 't', 'a')");
        await _cluster.QuietAsync();
        await A.ExecuteAsync("DELETE FROM people WHERE id = 13");
        await _cluster.QuietAsync();
        await _cluster.AssertEverywhereAsync("", "SELECT * FROM people");
        foreach (var node in _cluster.Nodes) await _cluster.UntilAsync($"nothing is hidden on {node.Name}", async () => (await node.Node.ReadHiddenRowsAsync()).Count == 0);
    }

    [Fact]
    [Trait("Story", "39")]
    public async Task Large_value_of_a_row_that_is_out_of_sight_at_its_origin_is_fetched_all_the_same()
    {
        await A.ExecuteAsync("ALTER TABLE people ALTER note SET STORAGE EXTERNAL; INSERT INTO people VALUES (1, 'w', repeat('large', 2000))");
        await _cluster.QuietAsync();
        await _cluster.PauseAllAsync();
        await B.ExecuteAsync("UPDATE people SET note = 'b' WHERE id = 1");
        await A.ExecuteAsync("UPDATE people SET email = 'x' WHERE id = 1");
        await C.ExecuteAsync("INSERT INTO people VALUES (2, 'x', 'c')");
        await A.ResumeAsync(C);
        await _cluster.UntilAsync(A, "SELECT id FROM people", "(2)");
        await _cluster.ResumeAllAsync();
        await _cluster.AssertEverywhereAsync("(2)", "SELECT id FROM people");
        await B.ExecuteAsync("DELETE FROM people WHERE id = 2");
        await BackAsync("people", $"(1,x,{string.Concat(Enumerable.Repeat("large", 2000))})");
    }

    [Fact]
    [Trait("Story", "39")]
    [Trait("Run", "Long")]
    public async Task Loser_is_back_when_its_unique_key_is_dropped_and_rows_may_then_be_equal()
    {
        await LoseAsync();
        await _cluster.AssertEverywhereAsync("(2,x,b)", "SELECT * FROM people");
        foreach (var node in _cluster.Nodes) await node.ExecuteAsync("ALTER TABLE people DROP CONSTRAINT people_email_key");
        await A.ExecuteAsync("UPDATE people SET email = 'x' WHERE id = 2");
        foreach (var node in _cluster.Nodes) await _cluster.UntilAsync(node, "SELECT * FROM people", "(1,x,a) (2,x,b)");
        await A.ExecuteAsync("INSERT INTO people VALUES (3, 'x', 'a')");
        await BackAsync("people", "(1,x,a) (2,x,b) (3,x,a)");
        await _cluster.UntilAsync("no table has hidden rows", () => Task.FromResult(_cluster.Nodes.All(n => n.Node.Status.TablesWithHiddenRows.Count == 0)));
    }

    private async Task LoseAsync(int first = 1, int second = 2, string value = "x") =>
        await _cluster.ConcurrentlyAsync((A, $"INSERT INTO people VALUES ({first}, '{value}', 'a')"), (B, $"INSERT INTO people VALUES ({second}, '{value}', 'b')"));

    private async Task BackAsync(string table, string expected)
    {
        await _cluster.QuietAsync();
        foreach (var node in _cluster.Nodes) await _cluster.UntilAsync(node, $"SELECT * FROM {table}", expected);
    }
}
