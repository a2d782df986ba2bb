using ActiveActive.Database.Postgres;
using NpgsqlTypes;

namespace ActiveActive.Postgres.Tests.SetUp;

[Collection(nameof(SetUpServers))]
public sealed class PostgresSetUpTests(SetUpServers servers)
{
    private const string Tables =
        """
        CREATE TABLE accounts (id uuid PRIMARY KEY, balance bigint NOT NULL, note text);
        CREATE TABLE events (id uuid, at date, n int NOT NULL, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
        CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01') PARTITION BY RANGE (at);
        CREATE TABLE events_1a PARTITION OF events_1 FOR VALUES FROM ('2026-01-01') TO ('2026-07-01');
        CREATE TABLE events_2 PARTITION OF events DEFAULT;
        CREATE TABLE "Odd ""name" (id int PRIMARY KEY, g int GENERATED ALWAYS AS (id + 1) STORED);
        CREATE VIEW v AS SELECT * FROM accounts;
        """;

    [Theory]
    [InlineData(15, Traits = ["Run", "Long"])]
    [InlineData(18)]
    public async Task Clean_database_becomes_a_node_and_a_second_run_writes_nothing(int version)
    {
        await using var database = await SetUpDatabase.CreateAsync(await servers.GetAsync(version), Tables);

        var first = await database.SetUpAsync(peers: ["us", "ap-1"]);

        Assert.Equal(database.Oid, first.DatabaseOid);
        Assert.Equal(1u, first.Timeline);
        Assert.Equal(version, first.ServerVersion / 10000);
        Assert.Equal(await database.ScalarAsync<long>("SELECT system_identifier FROM pg_control_system()"), (long)first.SystemIdentifier);
        Assert.Equal(["\"Odd \"\"name\"", "accounts", "events"], await database.PublishedAsync());
        Assert.Equal("pgoutput", await database.ScalarAsync<string>($"SELECT plugin::text FROM pg_replication_slots WHERE slot_name = '{database.Slot}'"));
        Assert.True(await database.ScalarAsync<bool>(
            $"SELECT position = confirmed_flush_lsn AND greatest_stamp = {long.MinValue} AND applied = '{{}}' FROM active_active.checkpoint, pg_replication_slots WHERE slot_name = '{database.Slot}'"));
        Assert.Equal(2L, await database.ScalarAsync<long>($"SELECT count(*) FROM pg_replication_origin WHERE roname IN ('{PostgresNames.Origin(database.Oid, new("us"))}', '{PostgresNames.Origin(database.Oid, new("ap-1"))}')"));
        Assert.Equal("ddddd", await IdentitiesAsync(database, "accounts", "events", "events_1", "events_1a", "events_2"));
        Assert.True(await database.ScalarAsync<bool>("SELECT EXISTS (SELECT FROM pg_publication_rel WHERE prrelid = 'active_active.orphan'::regclass)"));
        Assert.True(await database.ScalarAsync<bool>("SELECT pubinsert AND pubupdate AND pubdelete AND pubtruncate AND NOT pubviaroot FROM pg_publication"));

        var before = await database.NextTransactionAsync();
        Assert.Equal(first, await database.SetUpAsync(peers: ["us", "ap-1"]));
        Assert.Equal(before, await database.NextTransactionAsync());
    }

    [Theory]
    [InlineData(15, Traits = ["Run", "Long"])]
    [InlineData(18)]
    public async Task Publication_and_replica_identities_follow_changed_rules(int version)
    {
        await using var database = await SetUpDatabase.CreateAsync(await servers.GetAsync(version), Tables);
        await database.SetUpAsync([new TableRule { Pattern = "accounts" }]);
        Assert.Equal(["accounts"], await database.PublishedAsync());

        await database.SetUpAsync([new TableRule { Pattern = "accounts", DeltaColumns = { "balance" } }, new TableRule { Pattern = "events", DeltaColumns = { "n" } }]);
        Assert.Equal(["accounts", "events"], await database.PublishedAsync());
        Assert.Equal("fffffd", await IdentitiesAsync(database, "accounts", "events", "events_1", "events_1a", "events_2", "\"Odd \"\"name\""));

        await database.SetUpAsync([new TableRule { Pattern = "public.*" }, new TableRule { Pattern = "accounts", Exclude = true }]);
        Assert.Equal(["\"Odd \"\"name\"", "events"], await database.PublishedAsync());
        Assert.Equal("f", await IdentitiesAsync(database, "accounts"));

        // A partition that came later.
        await database.AsOwnerAsync("CREATE TABLE events_1b PARTITION OF events_1 FOR VALUES FROM ('2026-07-01') TO ('2027-01-01')");
        await database.SetUpAsync([new TableRule { Pattern = "events", DeltaColumns = { "n" } }]);
        Assert.Equal("f", await IdentitiesAsync(database, "events_1b"));
    }

    [Theory]
    [InlineData(15, Traits = ["Run", "Long"])]
    [InlineData(18)]
    public async Task Publication_changed_by_hand_is_repaired(int version)
    {
        await using var database = await SetUpDatabase.CreateAsync(await servers.GetAsync(version), Tables);
        await database.SetUpAsync();
        await database.SqlAsync("ALTER PUBLICATION active_active SET (publish = 'insert', publish_via_partition_root = true)");
        await database.SqlAsync("ALTER PUBLICATION active_active SET TABLE accounts (id, balance), events WHERE (n > 0), events_2");
        if (version >= 18) await database.SqlAsync("ALTER PUBLICATION active_active SET (publish_generated_columns = stored)");

        await database.SetUpAsync();

        Assert.Equal(["\"Odd \"\"name\"", "accounts", "events"], await database.PublishedAsync());
        Assert.True(await database.ScalarAsync<bool>("SELECT bool_and(prattrs IS NULL AND prqual IS NULL) FROM pg_publication_rel"));
        Assert.True(await database.ScalarAsync<bool>("SELECT pubinsert AND pubupdate AND pubdelete AND pubtruncate AND NOT pubviaroot FROM pg_publication"));
        if (version >= 18) Assert.True(await database.ScalarAsync<bool>("SELECT pubgencols = 'n' FROM pg_publication"));

        await database.SqlAsync("ALTER PUBLICATION active_active SET TABLE accounts, TABLES IN SCHEMA active_active");
        await database.SetUpAsync();
        Assert.Equal(["\"Odd \"\"name\"", "accounts", "events"], await database.PublishedAsync());
        Assert.Equal(0L, await database.ScalarAsync<long>("SELECT count(*) FROM pg_publication_namespace"));
    }

    [Theory]
    [InlineData(15, Traits = ["Run", "Long"])]
    [InlineData(18)]
    public async Task Slot_without_checkpoint_is_a_leftover_and_is_replaced(int version)
    {
        await using var database = await SetUpDatabase.CreateAsync(await servers.GetAsync(version), Tables);
        var first = await database.SetUpAsync();
        var old = await database.ScalarAsync<NpgsqlLogSequenceNumber>("SELECT position FROM active_active.checkpoint");
        await database.SqlAsync("DELETE FROM active_active.checkpoint; DROP PUBLICATION active_active");

        Assert.Equal(first, await database.SetUpAsync());

        Assert.True(await database.ScalarAsync<NpgsqlLogSequenceNumber>("SELECT position FROM active_active.checkpoint") > old);
        Assert.Equal(["\"Odd \"\"name\"", "accounts", "events"], await database.PublishedAsync());
    }

    [Theory]
    [InlineData(15, Traits = ["Run", "Long"])]
    [InlineData(18)]
    public async Task Database_that_an_earlier_version_set_up_is_upgraded_in_place(int version)
    {
        await using var database = await SetUpDatabase.CreateAsync(await servers.GetAsync(version), Tables);
        var first = await database.SetUpAsync();
        // Back to the first step, with what has gathered there.
        await database.SqlAsync($"""
            DROP VIEW active_active.node_status, active_active.peer_status;
            DROP TABLE active_active.report, active_active.command, active_active.paused_peer, active_active.tombstone_block, active_active.orphan, active_active.unique_loser, active_active.table_file, active_active.rewriter, active_active.logged_write, active_active.logged_transaction, active_active.member, active_active.joining;
            DROP FUNCTION active_active.refuse_while_joining;
            ALTER TABLE active_active.version_override DROP COLUMN is_kept;
            DELETE FROM active_active.schema_version WHERE step > 1;
            SELECT pg_replication_origin_drop('{PostgresNames.Origin(database.Oid, new("eu"))}');
            INSERT INTO active_active.version_override VALUES ('public.accounts', '["1"]', 1, 2, 'us', '0/3');
            INSERT INTO active_active.conflict (table_name, key, type, remote_origin, remote_position, outcome, winner, resolver, reason)
            SELECT 'public.accounts', '["1"]', 'insert_exists', 'us', '0/1', 'keep_local', 'eu', 'last_update_wins', 'old ' || g FROM generate_series(1, 1000) g;
            """);
        var checkpoint = await database.ScalarAsync<NpgsqlLogSequenceNumber>("SELECT position FROM active_active.checkpoint");

        Assert.Equal(first, await database.SetUpAsync());

        Assert.Equal("1,2,3,4,5,6,7", await database.ScalarAsync<string>("SELECT string_agg(step::text, ',' ORDER BY step) FROM active_active.schema_version"));
        Assert.Equal((1000L, 0L), (await database.ScalarAsync<long>("SELECT count(*) FROM active_active.conflict"), await database.ScalarAsync<long>("SELECT count(*) FROM active_active.unique_loser")));
        Assert.Equal("us", await database.ScalarAsync<string>("SELECT origin FROM active_active.version_override WHERE NOT is_kept"));
        Assert.Equal(checkpoint, await database.ScalarAsync<NpgsqlLogSequenceNumber>("SELECT position FROM active_active.checkpoint"));
        Assert.Equal(1L, await database.ScalarAsync<long>($"SELECT count(*) FROM pg_replication_origin WHERE roname = '{PostgresNames.Origin(database.Oid, new("eu"))}'"));
    }

    private static Task<string> IdentitiesAsync(SetUpDatabase database, params string[] tables) => database.ScalarAsync<string>(
        $"SELECT string_agg(relreplident::text, '' ORDER BY n) FROM unnest(ARRAY[{string.Join(", ", tables.Select(t => $"'{t}'"))}]) WITH ORDINALITY AS u(t, n) JOIN pg_class c ON c.oid = t::regclass");
}
