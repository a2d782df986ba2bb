using ActiveActive.Postgres.Tests.Cluster;

namespace ActiveActive.Postgres.Tests.Stories;

/// <summary>Stories of tables with delta columns or a resolver. Statements are in the order of their stamps.</summary>
[Collection(nameof(ClusterServers))]
public sealed class MergingStories(StoryNodes nodes) : IClassFixture<StoryNodes>
{
    private readonly TestCluster _cluster = nodes.Cluster;

    private ClusterNode A => _cluster[0];

    private ClusterNode B => _cluster[1];

    private ClusterNode C => _cluster[2];

    [Fact]
    [Trait("Story", "6")]
    public async Task Late_delta_of_a_row_that_was_deleted_and_inserted_again_is_dead()
    {
        await A.ExecuteAsync("INSERT INTO accounts VALUES (60, 'x', 100)");
        await _cluster.ConcurrentlyAsync(
            (A, "DELETE FROM accounts WHERE id = 60"),
            (A, "INSERT INTO accounts VALUES (60, 'again', 7)"),
            (B, "UPDATE accounts SET owner = 'late', balance = balance + 5 WHERE id = 60"));

        await _cluster.AssertEverywhereAsync("(60,again,7)", "SELECT * FROM accounts WHERE id = 60");
        Assert.Equal("update_missing skip a", await A.ConflictsAsync("accounts", 60));
    }

    [Fact]
    [Trait("Story", "13")]
    public async Task Delta_of_a_losing_update_is_added_and_the_row_keeps_its_version()
    {
        await A.ExecuteAsync("INSERT INTO accounts VALUES (130, 'x', 100)");
        await _cluster.PauseAllAsync();
        await A.ExecuteAsync("UPDATE accounts SET owner = 'a', balance = balance + 10 WHERE id = 130");
        await C.ExecuteAsync("UPDATE accounts SET owner = 'c' WHERE id = 130");
        await B.ExecuteAsync("UPDATE accounts SET owner = 'b', balance = balance + 5 WHERE id = 130");

        // The delta that a adds has given b's row a's stamp, to which c's update would be the later one.
        await B.ResumeAsync(A);
        await _cluster.UntilAsync(B, "SELECT * FROM accounts WHERE id = 130", "(130,b,115)");
        await _cluster.ResumeAllAsync();
        await _cluster.AssertEverywhereAsync("(130,b,115)", "SELECT * FROM accounts WHERE id = 130");
        Assert.Contains("update_origin_differs merge b", await B.ConflictsAsync("accounts", 130), StringComparison.Ordinal);

        // Who has seen the row replaces it.
        await C.ExecuteAsync("UPDATE accounts SET owner = 'later', balance = balance - 15 WHERE id = 130");
        await _cluster.QuietAsync();
        await _cluster.AssertEverywhereAsync("(130,later,100)", "SELECT * FROM accounts WHERE id = 130");
    }

    [Fact]
    [Trait("Story", "14")]
    public async Task Deltas_unaware_of_a_delete_are_recorded_and_never_count_again()
    {
        await A.ExecuteAsync("INSERT INTO accounts VALUES (140, 'x', 100), (141, 'x', 100)");
        await _cluster.ConcurrentlyAsync(
            (B, "UPDATE accounts SET balance = balance + 5 WHERE id IN (140, 141)"),
            (A, "DELETE FROM accounts WHERE id IN (140, 141)"),
            (C, "UPDATE accounts SET balance = balance + 1 WHERE id IN (140, 141)"));
        await _cluster.AssertEverywhereAsync("", "SELECT * FROM accounts WHERE id IN (140, 141)");
        Assert.Equal("update_missing skip a, update_missing skip a", await A.ConflictsAsync("accounts", 140));

        // Re-creates after the delete count, and those that did not know of each other add up.
        await _cluster.ConcurrentlyAsync(
            (C, "INSERT INTO accounts VALUES (140, 'c', 20), (141, 'c', 1)"), (B, "INSERT INTO accounts VALUES (140, 'b', 30)"));
        await A.ExecuteAsync("UPDATE accounts SET balance = balance * 2 WHERE id = 141");
        await _cluster.QuietAsync();
        await _cluster.AssertEverywhereAsync("(140,b,50) (141,c,2)", "SELECT * FROM accounts WHERE id IN (140, 141)");
    }

    [Fact]
    [Trait("Story", "16")]
    public async Task Truncate_of_a_table_with_delta_columns_takes_all_that_did_not_know_of_it()
    {
        await A.ExecuteAsync("INSERT INTO emptied_accounts VALUES (1, 'seen', 100)");
        await _cluster.ConcurrentlyAsync(
            (B, "INSERT INTO emptied_accounts VALUES (2, 'older', 5)"),
            (A, "TRUNCATE emptied_accounts"),
            (B, "UPDATE emptied_accounts SET balance = balance + 1"),
            (C, "INSERT INTO emptied_accounts VALUES (3, 'newer', 5)"),
            (A, "INSERT INTO emptied_accounts VALUES (1, 'again', 7)"));
        await _cluster.AssertEverywhereAsync("(1,again,7)", "SELECT * FROM emptied_accounts");
        await B.ExecuteAsync("INSERT INTO emptied_accounts VALUES (2, 'again', 9)");
        await _cluster.QuietAsync();
        await _cluster.AssertEverywhereAsync("(1,again,7) (2,again,9)", "SELECT * FROM emptied_accounts");
    }

    [Fact]
    [Trait("Story", "16")]
    [Trait("Story", "40")]
    public async Task Truncate_of_a_table_with_a_resolver_is_one_more_version_of_each_row_that_it_had_not_seen()
    {
        await A.ExecuteAsync("INSERT INTO emptied_profiles VALUES (1, '{}'), (2, '{}'), (3, '{}')");
        await _cluster.ConcurrentlyAsync(
            (B, "UPDATE emptied_profiles SET tags = '{1}' WHERE id IN (1, 2)"),
            (C, "UPDATE emptied_profiles SET tags = '{2}' WHERE id = 1"),
            (A, "TRUNCATE emptied_profiles"),
            (C, "UPDATE emptied_profiles SET tags = tags || '{3}' WHERE id = 2"),
            (B, "UPDATE emptied_profiles SET tags = tags || '{4}' WHERE id = 2"),
            (A, "INSERT INTO emptied_profiles VALUES (4, '{5}')"));
        // Of row 1 the truncate is the last version; of row 2 two writes come after it.
        await _cluster.AssertEverywhereAsync("(2,\"{1,3,4}\") (4,{5})", "SELECT * FROM emptied_profiles");
    }

    [Fact]
    [Trait("Story", "40")]
    public async Task Merge_of_three_writes_on_two_nodes_hides_none_of_them()
    {
        await A.ExecuteAsync("INSERT INTO profiles VALUES (400, '{}')");
        await _cluster.ConcurrentlyAsync(
            (A, "UPDATE profiles SET tags = '{7}' WHERE id = 400"),
            (B, "UPDATE profiles SET tags = '{9}' WHERE id = 400"),
            (A, "UPDATE profiles SET tags = '{3,7}' WHERE id = 400"));
        await _cluster.AssertEverywhereAsync("(400,\"{3,7,9}\")", "SELECT * FROM profiles WHERE id = 400");

        // The other way round: a's last write has the smallest stamp of those that stand.
        await A.ExecuteAsync("INSERT INTO profiles VALUES (401, '{}')");
        await _cluster.ConcurrentlyAsync(
            (A, "UPDATE profiles SET tags = '{7}' WHERE id = 401"),
            (A, "UPDATE profiles SET tags = '{3,7}' WHERE id = 401"),
            (B, "UPDATE profiles SET tags = '{9}' WHERE id = 401"));
        await _cluster.AssertEverywhereAsync("(401,\"{3,7,9}\")", "SELECT * FROM profiles WHERE id = 401");
    }
}
