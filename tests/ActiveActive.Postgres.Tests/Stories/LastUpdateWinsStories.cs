using ActiveActive.Postgres.Tests.Cluster;

namespace ActiveActive.Postgres.Tests.Stories;

/// <summary>Stories of tables where the last update wins. Statements are in the order of their stamps.</summary>
[Collection(nameof(ClusterServers))]
public sealed class LastUpdateWinsStories(StoryNodes nodes) : IClassFixture<StoryNodes>
{
    private readonly TestCluster _cluster = nodes.Cluster;

    private ClusterNode A => _cluster[0];

    private ClusterNode B => _cluster[1];

    private ClusterNode C => _cluster[2];

    [Fact]
    [Trait("Story", "4")]
    public async Task Later_of_two_concurrent_updates_wins_everywhere_with_one_record_on_each_node()
    {
        await A.ExecuteAsync("INSERT INTO notes VALUES (40, 'old'), (41, 'old')");
        await _cluster.ConcurrentlyAsync(
            (A, "UPDATE notes SET body = 'a' WHERE id = 40"), (B, "UPDATE notes SET body = 'b' WHERE id = 40"),
            (B, "UPDATE notes SET body = 'b' WHERE id = 41"), (A, "UPDATE notes SET body = 'a' WHERE id = 41"));

        await _cluster.AssertEverywhereAsync("(40,b) (41,a)", "SELECT * FROM notes WHERE id IN (40, 41)");
        Assert.Equal("update_origin_differs apply_remote b", await A.ConflictsAsync("notes", 40));
        Assert.Equal("update_origin_differs keep_local b", await B.ConflictsAsync("notes", 40));
        Assert.Equal("update_origin_differs keep_local a", await A.ConflictsAsync("notes", 41));
        Assert.Equal("update_origin_differs apply_remote a", await B.ConflictsAsync("notes", 41));
        Assert.Matches("^update_origin_differs (apply_remote|keep_local) b$", await C.ConflictsAsync("notes", 40));
        Assert.Matches("^update_origin_differs (apply_remote|keep_local) a$", await C.ConflictsAsync("notes", 41));
    }

    [Fact]
    [Trait("Story", "5")]
    public async Task Delete_against_an_update_is_decided_by_their_stamps_in_either_order_of_arrival()
    {
        await A.ExecuteAsync("INSERT INTO notes VALUES (50, 'old'), (51, 'old')");
        await _cluster.PauseAllAsync();
        await B.ExecuteAsync("UPDATE notes SET body = 'older' WHERE id = 50");
        await A.ExecuteAsync("DELETE FROM notes WHERE id IN (50, 51)");
        await B.ExecuteAsync("UPDATE notes SET body = 'newer' WHERE id = 51");

        // C gets the deletes first: the tombstone that they leave is all that tells the older update from the newer one.
        await C.ResumeAsync(A);
        await _cluster.UntilAsync(C, "SELECT id FROM notes WHERE id IN (50, 51)", "");
        await _cluster.ResumeAllAsync();

        await _cluster.AssertEverywhereAsync("(51,newer)", "SELECT * FROM notes WHERE id IN (50, 51)");
        Assert.Equal("update_missing keep_local a", await C.ConflictsAsync("notes", 50));
        Assert.Equal("update_missing apply_remote b", await C.ConflictsAsync("notes", 51));
        Assert.Equal("update_missing keep_local a", await A.ConflictsAsync("notes", 50));
        Assert.Equal("delete_origin_differs apply_remote a", await B.ConflictsAsync("notes", 50));
        Assert.Equal("delete_origin_differs keep_local b", await B.ConflictsAsync("notes", 51));
    }

    [Fact]
    [Trait("Story", "5")]
    public async Task Delete_takes_an_older_update_also_where_the_key_has_another_order_than_the_columns()
    {
        await A.ExecuteAsync("INSERT INTO places VALUES ('fr', 'paris', 'old'), ('us', 'paris', 'old')");
        await _cluster.PauseAllAsync();
        await B.ExecuteAsync("UPDATE places SET body = 'older' WHERE country = 'us'");
        await A.ExecuteAsync("DELETE FROM places WHERE country = 'us'");
        await _cluster.ResumeAllAsync();

        await _cluster.AssertEverywhereAsync("(fr,paris,old)", "SELECT * FROM places");
        Assert.Equal("update_missing keep_local a", await A.ScalarAsync<string>("SELECT type || ' ' || outcome || ' ' || winner FROM active_active.conflict WHERE table_name = 'public.places'"));
    }

    [Fact]
    [Trait("Story", "6")]
    public async Task Late_update_of_a_row_that_was_deleted_and_inserted_again_wins_only_if_it_is_newer()
    {
        await A.ExecuteAsync("INSERT INTO notes VALUES (60, 'old'), (61, 'old')");
        await _cluster.ConcurrentlyAsync(
            (A, "DELETE FROM notes WHERE id IN (60, 61)"),
            (B, "UPDATE notes SET body = 'between' WHERE id = 60"),
            (A, "INSERT INTO notes VALUES (60, 'again'), (61, 'again')"),
            (B, "UPDATE notes SET body = 'newest' WHERE id = 61"));

        await _cluster.AssertEverywhereAsync("(60,again) (61,newest)", "SELECT * FROM notes WHERE id IN (60, 61)");
    }

    [Fact]
    [Trait("Story", "7")]
    public async Task Update_that_arrives_before_its_insert_waits_for_it()
    {
        await _cluster.QuietAsync();
        await _cluster.PauseAsync(C, A);
        await A.ExecuteAsync("INSERT INTO notes VALUES (70, 'a')");
        await _cluster.UntilAsync(B, "SELECT body FROM notes WHERE id = 70", "(a)");
        await B.ExecuteAsync("UPDATE notes SET body = body || 'b' WHERE id = 70");
        await _cluster.UntilAsync("node c says that b's transaction waits for a's", () => Task.FromResult(
            C.Node.Status.Peers.Single(p => p.Peer.Value == "b").Message?.Contains("waits for a ", StringComparison.Ordinal) == true));
        Assert.Equal("", await C.TextAsync("SELECT id FROM notes WHERE id = 70"));

        await C.ResumeAsync(A);
        await _cluster.QuietAsync();
        await _cluster.AssertEverywhereAsync("(70,ab)", "SELECT * FROM notes WHERE id = 70");
        foreach (var node in _cluster.Nodes) Assert.Equal("", await node.ConflictsAsync("notes", 70));
    }

    [Fact]
    [Trait("Story", "11")]
    public async Task Change_of_a_key_against_concurrent_updates_is_a_delete_and_an_insert()
    {
        await A.ExecuteAsync("INSERT INTO notes VALUES (110, 'x'), (112, 'y'), (114, 'p'), (115, 'q')");
        await _cluster.ConcurrentlyAsync(
            // An older update of the row that moves is lost; a newer one creates it again.
            (B, "UPDATE notes SET body = 'older' WHERE id = 110"),
            (A, "UPDATE notes SET id = id + 1 WHERE id IN (110, 112)"),
            (B, "UPDATE notes SET body = 'newer' WHERE id = 112"),
            // Two rows move to one key.
            (A, "UPDATE notes SET id = 116 WHERE id = 114"),
            (C, "UPDATE notes SET id = 116 WHERE id = 115"));

        await _cluster.AssertEverywhereAsync("(111,x) (112,newer) (113,y) (116,q)", "SELECT * FROM notes WHERE id BETWEEN 110 AND 119");
    }

    [Fact]
    [Trait("Story", "16")]
    public async Task Truncate_takes_older_rows_and_leaves_newer_ones()
    {
        await A.ExecuteAsync("INSERT INTO emptied_notes VALUES (1, 'seen'), (2, 'seen')");
        await _cluster.PauseAllAsync();
        await B.ExecuteAsync("INSERT INTO emptied_notes VALUES (3, 'older')");
        await C.ExecuteAsync("UPDATE emptied_notes SET body = 'older' WHERE id = 1");
        await A.ExecuteAsync("INSERT INTO emptied_notes VALUES (4, 'own')");
        await A.ExecuteAsync("TRUNCATE emptied_notes");
        await B.ExecuteAsync("INSERT INTO emptied_notes VALUES (5, 'newer')");
        await C.ExecuteAsync("UPDATE emptied_notes SET body = 'newer' WHERE id = 2");
        await A.ExecuteAsync("INSERT INTO emptied_notes VALUES (6, 'own')");

        // C gets the truncate before b's older row: only the table's tombstone tells it from the newer one.
        await C.ResumeAsync(A);
        await _cluster.UntilAsync(C, "SELECT * FROM emptied_notes", "(2,newer) (6,own)");
        await _cluster.ResumeAllAsync();
        await _cluster.AssertEverywhereAsync("(2,newer) (5,newer) (6,own)", "SELECT * FROM emptied_notes");

        // Each node, once for each row that one side had not seen; which name it has depends on which came first.
        const string truncated = "SELECT key->>0, type, outcome, local_row->>'body' FROM active_active.conflict WHERE table_name = 'public.emptied_notes'";
        await _cluster.UntilAsync(B, truncated + " AND key->>0 IN ('3', '5')", "(3,truncate_origin_differs,apply_remote,older) (5,truncate_origin_differs,keep_local,newer)");
        await _cluster.UntilAsync(C, truncated, "(1,truncate_origin_differs,apply_remote,older) (2,truncate_origin_differs,keep_local,newer) (3,update_missing,keep_local,) (5,update_missing,apply_remote,)");
    }

    [Fact]
    [Trait("Story", "34")]
    public async Task Each_change_travels_once()
    {
        await _cluster.QuietAsync();
        var published = _cluster.Nodes.ConvertAll(n => n.Node.Status.PublishedTransactions);
        var applied = _cluster.Nodes.ConvertAll(n => n.Node.Status.Peers.Sum(p => p.AppliedTransactions));
        for (var i = 0; i < 10; i++)
        {
            foreach (var node in _cluster.Nodes) await node.ExecuteAsync($"INSERT INTO notes VALUES (340, '{node.Name}') ON CONFLICT (id) DO UPDATE SET body = excluded.body");
        }

        // A change sent back stands in its log before the probe of the second wait, so it would be counted.
        await _cluster.QuietAsync();
        await _cluster.QuietAsync();
        for (var i = 0; i < _cluster.Nodes.Count; i++)
        {
            var status = _cluster[i].Node.Status;
            Assert.Equal(12, status.PublishedTransactions - published[i]);
            Assert.Equal(24, status.Peers.Sum(p => p.AppliedTransactions) - applied[i]);
        }

        await _cluster.AssertIdenticalAsync("notes");
    }

    [Fact]
    [Trait("Story", "36")]
    public async Task Insert_that_arrives_before_capture_has_passed_a_newer_local_delete_stays_dead()
    {
        await _cluster.QuietAsync();
        await _cluster.PauseAsync(B, A);
        await A.ExecuteAsync("INSERT INTO notes VALUES (360, 'a')");
        await using (var connection = await B.Sql.OpenConnectionAsync(TestContext.Current.CancellationToken))
        await using (var transaction = await connection.BeginTransactionAsync(TestContext.Current.CancellationToken))
        {
            // Capture enters the tombstone of a local delete before it goes on: here it can't.
            await using var hold = new Npgsql.NpgsqlCommand("LOCK TABLE active_active.tombstone IN SHARE MODE", connection);
            await hold.ExecuteNonQueryAsync(TestContext.Current.CancellationToken);
            await B.ExecuteAsync("BEGIN; INSERT INTO notes VALUES (360, 'b'); DELETE FROM notes WHERE id = 360; COMMIT");
            const string sessions = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'active_active apply%'";
            var others = await B.ScalarAsync<long>(sessions);
            await B.ResumeAsync(A);
            // It takes nothing before capture has passed what stands here.
            await _cluster.UntilAsync("b has a session for a again", async () => await B.ScalarAsync<long>(sessions) > others);
            Assert.Equal("", await B.TextAsync("SELECT id FROM notes WHERE id = 360"));
        }

        await _cluster.QuietAsync();
        await _cluster.AssertEverywhereAsync("", "SELECT * FROM notes WHERE id = 360");
    }
}
