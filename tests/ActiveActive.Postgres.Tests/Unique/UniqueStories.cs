using ActiveActive.Postgres.Tests.Cluster;
using ActiveActive.Postgres.Tests.Stories;

namespace ActiveActive.Postgres.Tests.Unique;

/// <summary>Two rows and one value of a secondary unique key. Statements are in the order of their stamps.</summary>
[Collection(ClusterServers.Tables)]
public sealed class UniqueStories(UniqueNodes nodes) : IClassFixture<UniqueNodes>
{
    private readonly TestCluster _cluster = nodes.Cluster;

    private ClusterNode A => _cluster[0];

    private ClusterNode B => _cluster[1];

    private ClusterNode C => _cluster[2];

    [Fact]
    [Trait("Story", "9")]
    public async Task Later_of_two_rows_with_one_value_is_visible_everywhere_with_one_record_on_each_node_and_the_streams_go_on()
    {
        await _cluster.ConcurrentlyAsync((A, "INSERT INTO members VALUES (1, 'x1', 'a')"), (B, "INSERT INTO members VALUES (2, 'x1', 'b')"), (A, "INSERT INTO members VALUES (3, 'free1', 'a')"));

        await _cluster.AssertEverywhereAsync("(2,x1,b) (3,free1,a)", "SELECT * FROM members WHERE id BETWEEN 1 AND 9");
        Assert.Equal("insert_exists apply_remote b", await A.ConflictsAsync("members", 2));
        Assert.Equal("", await A.ConflictsAsync("members", 1));
        Assert.Equal("insert_exists keep_local b", await B.ConflictsAsync("members", 1));
        Assert.Equal("", await B.ConflictsAsync("members", 2));
        Assert.Equal(1, await C.ScalarAsync<long>("SELECT count(*) FROM active_active.conflict WHERE table_name = 'public.members' AND key->>0 IN ('1', '2')"));
        Assert.Equal("a|b", await A.ScalarAsync<string>("SELECT (local_row->>'note') || '|' || (remote_row->>'note') FROM active_active.conflict WHERE table_name = 'public.members' AND key->>0 = '2'"));
        Assert.All(_cluster.Nodes.SelectMany(n => n.Node.Status.Peers), p => Assert.Equal(PeerLinkState.Streaming, p.Receiving));
    }

    [Fact]
    [Trait("Story", "39")]
    public async Task Loser_is_visible_again_everywhere_when_the_winner_is_deleted()
    {
        await _cluster.ConcurrentlyAsync((A, "INSERT INTO members VALUES (11, 'x11', 'a')"), (B, "INSERT INTO members VALUES (12, 'x11', 'b')"));
        await _cluster.AssertEverywhereAsync("(12,x11,b)", "SELECT * FROM members WHERE id BETWEEN 10 AND 19");

        await C.ExecuteAsync("DELETE FROM members WHERE id = 12");

        await _cluster.UntilEverywhereAsync("(11,x11,a)", "SELECT * FROM members WHERE id BETWEEN 10 AND 19");
        // A row like any other: it can be written everywhere.
        await B.ExecuteAsync("UPDATE members SET note = 'again' WHERE id = 11");
        await _cluster.UntilEverywhereAsync("(11,x11,again)", "SELECT * FROM members WHERE id BETWEEN 10 AND 19");
        foreach (var node in _cluster.Nodes) Assert.DoesNotContain("[\"11\"]", await node.LosersAsync("members"), StringComparison.Ordinal);
    }

    [Fact]
    [Trait("Story", "39")]
    public async Task Loser_is_visible_again_everywhere_when_the_winner_takes_another_value()
    {
        await _cluster.ConcurrentlyAsync((A, "INSERT INTO members VALUES (21, 'x21', 'a')"), (B, "INSERT INTO members VALUES (22, 'x21', 'b')"));

        await B.ExecuteAsync("UPDATE members SET email = 'y21' WHERE id = 22");

        await _cluster.UntilEverywhereAsync("(21,x21,a) (22,y21,b)", "SELECT * FROM members WHERE id BETWEEN 20 AND 29");
    }

    [Fact]
    [Trait("Story", "39")]
    public async Task Writes_of_others_reach_a_loser_while_it_is_hidden()
    {
        await HideUnderConcurrentWriteAsync(31, "UPDATE members SET note = 'c' WHERE id = 31", "DELETE FROM members WHERE id = 36");
        await B.ExecuteAsync("DELETE FROM members WHERE id IN (32, 37)");

        await _cluster.UntilEverywhereAsync("(31,x31,c)", "SELECT * FROM members WHERE id BETWEEN 30 AND 39");
    }

    [Fact]
    [Trait("Story", "39")]
    public async Task Loser_that_is_given_another_value_becomes_visible()
    {
        await HideUnderConcurrentWriteAsync(41, "UPDATE members SET email = 'y41' WHERE id = 41", "UPDATE members SET id = 48 WHERE id = 46");

        await _cluster.UntilEverywhereAsync("(41,y41,a) (42,x41,b) (47,x46,b)", "SELECT * FROM members WHERE id BETWEEN 40 AND 49");
        await A.ExecuteAsync("DELETE FROM members WHERE id = 47");
        await _cluster.UntilEverywhereAsync("(41,y41,a) (42,x41,b) (48,x46,a)", "SELECT * FROM members WHERE id BETWEEN 40 AND 49");
    }

    [Fact]
    [Trait("Story", "39")]
    public async Task Local_write_of_a_key_replaces_its_loser()
    {
        await _cluster.ConcurrentlyAsync((A, "INSERT INTO members VALUES (51, 'x51', 'a')"), (B, "INSERT INTO members VALUES (52, 'x51', 'b')"));

        await C.ExecuteAsync("INSERT INTO members VALUES (51, 'y51', 'c')");
        await _cluster.UntilEverywhereAsync("(51,y51,c) (52,x51,b)", "SELECT * FROM members WHERE id BETWEEN 50 AND 59");
        await A.ExecuteAsync("DELETE FROM members WHERE id BETWEEN 50 AND 59");

        await _cluster.UntilEverywhereAsync("", "SELECT * FROM members WHERE id BETWEEN 50 AND 59");
        foreach (var node in _cluster.Nodes) await _cluster.UntilAsync("the loser is gone", async () => !(await node.LosersAsync("members")).Contains("[\"51\"]", StringComparison.Ordinal));
    }

    [Fact]
    [Trait("Story", "39")]
    public async Task Winner_that_left_the_value_before_it_was_known_leaves_both_rows()
    {
        // Pairwise "the later one wins" would have lost the first row where the second one's insert came before its update.
        await _cluster.PauseAllAsync();
        await A.ExecuteAsync("INSERT INTO members VALUES (61, 'x61', 'a')");
        await B.ExecuteAsync("INSERT INTO members VALUES (62, 'x61', 'b')");
        await B.ExecuteAsync("UPDATE members SET email = 'y61' WHERE id = 62");
        await C.ResumeAsync(B);
        await _cluster.UntilAsync(C, "SELECT * FROM members WHERE id = 62", "(62,y61,b)");
        await _cluster.ResumeAllAsync();

        await _cluster.UntilEverywhereAsync("(61,x61,a) (62,y61,b)", "SELECT * FROM members WHERE id BETWEEN 60 AND 69");
    }

    [Fact]
    [Trait("Story", "9")]
    public async Task Values_that_change_places_in_one_transaction_arrive()
    {
        await A.ExecuteAsync("INSERT INTO members VALUES (71, 'x71', 'one'), (72, 'y71', 'two')");
        await A.ExecuteAsync("INSERT INTO ranks VALUES (71, 171), (72, 172), (73, 173)");
        await _cluster.QuietAsync();

        await B.ExecuteAsync("BEGIN; UPDATE members SET email = 't71' WHERE id = 71; UPDATE members SET email = 'x71' WHERE id = 72; UPDATE members SET email = 'y71' WHERE id = 71; COMMIT");
        await C.ExecuteAsync("UPDATE ranks SET rank = CASE rank WHEN 171 THEN 172 WHEN 172 THEN 173 ELSE 171 END WHERE id BETWEEN 71 AND 73");

        await _cluster.UntilEverywhereAsync("(71,y71,one) (72,x71,two)", "SELECT * FROM members WHERE id BETWEEN 70 AND 79");
        await _cluster.UntilEverywhereAsync("(71,172) (72,173) (73,171)", "SELECT * FROM ranks WHERE id BETWEEN 70 AND 79");
    }

    [Fact]
    [Trait("Story", "9")]
    public async Task Row_that_loses_one_of_two_keys_leaves_the_other_value_to_an_older_row()
    {
        await _cluster.ConcurrentlyAsync(
            (A, "INSERT INTO contacts VALUES (1, 'e1', 'p1')"), (B, "INSERT INTO contacts VALUES (2, 'e1', 'p2')"), (C, "INSERT INTO contacts VALUES (3, 'e3', 'p2')"));

        await _cluster.UntilEverywhereAsync("(1,e1,p1) (3,e3,p2)", "SELECT * FROM contacts WHERE id BETWEEN 1 AND 9");
        await A.ExecuteAsync("DELETE FROM contacts WHERE id = 3");
        // The second row is back, and has the later version.
        await _cluster.UntilEverywhereAsync("(2,e1,p2)", "SELECT * FROM contacts WHERE id BETWEEN 1 AND 9");
    }

    [Fact]
    [Trait("Story", "9")]
    public async Task Row_that_meets_two_others_is_recorded_as_such()
    {
        await _cluster.ConcurrentlyAsync(
            (A, "INSERT INTO contacts VALUES (11, 'e11', 'p11'), (12, 'e12', 'p12')"), (B, "INSERT INTO contacts VALUES (13, 'e11', 'p12')"));

        await _cluster.UntilEverywhereAsync("(13,e11,p12)", "SELECT * FROM contacts WHERE id BETWEEN 10 AND 19");
        Assert.Equal("multiple_unique_conflicts apply_remote b", await A.ConflictsAsync("contacts", 13));
    }

    [Fact]
    [Trait("Story", "9")]
    public async Task Partial_expression_and_computed_keys_and_equal_nulls_clash_as_the_server_says()
    {
        await _cluster.ConcurrentlyAsync(
            (A, "INSERT INTO bookings VALUES (1, 1, true), (2, 2, false), (3, NULL, true)"), (B, "INSERT INTO bookings VALUES (11, 1, true), (12, 2, true), (13, NULL, true)"),
            (A, "INSERT INTO tags VALUES (1, 'Ab'), (2, 'Abc')"), (B, "INSERT INTO tags VALUES (11, 'aB'), (12, 'abcd')"),
            (A, "INSERT INTO codes VALUES (1, 1, NULL), (2, 2, NULL), (3, 3, 'x')"), (B, "INSERT INTO codes VALUES (11, 1, NULL), (12, 4, NULL), (13, 3, 'x')"),
            (A, "INSERT INTO computed (id, a) VALUES (1, 'q'), (2, 'r')"), (B, "INSERT INTO computed (id, a) VALUES (11, 'Q'), (12, NULL)"),
            (A, "INSERT INTO parts VALUES ('eu', 1, 1), ('us', 2, 2)"), (B, "INSERT INTO parts VALUES ('eu', 11, 1), ('eu', 12, 2)"));

        await _cluster.UntilEverywhereAsync("(11,1,t) (12,2,t) (13,,t) (2,2,f) (3,,t)", "SELECT * FROM bookings");
        await _cluster.UntilEverywhereAsync("(11,aB) (12,abcd) (2,Abc)", "SELECT * FROM tags");
        await _cluster.UntilEverywhereAsync("(11,1,) (12,4,) (13,3,x) (2,2,)", "SELECT * FROM codes");
        await _cluster.UntilEverywhereAsync("(11,Q,Q) (12,,) (2,r,R)", "SELECT * FROM computed");
        await _cluster.UntilEverywhereAsync("(eu,11,1) (eu,12,2) (us,2,2)", "SELECT * FROM parts");

        // All values are freed, each in another way.
        await C.ExecuteAsync("UPDATE bookings SET is_active = false WHERE id = 11; UPDATE tags SET name = 'aBx' WHERE id = 11; DELETE FROM codes WHERE id = 11; UPDATE codes SET code = 'y' WHERE id = 13; UPDATE computed SET a = NULL WHERE id = 11; UPDATE parts SET region = 'us' WHERE id = 11");
        await _cluster.UntilEverywhereAsync("(1,1,t) (11,1,f) (12,2,t) (13,,t) (2,2,f) (3,,t)", "SELECT * FROM bookings");
        await _cluster.UntilEverywhereAsync("(1,Ab) (11,aBx) (12,abcd) (2,Abc)", "SELECT * FROM tags");
        await _cluster.UntilEverywhereAsync("(1,1,) (12,4,) (13,3,y) (2,2,) (3,3,x)", "SELECT * FROM codes");
        await _cluster.UntilEverywhereAsync("(1,q,Q) (11,,) (12,,) (2,r,R)", "SELECT * FROM computed");
        await _cluster.UntilEverywhereAsync("(eu,1,1) (eu,12,2) (us,11,1) (us,2,2)", "SELECT * FROM parts");
    }

    [Fact]
    [Trait("Story", "9")]
    public async Task Deferrable_key_is_kept_though_no_trigger_of_it_fires_here()
    {
        await _cluster.ConcurrentlyAsync((A, "INSERT INTO ranks VALUES (1, 1), (2, 2)"), (B, "INSERT INTO ranks VALUES (11, 1), (12, 2)"), (C, "INSERT INTO ranks VALUES (21, 2)"));

        await _cluster.UntilEverywhereAsync("(11,1) (21,2)", "SELECT * FROM ranks WHERE id < 70");
        await C.ExecuteAsync("DELETE FROM ranks WHERE id = 21");
        await _cluster.UntilEverywhereAsync("(11,1) (12,2)", "SELECT * FROM ranks WHERE id < 70");
        await B.ExecuteAsync("DELETE FROM ranks WHERE id IN (11, 12)");
        await _cluster.UntilEverywhereAsync("(1,1) (2,2)", "SELECT * FROM ranks WHERE id < 70");
    }

    [Fact]
    [Trait("Story", "16")]
    public async Task Truncate_takes_older_losers_and_leaves_newer_ones()
    {
        await _cluster.ConcurrentlyAsync((A, "INSERT INTO emptied_members VALUES (1, 'x')"), (B, "INSERT INTO emptied_members VALUES (2, 'x')"));
        await A.ExecuteAsync("TRUNCATE emptied_members");
        await _cluster.UntilEverywhereAsync("", "SELECT * FROM emptied_members");
        foreach (var node in _cluster.Nodes) await _cluster.UntilAsync("the loser is gone", async () => await node.LosersAsync("emptied_members") == "");

        await _cluster.PauseAllAsync();
        await A.ExecuteAsync("TRUNCATE emptied_members");
        await B.ExecuteAsync("INSERT INTO emptied_members VALUES (3, 'y')");
        await C.ExecuteAsync("INSERT INTO emptied_members VALUES (4, 'y')");
        await _cluster.ResumeAllAsync();
        await _cluster.UntilEverywhereAsync("(4,y)", "SELECT * FROM emptied_members");
        await A.ExecuteAsync("DELETE FROM emptied_members WHERE id = 4");
        await _cluster.UntilEverywhereAsync("(3,y)", "SELECT * FROM emptied_members");
    }

    [Fact]
    [Trait("Story", "8")]
    public async Task Update_of_a_hidden_row_that_leaves_a_large_value_unchanged_keeps_it()
    {
        await A.ExecuteAsync("INSERT INTO letters VALUES (1, 'start', repeat('a', 5000))");
        await _cluster.QuietAsync();
        await _cluster.ConcurrentlyAsync((C, "UPDATE letters SET address = 'x' WHERE id = 1"), (B, "INSERT INTO letters VALUES (2, 'x', 'b')"));
        await _cluster.UntilEverywhereAsync("(2,x,1)", "SELECT id, address, length(body) FROM letters");

        await A.ExecuteAsync("DELETE FROM letters WHERE id = 2");
        await _cluster.UntilEverywhereAsync("(1,x,5000)", "SELECT id, address, length(body) FROM letters");
    }

    [Fact]
    [Trait("Story", "9")]
    public async Task Local_update_that_waits_for_an_applied_one_finds_its_row_though_the_table_has_losers()
    {
        await _cluster.ConcurrentlyAsync((A, "INSERT INTO members VALUES (81, 'x81', 'a'), (83, 'v83', ''), (84, 'v84', '')"), (B, "INSERT INTO members VALUES (82, 'x81', 'b')"));
        await using var connection = await B.Sql.OpenConnectionAsync(TestContext.Current.CancellationToken);
        await using var transaction = await connection.BeginTransactionAsync(TestContext.Current.CancellationToken);
        await using (var hold = new Npgsql.NpgsqlCommand("UPDATE members SET note = 'local' WHERE id = 84", connection)) await hold.ExecuteNonQueryAsync(TestContext.Current.CancellationToken);

        // The applier has locked the first row and waits for the second one; a local writer waits for the first.
        await A.ExecuteAsync("BEGIN; UPDATE members SET note = 'a', email = 'w83' WHERE id = 83; UPDATE members SET note = 'a' WHERE id = 84; COMMIT");
        await WaitersAsync(1);
        var waiting = B.ExecuteAsync("UPDATE members SET note = note || '+' WHERE id = 83");
        await WaitersAsync(2);
        await transaction.CommitAsync(TestContext.Current.CancellationToken);

        Assert.Equal(1, await waiting);
        await _cluster.UntilEverywhereAsync("(82,x81,b) (83,w83,a+) (84,v84,local)", "SELECT * FROM members WHERE id BETWEEN 80 AND 89");

        Task WaitersAsync(int count) => _cluster.UntilAsync($"{count} sessions wait for a row at node b", async () => await B.ScalarAsync<long>(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'") >= count);
    }

    /// <summary>
    /// Hides rows <paramref name="id"/> and id + 5 of node a under rows id + 1 and id + 6 of node b, and lets node c write them in knowledge of a's, and
    /// before b's. Node b has hidden them when c's writes come.
    /// </summary>
    private async Task HideUnderConcurrentWriteAsync(int id, params string[] writes)
    {
        await _cluster.PauseAllAsync();
        await A.ExecuteAsync($"INSERT INTO members VALUES ({id}, 'x{id}', 'a'), ({id + 5}, 'x{id + 5}', 'a')");
        await C.ResumeAsync(A);
        await _cluster.UntilAsync(C, $"SELECT id FROM members WHERE id = {id + 5}", $"({id + 5})");
        foreach (var write in writes) await C.ExecuteAsync(write);
        await B.ExecuteAsync($"INSERT INTO members VALUES ({id + 1}, 'x{id}', 'b'), ({id + 6}, 'x{id + 5}', 'b')");
        await B.ResumeAsync(A);
        await _cluster.UntilAsync("node b has hidden a's rows", async () => await B.LosersAsync("members") is var losers
            && losers.Contains($"[\"{id}\"]", StringComparison.Ordinal) && losers.Contains($"[\"{id + 5}\"]", StringComparison.Ordinal));
        await _cluster.ResumeAllAsync();
    }
}
