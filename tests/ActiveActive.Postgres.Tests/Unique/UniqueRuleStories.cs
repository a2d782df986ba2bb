using ActiveActive.Postgres.Tests.Cluster;
using ActiveActive.Postgres.Tests.Stories;

namespace ActiveActive.Postgres.Tests.Unique;

/// <summary>Unique keys of tables with delta columns or a resolver, and of single partitions. Statements are in the order of their stamps.</summary>
[Collection(ClusterServers.Tables)]
public sealed class UniqueRuleStories(UniqueRuleNodes nodes) : IClassFixture<UniqueRuleNodes>
{
    private readonly TestCluster _cluster = nodes.Cluster;

    private ClusterNode A => _cluster[0];

    private ClusterNode B => _cluster[1];

    private ClusterNode C => _cluster[2];

    [Fact]
    [Trait("Story", "39")]
    public async Task Hidden_account_is_back_with_its_balance_and_adds_to_one_that_is_inserted_meanwhile()
    {
        await _cluster.ConcurrentlyAsync((A, "INSERT INTO accounts VALUES (1, 'x1', 10), (3, 'x3', 1)"), (B, "INSERT INTO accounts VALUES (2, 'x1', 5), (4, 'x3', 2)"));
        await _cluster.AssertEverywhereAsync("(2,x1,5) (4,x3,2)", "SELECT * FROM accounts WHERE id BETWEEN 1 AND 9");

        await A.ExecuteAsync("INSERT INTO accounts VALUES (1, 'y1', 7)");
        await _cluster.UntilEverywhereAsync("(1,y1,17) (2,x1,5) (4,x3,2)", "SELECT * FROM accounts WHERE id BETWEEN 1 AND 9");
        await B.ExecuteAsync("UPDATE accounts SET balance = balance + 100 WHERE id = 1; DELETE FROM accounts WHERE id = 4");
        await _cluster.UntilEverywhereAsync("(1,y1,117) (2,x1,5) (3,x3,1)", "SELECT * FROM accounts WHERE id BETWEEN 1 AND 9");
        foreach (var node in _cluster.Nodes) Assert.Equal("", await node.LosersAsync("accounts"));
        Assert.Equal("insert_exists apply_remote b", await A.ConflictsAsync("accounts", 2));
        Assert.All(_cluster.Nodes.SelectMany(n => n.Node.Status.Peers), p => Assert.Equal(PeerLinkState.Streaming, p.Receiving));
    }

    [Fact]
    [Trait("Story", "39")]
    public async Task Deltas_and_deletes_of_others_reach_a_hidden_account()
    {
        await _cluster.PauseAllAsync();
        await A.ExecuteAsync("INSERT INTO accounts VALUES (11, 'x11', 10), (16, 'x16', 20)");
        await C.ResumeAsync(A);
        await _cluster.UntilAsync(C, "SELECT id FROM accounts WHERE id = 16", "(16)");
        await C.ExecuteAsync("UPDATE accounts SET balance = balance + 5 WHERE id = 11; DELETE FROM accounts WHERE id = 16");
        await B.ExecuteAsync("INSERT INTO accounts VALUES (12, 'x11', 1), (17, 'x16', 2)");
        await B.ResumeAsync(A);
        await _cluster.UntilAsync("node b has hidden both", async () => await B.LosersAsync("accounts") is var losers && losers.Contains("[\"11\"]", StringComparison.Ordinal) && losers.Contains("[\"16\"]", StringComparison.Ordinal));
        await _cluster.ResumeAllAsync();
        await _cluster.AssertEverywhereAsync("(12,x11,1) (17,x16,2)", "SELECT * FROM accounts WHERE id BETWEEN 10 AND 19");

        await B.ExecuteAsync("DELETE FROM accounts WHERE id IN (12, 17)");
        await _cluster.UntilEverywhereAsync("(11,x11,15)", "SELECT * FROM accounts WHERE id BETWEEN 10 AND 19");
    }

    [Fact]
    [Trait("Story", "39")]
    public async Task Sum_that_is_unique_itself_hides_and_shows_rows()
    {
        await A.ExecuteAsync("INSERT INTO scores VALUES (1, 10), (2, 20)");
        await _cluster.QuietAsync();
        // Each node's own sums differ; together row 1 comes to 20.
        await _cluster.ConcurrentlyAsync((A, "UPDATE scores SET points = points + 4 WHERE id = 1"), (B, "UPDATE scores SET points = points + 6 WHERE id = 1"));
        await _cluster.UntilEverywhereAsync("(1,20)", "SELECT * FROM scores");
        await C.ExecuteAsync("UPDATE scores SET points = points + 1 WHERE id = 1");
        await _cluster.UntilEverywhereAsync("(1,21) (2,20)", "SELECT * FROM scores");
    }

    [Fact]
    [Trait("Story", "16")]
    public async Task Truncate_takes_hidden_accounts_that_its_writer_had_not_seen()
    {
        await _cluster.PauseAllAsync();
        await C.ExecuteAsync("INSERT INTO emptied_accounts VALUES (9, 'y', 1)");
        await C.ExecuteAsync("TRUNCATE emptied_accounts");
        await A.ExecuteAsync("INSERT INTO emptied_accounts VALUES (1, 'x', 10)");
        await B.ExecuteAsync("INSERT INTO emptied_accounts VALUES (2, 'x', 5)");
        await A.ResumeAsync(B);
        await _cluster.UntilAsync(A, "SELECT id FROM emptied_accounts", "(2)");
        await _cluster.ResumeAllAsync();
        await _cluster.UntilEverywhereAsync("", "SELECT * FROM emptied_accounts");
        foreach (var node in _cluster.Nodes) await _cluster.UntilAsync("the hidden row is gone", async () => await node.LosersAsync("emptied_accounts") == "");
    }

    [Fact]
    [Trait("Story", "9")]
    public async Task Fold_of_concurrent_profiles_decides_by_its_greatest_version()
    {
        await A.ExecuteAsync("INSERT INTO profiles VALUES (1, 'h1', '{base}')");
        await _cluster.QuietAsync();
        await _cluster.ConcurrentlyAsync(
            (A, "UPDATE profiles SET handle = 'x1', tags = tags || '{a}' WHERE id = 1"), (B, "INSERT INTO profiles VALUES (2, 'x1', '{b}')"), (C, "UPDATE profiles SET handle = 'x1', tags = tags || '{c}' WHERE id = 1"));
        await _cluster.AssertEverywhereAsync("(1,x1,\"{a,base,c}\")", "SELECT * FROM profiles WHERE id BETWEEN 1 AND 9");
        await B.ExecuteAsync("DELETE FROM profiles WHERE id = 1");
        await _cluster.UntilEverywhereAsync("(2,x1,{b})", "SELECT * FROM profiles WHERE id BETWEEN 1 AND 9");
    }

    [Fact]
    [Trait("Story", "39")]
    public async Task Hidden_profile_goes_on_being_folded()
    {
        await A.ExecuteAsync("INSERT INTO profiles VALUES (11, 'h11', '{base}')");
        await _cluster.QuietAsync();
        await _cluster.PauseAllAsync();
        await A.ExecuteAsync("UPDATE profiles SET tags = tags || '{a}' WHERE id = 11");
        await C.ExecuteAsync("UPDATE profiles SET tags = tags || '{c}' WHERE id = 11");
        await B.ExecuteAsync("UPDATE profiles SET handle = 'x11', tags = tags || '{b}' WHERE id = 11");
        await C.ExecuteAsync("INSERT INTO profiles VALUES (12, 'x11', '{}')");
        await A.ResumeAsync(B);
        await _cluster.UntilAsync(A, "SELECT tags FROM profiles WHERE id = 11", "(\"{a,b,base}\")");
        await _cluster.ResumeAllAsync();
        await _cluster.AssertEverywhereAsync("(12,x11,{})", "SELECT * FROM profiles WHERE id BETWEEN 10 AND 19");
        await A.ExecuteAsync("UPDATE profiles SET handle = 'free11' WHERE id = 12");
        await _cluster.UntilEverywhereAsync("(11,x11,\"{a,b,base,c}\") (12,free11,{})", "SELECT * FROM profiles WHERE id BETWEEN 10 AND 19");
    }

    [Fact]
    [Trait("Story", "9")]
    public async Task Key_that_a_single_partition_has_counts_there_only()
    {
        await _cluster.ConcurrentlyAsync((A, "INSERT INTO parts VALUES ('eu', 1, 7), ('other', 5, 7)"), (B, "INSERT INTO parts VALUES ('eu', 2, 7)"), (C, "INSERT INTO parts VALUES ('us', 3, 7)"));
        await _cluster.AssertEverywhereAsync("(eu,2,7) (other,5,7) (us,3,7)", "SELECT * FROM parts");
        await C.ExecuteAsync("UPDATE parts SET region = 'us' WHERE id = 2");
        await _cluster.UntilEverywhereAsync("(eu,1,7) (other,5,7) (us,2,7) (us,3,7)", "SELECT * FROM parts");

        await _cluster.ConcurrentlyAsync([.. Enumerable.Range(0, 20).SelectMany(i => new[] { (A, $"INSERT INTO buckets VALUES ({i}, {i})"), (B, $"INSERT INTO buckets VALUES ({i + 100}, {i})") })]);
        await _cluster.QuietAsync();
        await _cluster.AssertIdenticalAsync("buckets");
        Assert.Equal(0, await A.ScalarAsync<long>("SELECT count(*) FROM buckets_0 x JOIN buckets_0 y ON x.id < y.id AND x.code = y.code"));
        // Of two rows of the partition that has the key one is hidden, and no other.
        Assert.Equal(40, await A.ScalarAsync<long>("SELECT count(*) + (SELECT count(*) FROM active_active.unique_loser WHERE table_name = 'public.buckets') FROM buckets"));
        Assert.Equal(await A.LosersAsync("buckets"), await C.LosersAsync("buckets"));
        Assert.NotEqual("", await A.LosersAsync("buckets"));
    }

    [Fact]
    [Trait("Story", "9")]
    public async Task Deferrable_keys_of_sums_and_of_a_partition_are_kept()
    {
        await _cluster.ConcurrentlyAsync((A, "INSERT INTO ledger VALUES (1, 1, 10)"), (B, "INSERT INTO ledger VALUES (2, 1, 20)"));
        await _cluster.UntilEverywhereAsync("(2,1,20)", "SELECT * FROM ledger");
        await C.ExecuteAsync("DELETE FROM ledger WHERE id = 2");
        await _cluster.UntilEverywhereAsync("(1,1,10)", "SELECT * FROM ledger");
    }
}

/// <summary>Three nodes, two on PostgreSQL 18 and one on 15. Each test has its own keys and values.</summary>
public sealed class UniqueRuleNodes(ClusterServers servers) : IAsyncLifetime
{
    private const string Schema = """
        CREATE TABLE accounts (id int PRIMARY KEY, email text UNIQUE, balance bigint NOT NULL);
        CREATE TABLE emptied_accounts (id int PRIMARY KEY, email text UNIQUE, balance bigint NOT NULL);
        CREATE TABLE scores (id int PRIMARY KEY, points int NOT NULL UNIQUE);
        CREATE TABLE profiles (id int PRIMARY KEY, handle text UNIQUE, tags text[] NOT NULL);
        CREATE TABLE parts (region text, id int, number int, PRIMARY KEY (region, id)) PARTITION BY LIST (region);
        CREATE TABLE parts_eu PARTITION OF parts FOR VALUES IN ('eu');
        CREATE TABLE parts_us PARTITION OF parts FOR VALUES IN ('us');
        CREATE TABLE parts_other PARTITION OF parts DEFAULT;
        CREATE UNIQUE INDEX ON parts_eu (number);
        CREATE UNIQUE INDEX ON parts_other (number);
        CREATE TABLE buckets (id int PRIMARY KEY, code int) PARTITION BY HASH (id);
        CREATE TABLE buckets_0 PARTITION OF buckets FOR VALUES WITH (MODULUS 2, REMAINDER 0);
        CREATE TABLE buckets_1 PARTITION OF buckets FOR VALUES WITH (MODULUS 2, REMAINDER 1);
        CREATE UNIQUE INDEX ON buckets_0 (code) WHERE code >= 0;
        CREATE TABLE ledger (id int PRIMARY KEY, rank int, amount bigint NOT NULL) PARTITION BY RANGE (id);
        CREATE TABLE ledger_1 PARTITION OF ledger FOR VALUES FROM (0) TO (100);
        ALTER TABLE ledger_1 ADD UNIQUE (rank) DEFERRABLE INITIALLY DEFERRED;
        """;

    internal TestCluster Cluster { get; private set; } = null!;

    public async ValueTask InitializeAsync() => Cluster = await TestCluster.StartAsync(await servers.GetAsync(18, 15, 18), Schema, node => node.Replicate("public.*")
        .Replicate("public.*accounts", table => table.DeltaColumn("balance"))
        .Replicate("public.scores", table => table.DeltaColumn("points"))
        .Replicate("public.ledger", table => table.DeltaColumn("amount"))
        .ResolveConflictsWith<TagUnion>("public.profiles"));

    public ValueTask DisposeAsync() => Cluster.DisposeAsync();
}
