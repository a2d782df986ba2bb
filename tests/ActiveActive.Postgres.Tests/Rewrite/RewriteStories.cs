using ActiveActive.Postgres.Tests.Cluster;
using ActiveActive.Postgres.Tests.Stories;

namespace ActiveActive.Postgres.Tests.Rewrite;

/// <summary>
/// A rewrite on one node gives rows that nobody has written a new xmin there. Each test has a table of its own. Statements are in the order of their stamps.
/// </summary>
public abstract class RewriteStories(RewriteNodes nodes)
{
    private readonly TestCluster _cluster = nodes.Cluster;

    private ClusterNode A => _cluster[0];

    private ClusterNode B => _cluster[1];

    private ClusterNode C => _cluster[2];

    [Fact]
    [Trait("Story", "42")]
    public async Task Rewritten_row_keeps_the_version_of_its_last_write()
    {
        await A.ExecuteAsync("INSERT INTO notes VALUES (1, 1, 'old'), (2, 2, 'old'), (3, 3, 'old')");
        await _cluster.ConcurrentlyAsync(
            (B, "UPDATE notes SET body = 'older' WHERE id IN (1, 3)"),
            (A, "UPDATE notes SET body = 'a' WHERE id IN (1, 2)"),
            (A, Rewriting("notes")),
            (C, "UPDATE notes SET body = 'newer' WHERE id = 2"));

        await _cluster.AssertEverywhereAsync("(1,1,a) (2,2,newer) (3,3,older)", "SELECT * FROM notes");
        Assert.Equal("update_origin_differs keep_local a", await A.ConflictsAsync("notes", 1));
        Assert.Equal("update_origin_differs apply_remote c", await A.ConflictsAsync("notes", 2));
        Assert.Equal("", await A.ConflictsAsync("notes", 3));
    }

    [Fact]
    [Trait("Story", "42")]
    public async Task Received_row_that_was_rewritten_keeps_the_version_of_its_origin()
    {
        await A.ExecuteAsync("INSERT INTO letters VALUES (1, 1, 'old'), (2, 2, 'old')");
        await _cluster.PauseAllAsync();
        await C.ExecuteAsync("UPDATE letters SET body = 'older' WHERE id = 1");
        await B.ExecuteAsync("UPDATE letters SET body = 'b' WHERE id IN (1, 2)");
        await C.ExecuteAsync("UPDATE letters SET body = 'newer' WHERE id = 2");
        await A.ResumeAsync(B);
        await _cluster.UntilAsync(A, "SELECT body FROM letters", "(b) (b)");
        await A.ExecuteAsync(Rewriting("letters"));
        await _cluster.ResumeAllAsync();

        await _cluster.AssertEverywhereAsync("(1,1,b) (2,2,newer)", "SELECT * FROM letters");
    }

    [Fact]
    [Trait("Story", "42")]
    public async Task Rows_of_several_transactions_in_one_commit_that_are_rewritten_keep_each_its_own_version()
    {
        await A.ExecuteAsync("INSERT INTO grouped VALUES (1, 1, 'old'), (2, 2, 'old'), (3, 3, 'old')");
        await _cluster.PauseAllAsync();
        await B.ExecuteAsync("UPDATE grouped SET body = 'b' WHERE id = 3");
        // The first waits for a local writer. Meanwhile the others come, and go together.
        await using (var local = await A.Sql.OpenConnectionAsync())
        {
            await using var transaction = await local.BeginTransactionAsync();
            await using (var update = new Npgsql.NpgsqlCommand("UPDATE grouped SET n = 0 WHERE id = 3", local)) await update.ExecuteNonQueryAsync();
            await A.ResumeAsync(B);
            await _cluster.UntilAsync("the first waits for the row", async () =>
                await A.ScalarAsync<long>("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'active_active apply%' AND wait_event_type = 'Lock'") > 0);
            await B.ExecuteAsync("UPDATE grouped SET body = 'b' WHERE id = 1");
            await C.ExecuteAsync("UPDATE grouped SET body = 'newer' WHERE id = 1");
            await B.ExecuteAsync("UPDATE grouped SET body = 'b' WHERE id = 2");
            await _cluster.UntilAsync("a has received all of b", () => Task.FromResult(
                A.Node.Status.Peers.Single(p => p.Peer.Value == B.Name).ReceivedPosition >= B.Node.Status.PublishedPosition));
            await transaction.RollbackAsync();
        }

        await _cluster.UntilAsync(A, "SELECT body FROM grouped", "(b) (b) (b)");
        Assert.Equal(1, await A.ScalarAsync<long>("SELECT count(DISTINCT xmin::text) FROM grouped WHERE id < 3"));
        await A.ExecuteAsync(Rewriting("grouped"));
        await _cluster.ResumeAllAsync();

        await _cluster.AssertEverywhereAsync("(1,1,newer) (2,2,b) (3,3,b)", "SELECT * FROM grouped");
    }

    [Fact]
    [Trait("Story", "42")]
    public async Task Transaction_that_rewrites_and_writes_has_written_only_what_it_wrote()
    {
        await A.ExecuteAsync("INSERT INTO drafts VALUES (1, 1, 'old'), (2, 2, 'old'), (3, 3, 'old')");
        await _cluster.ConcurrentlyAsync(
            (B, "UPDATE drafts SET body = 'b'"),
            (A, $"BEGIN; UPDATE drafts SET body = 'first' WHERE id = 1; {Rewriting("drafts")}; UPDATE drafts SET body = 'then' WHERE id = 2; COMMIT"));

        await _cluster.AssertEverywhereAsync("(1,1,first) (2,2,then) (3,3,b)", "SELECT * FROM drafts");
    }

    [Fact]
    [Trait("Story", "42")]
    public async Task Truncate_takes_and_leaves_rewritten_rows_by_their_own_versions()
    {
        await A.ExecuteAsync("INSERT INTO emptied VALUES (1, 1, 'seen')");
        await _cluster.ConcurrentlyAsync(
            (A, "INSERT INTO emptied VALUES (2, 2, 'older')"),
            (B, "TRUNCATE emptied"),
            (A, "INSERT INTO emptied VALUES (3, 3, 'newer')"),
            (A, Rewriting("emptied")));

        await _cluster.AssertEverywhereAsync("(3,3,newer)", "SELECT * FROM emptied");
    }

    [Fact]
    [Trait("Story", "42")]
    public async Task Override_of_a_delta_row_outlives_a_rewrite()
    {
        await A.ExecuteAsync("INSERT INTO accounts VALUES (1, 'old', 100)");
        await _cluster.PauseAllAsync();
        await B.ExecuteAsync("UPDATE accounts SET owner = 'first', balance = balance + 1");
        await C.ExecuteAsync("UPDATE accounts SET owner = 'second', balance = balance + 10");
        await A.ExecuteAsync("UPDATE accounts SET owner = 'third', balance = balance + 100");
        // What a has of b is added, and loses: only the override tells that the row is still a's own.
        await A.ResumeAsync(B);
        await _cluster.UntilAsync(A, "SELECT balance FROM accounts", "(201)");
        await A.ExecuteAsync(Rewriting("accounts", "balance"));
        await _cluster.ResumeAllAsync();

        await _cluster.AssertEverywhereAsync("(1,third,211)", "SELECT * FROM accounts");
    }

    [Fact]
    [Trait("Story", "42")]
    public async Task Concurrent_versions_of_a_merged_row_outlive_a_rewrite()
    {
        await A.ExecuteAsync("INSERT INTO profiles VALUES (1, 1, '{old}')");
        await _cluster.PauseAllAsync();
        await B.ExecuteAsync("UPDATE profiles SET tags = '{b}'");
        await C.ExecuteAsync("UPDATE profiles SET tags = '{c}'");
        await A.ExecuteAsync("UPDATE profiles SET tags = '{a}'");
        await A.ResumeAsync(B);
        await _cluster.UntilAsync(A, "SELECT tags FROM profiles", "(\"{a,b}\")");
        await A.ExecuteAsync(Rewriting("profiles"));
        await _cluster.ResumeAllAsync();

        await _cluster.AssertEverywhereAsync("(1,1,\"{a,b,c}\")", "SELECT * FROM profiles");
    }

    [Fact]
    [Trait("Story", "42")]
    public async Task Partition_that_is_rewritten_keeps_its_rows_versions()
    {
        await A.ExecuteAsync("INSERT INTO parts VALUES ('eu', 1, 1, 'old'), ('us', 2, 2, 'old')");
        await _cluster.ConcurrentlyAsync(
            (B, "UPDATE parts SET body = 'older'"),
            (A, "UPDATE parts SET body = 'a'"),
            (A, Rewriting("parts")));

        await _cluster.AssertEverywhereAsync("(eu,1,1,a) (us,2,2,a)", "SELECT * FROM parts");
    }

    [Fact]
    [Trait("Story", "42")]
    public async Task Rows_that_were_copied_and_swapped_in_keep_their_versions()
    {
        await A.ExecuteAsync("INSERT INTO moved VALUES (1, 0), (2, 0), (3, 0)");
        await _cluster.PauseAllAsync();
        await B.ExecuteAsync("UPDATE moved SET n = 1 WHERE id IN (1, 3)");
        await A.ExecuteAsync("UPDATE moved SET n = 2 WHERE id IN (1, 2)");
        await CopyAndSwapAsync(A, "moved");
        await C.ExecuteAsync("UPDATE moved SET n = 3 WHERE id = 2");
        await _cluster.ResumeAllAsync();

        await _cluster.AssertEverywhereAsync("(1,2) (2,3) (3,1)", "SELECT * FROM moved");
    }

    [Fact]
    [Trait("Story", "42")]
    public async Task Rewrite_is_noticed_by_a_node_that_was_away_when_it_happened()
    {
        await A.ExecuteAsync("INSERT INTO restarted VALUES (1, 1, 'old'), (2, 2, 'old')");
        await _cluster.PauseAllAsync();
        await B.ExecuteAsync("UPDATE restarted SET body = 'older' WHERE id = 1");
        await A.ExecuteAsync("UPDATE restarted SET body = 'a' WHERE id = 1");
        await A.StopAsync();
        await A.ExecuteAsync(Rewriting("restarted"));
        await A.StartAsync();
        await B.ExecuteAsync("UPDATE restarted SET body = 'b' WHERE id = 2");
        await _cluster.ResumeAllAsync();
        await _cluster.AssertEverywhereAsync("(1,1,a) (2,2,b)", "SELECT * FROM restarted");

        // What was restored is still known by the next life.
        await _cluster.PauseAllAsync();
        await C.ExecuteAsync("UPDATE restarted SET body = 'older'");
        await A.ExecuteAsync("UPDATE restarted SET body = 'newer' WHERE id = 1");
        await A.ExecuteAsync($"BEGIN; {Rewriting("restarted")}; UPDATE restarted SET body = 'newest' WHERE id = 2; COMMIT");
        await B.ExecuteAsync("INSERT INTO restarted VALUES (3, 3, 'b')");
        await A.StopAsync();
        await A.StartAsync();
        await _cluster.ResumeAllAsync();
        await _cluster.AssertEverywhereAsync("(1,1,newer) (2,2,newest) (3,3,b)", "SELECT * FROM restarted");
    }

    [Fact]
    [Trait("Story", "42")]
    public async Task Row_that_came_back_outlives_a_rewrite_with_the_version_that_it_had()
    {
        await _cluster.ConcurrentlyAsync((A, "INSERT INTO contacts VALUES (1, 1, 'x', 'p')"), (B, "INSERT INTO contacts VALUES (2, 2, 'x', 'q')"));
        await _cluster.AssertEverywhereAsync("(2,2,x,q)", "SELECT * FROM contacts");
        await _cluster.PauseAllAsync();
        await B.ExecuteAsync("INSERT INTO contacts VALUES (3, 3, 'y', 'p')");
        // On a its row is back, older than b's, which takes the phone.
        await A.ExecuteAsync("DELETE FROM contacts WHERE id = 2");
        await _cluster.UntilAsync(A, "SELECT * FROM contacts", "(1,1,x,p)");
        await A.ExecuteAsync(Rewriting("contacts"));
        await _cluster.ResumeAllAsync();

        foreach (var node in _cluster.Nodes) await _cluster.UntilAsync(node, "SELECT * FROM contacts", "(3,3,y,p)");
        // The winner was rewritten in a transaction that wrote another row: it still hides the older one.
        await A.ExecuteAsync($"BEGIN; {Rewriting("contacts")}; INSERT INTO contacts VALUES (4, 4, 'z', 'r'); COMMIT");
        await C.ExecuteAsync("INSERT INTO contacts VALUES (5, 5, 'w', 's')");
        await _cluster.QuietAsync();
        await _cluster.QuietAsync();
        foreach (var node in _cluster.Nodes) await _cluster.UntilAsync(node, "SELECT * FROM contacts", "(3,3,y,p) (4,4,z,r) (5,5,w,s)");
    }

    /// <summary>What pg_repack does for the rows' versions: other transactions copy them, then the files are exchanged.</summary>
    private static async Task CopyAndSwapAsync(ClusterNode node, string table)
    {
        foreach (var sql in (string[])
        [
            $"CREATE SCHEMA repack; CREATE TABLE repack.copy (LIKE {table} INCLUDING ALL)",
            $"INSERT INTO repack.copy SELECT * FROM {table}",
            $"""
            SET allow_system_table_mods = on;
            BEGIN;
            LOCK TABLE {table}, repack.copy IN ACCESS EXCLUSIVE MODE;
            UPDATE pg_class SET relfilenode = CASE oid
                WHEN '{table}'::regclass THEN (SELECT relfilenode FROM pg_class WHERE oid = 'repack.copy'::regclass)
                WHEN 'repack.copy'::regclass THEN (SELECT relfilenode FROM pg_class WHERE oid = '{table}'::regclass)
                WHEN '{table}_pkey'::regclass THEN (SELECT relfilenode FROM pg_class WHERE oid = 'repack.copy_pkey'::regclass)
                ELSE (SELECT relfilenode FROM pg_class WHERE oid = '{table}_pkey'::regclass) END
            WHERE oid IN ('{table}'::regclass, 'repack.copy'::regclass, '{table}_pkey'::regclass, 'repack.copy_pkey'::regclass);
            COMMIT
            """,
            "DROP SCHEMA repack CASCADE",
        ])
        {
            await node.Server.ExecuteAsync(sql, node.Database);
        }
    }

    /// <summary>A rewrite that leaves all as it is.</summary>
    private static string Rewriting(string table, string column = "n") => $"ALTER TABLE {table} ALTER COLUMN {column} TYPE bigint USING {column} + 0";
}

/// <inheritdoc/>
[Collection(ClusterServers.Tables)]
public sealed class RewriteStories18(RewriteNodes18 nodes) : RewriteStories(nodes), IClassFixture<RewriteNodes18>;

/// <inheritdoc/>
[Collection(ClusterServers.Tables)]
[Trait("Run", "Long")]
public sealed class RewriteStories15(RewriteNodes15 nodes) : RewriteStories(nodes), IClassFixture<RewriteNodes15>;
