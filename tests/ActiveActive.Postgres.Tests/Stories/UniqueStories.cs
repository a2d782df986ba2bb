using ActiveActive.Postgres.Tests.Cluster;

namespace ActiveActive.Postgres.Tests.Stories;

/// <summary>Stories 9 and 39: secondary unique keys that two nodes take at once. Statements are in the order of their stamps.</summary>
[Collection(nameof(ClusterServers))]
public sealed class UniqueStories(ClusterServers servers) : IAsyncLifetime
{
    private const string Schema = """
        CREATE TABLE people (id int PRIMARY KEY, email text UNIQUE, note text);
        CREATE TABLE pairs (id int PRIMARY KEY, a int UNIQUE, b int UNIQUE);
        CREATE TABLE partials (id int PRIMARY KEY, code text, active bool NOT NULL);
        CREATE UNIQUE INDEX partials_code ON partials (code) WHERE active;
        CREATE TABLE expressions (id int PRIMARY KEY, name text, g text GENERATED ALWAYS AS (upper(name)) STORED, data jsonb);
        CREATE UNIQUE INDEX expressions_name ON expressions (lower(name));
        CREATE UNIQUE INDEX expressions_g ON expressions (g);
        CREATE UNIQUE INDEX expressions_data ON expressions ((data ->> 'key'));
        CREATE TABLE nulls (id int PRIMARY KEY, a int, b int, UNIQUE NULLS NOT DISTINCT (a, b));
        CREATE TABLE deferred (id int PRIMARY KEY, code text, UNIQUE (code) DEFERRABLE INITIALLY DEFERRED);
        CREATE TABLE parts (region text, id int, code text, PRIMARY KEY (region, id), UNIQUE (region, code)) PARTITION BY LIST (region);
        CREATE TABLE parts_eu PARTITION OF parts FOR VALUES IN ('eu');
        """;

    private TestCluster _cluster = null!;

    private ClusterNode A => _cluster[0];

    private ClusterNode B => _cluster[1];

    private ClusterNode C => _cluster[2];

    public async ValueTask InitializeAsync() => _cluster = await TestCluster.StartAsync(await servers.GetAsync(18, 15, 18), Schema, node => node.Replicate("public.*"));

    public ValueTask DisposeAsync() => _cluster.DisposeAsync();

    [Fact]
    [Trait("Story", "9")]
    public async Task Later_of_two_rows_with_one_value_is_visible_everywhere_and_the_stream_goes_on()
    {
        await _cluster.ConcurrentlyAsync((A, "INSERT INTO people VALUES (1, 'x', 'a')"), (B, "INSERT INTO people VALUES (2, 'x', 'b')"));
        await A.ExecuteAsync("INSERT INTO people VALUES (3, 'y', 'a')");
        await _cluster.QuietAsync();

        await _cluster.AssertEverywhereAsync("(2,x,b) (3,y,a)", "SELECT * FROM people");
        Assert.Equal("insert_exists apply_remote b", await A.ConflictsAsync("people", 2));
        Assert.Equal("insert_exists keep_local b", await B.ConflictsAsync("people", 1));
        foreach (var node in _cluster.Nodes)
        {
            var hidden = Assert.Single(await node.Node.ReadHiddenRowsAsync());
            Assert.Equal(("1", "x", "a", "2"), (hidden.Key[0], hidden.Row["email"], hidden.Row["note"], hidden.HiddenBy![0]));
            Assert.Equal("public.people", Assert.Single(node.Node.Status.TablesWithHiddenRows).ToString());
        }
    }

    [Theory]
    [InlineData("DELETE FROM people WHERE id = 2", "(1,x,a)")]
    [InlineData("UPDATE people SET email = 'z' WHERE id = 2", "(1,x,a) (2,z,b)")]
    [Trait("Story", "39")]
    public async Task Loser_is_back_everywhere_when_the_value_is_free(string free, string expected)
    {
        await LoseAsync();
        await C.ExecuteAsync(free);
        await BackAsync("people", expected);
        await _cluster.UntilAsync("no table has hidden rows", () => Task.FromResult(_cluster.Nodes.All(n => n.Node.Status.TablesWithHiddenRows.Count == 0)));

        // Its version is what it was: a write that had not seen it back is compared with that one.
        await _cluster.ConcurrentlyAsync((A, "UPDATE people SET note = 'first' WHERE id = 1"), (B, "UPDATE people SET note = 'second' WHERE id = 1"));
        await _cluster.AssertEverywhereAsync("(second)", "SELECT note FROM people WHERE id = 1");
    }

    [Fact]
    [Trait("Story", "39")]
    public async Task Update_of_a_row_that_is_out_of_sight_elsewhere_reaches_it()
    {
        await _cluster.PauseAllAsync();
        await A.ExecuteAsync("INSERT INTO people VALUES (1, 'x', 'a')");
        await B.ExecuteAsync("INSERT INTO people VALUES (2, 'x', 'b')");
        await A.ExecuteAsync("UPDATE people SET note = 'changed', email = 'x' WHERE id = 1");
        // Now the update is the later write of the value.
        await _cluster.ResumeAllAsync();
        await _cluster.AssertEverywhereAsync("(1,x,changed)", "SELECT * FROM people");

        await _cluster.PauseAllAsync();
        await A.ExecuteAsync("UPDATE people SET note = 'again' WHERE id = 1");
        await C.ExecuteAsync("DELETE FROM people WHERE id = 1");
        await C.ExecuteAsync("INSERT INTO people VALUES (4, 'x', 'c')");
        await _cluster.ResumeAllAsync();
        await _cluster.AssertEverywhereAsync("(4,x,c)", "SELECT * FROM people");
        await A.ExecuteAsync("DELETE FROM people WHERE id = 4");
        await BackAsync("people", "(2,x,b)");
    }

    [Fact]
    [Trait("Story", "39")]
    public async Task Loser_that_is_deleted_out_of_sight_does_not_come_back()
    {
        await _cluster.PauseAllAsync();
        await A.ExecuteAsync("INSERT INTO people VALUES (1, 'x', 'a')");
        await B.ExecuteAsync("INSERT INTO people VALUES (2, 'x', 'b')");
        // B's row hides A's at C before A deletes it.
        C.Resume(A);
        C.Resume(B);
        await _cluster.UntilAsync(C, "SELECT * FROM people", "(2,x,b)");
        await A.ExecuteAsync("DELETE FROM people WHERE id = 1");
        await _cluster.ResumeAllAsync();
        await B.ExecuteAsync("DELETE FROM people WHERE id = 2");
        await _cluster.QuietAsync();
        await _cluster.AssertEverywhereAsync("", "SELECT * FROM people");
        await _cluster.UntilAsync("nothing is hidden", async () => (await C.Node.ReadHiddenRowsAsync()).Count == 0);
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

    [Theory]
    [InlineData("partials", "(1, 'k', true)", "(2, 'k', true)", "UPDATE partials SET active = false WHERE id = 2", "(1,k,t) (2,k,f)")]
    [InlineData("expressions (id, name)", "(1, 'Ann')", "(2, 'ANN')", "UPDATE expressions SET name = 'Bob' WHERE id = 2", "(1,Ann,ANN,) (2,Bob,BOB,)")]
    [InlineData("expressions (id, data)", "(1, '{\"key\": \"k\"}')", "(2, '{\"key\": \"k\", \"more\": 1}')", "DELETE FROM expressions WHERE id = 2", "(1,,,\"{\"\"key\"\": \"\"k\"\"}\")")]
    [InlineData("nulls", "(1, 5, NULL)", "(2, 5, NULL)", "DELETE FROM nulls WHERE id = 2", "(1,5,)")]
    [InlineData("deferred", "(1, 'k')", "(2, 'k')", "UPDATE deferred SET code = 'l' WHERE id = 2", "(1,k) (2,l)")]
    [InlineData("parts", "('eu', 1, 'k')", "('eu', 2, 'k')", "DELETE FROM parts WHERE id = 2", "(eu,1,k)")]
    [Trait("Story", "9")]
    public async Task Every_kind_of_unique_index_has_one_winner_and_gives_the_loser_back(string table, string first, string second, string free, string expected)
    {
        var name = table.Split(' ')[0];
        await _cluster.ConcurrentlyAsync((A, $"INSERT INTO {table} VALUES {first}"), (B, $"INSERT INTO {table} VALUES {second}"));
        await _cluster.AssertEverywhereAsync("(2)", $"SELECT id FROM {name}");
        await B.ExecuteAsync(free);
        await BackAsync(name, expected);
    }

    [Fact]
    [Trait("Story", "9")]
    public async Task Row_that_meets_two_others_is_one_conflict()
    {
        await _cluster.ConcurrentlyAsync((A, "INSERT INTO pairs VALUES (1, 1, 1), (2, 2, 2)"), (B, "INSERT INTO pairs VALUES (3, 1, 2)"));
        await _cluster.AssertEverywhereAsync("(3,1,2)", "SELECT * FROM pairs");
        Assert.Equal("multiple_unique_conflicts apply_remote b", await A.ConflictsAsync("pairs", 3));
        await C.ExecuteAsync("UPDATE pairs SET a = 9 WHERE id = 3");
        await BackAsync("pairs", "(1,1,1) (3,9,2)");
        await C.ExecuteAsync("DELETE FROM pairs WHERE id = 3");
        await BackAsync("pairs", "(1,1,1) (2,2,2)");
    }

    [Fact]
    [Trait("Story", "9")]
    public async Task Values_that_move_from_row_to_row_arrive()
    {
        await A.ExecuteAsync("INSERT INTO deferred VALUES (1, 'a'), (2, 'b'), (3, 'c')");
        await _cluster.QuietAsync();
        await B.ExecuteAsync("UPDATE deferred SET code = CASE id WHEN 1 THEN 'b' WHEN 2 THEN 'c' ELSE 'a' END");
        await _cluster.QuietAsync();
        await _cluster.AssertEverywhereAsync("(1,b) (2,c) (3,a)", "SELECT * FROM deferred");
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
        A.Resume(C);
        await _cluster.UntilAsync(A, "SELECT id FROM people", "(2)");
        await _cluster.ResumeAllAsync();
        await _cluster.AssertEverywhereAsync("(2)", "SELECT id FROM people");
        await B.ExecuteAsync("DELETE FROM people WHERE id = 2");
        await BackAsync("people", $"(1,x,{string.Concat(Enumerable.Repeat("large", 2000))})");
    }

    private async Task LoseAsync(int first = 1, int second = 2, string value = "x") =>
        await _cluster.ConcurrentlyAsync((A, $"INSERT INTO people VALUES ({first}, '{value}', 'a')"), (B, $"INSERT INTO people VALUES ({second}, '{value}', 'b')"));

    private async Task BackAsync(string table, string expected)
    {
        await _cluster.QuietAsync();
        foreach (var node in _cluster.Nodes) await _cluster.UntilAsync(node, $"SELECT * FROM {table}", expected);
    }
}
