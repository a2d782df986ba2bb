using Npgsql;
using Npgsql.Replication;
using Npgsql.Replication.PgOutput;

namespace ActiveActive.Postgres.Tests.SetUp;

/// <summary>What a node's database must still be when the node starts again.</summary>
[Collection(nameof(SetUpServers))]
public sealed class NodeStateTests(SetUpServers servers)
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    /// <summary>What happens to a node's database, and the problems that follow.</summary>
    public static TheoryData<string, string> Accidents => new()
    {
        { "UPDATE active_active.node SET name = 'other'", "AA1502" },
        { "UPDATE active_active.node SET system_identifier = 1", "AA1503" },
        { "UPDATE active_active.node SET timeline = 7", "AA1504" },
        { "UPDATE active_active.checkpoint SET position = 'F/0'", "AA1505" },
        { "SELECT pg_drop_replication_slot('{slot}')", "AA1506" },
        { "SELECT pg_drop_replication_slot('{slot}'); SELECT pg_create_physical_replication_slot('{slot}')", "AA1507" },
        { "SELECT pg_logical_emit_message(false, 'x', 'y'); SELECT pg_switch_wal(); SELECT pg_replication_slot_advance('{slot}', pg_current_wal_flush_lsn())", "AA1508" },
        { "INSERT INTO active_active.schema_version VALUES (1000)", "AA1509" },
        { "DROP PUBLICATION active_active", "AA1510" },
        { "DROP PUBLICATION active_active; CREATE PUBLICATION active_active FOR ALL TABLES; ALTER PUBLICATION active_active OWNER TO \"{role}\"", "AA1511" },
        { "UPDATE active_active.checkpoint SET applied = '{\"us\": \"0/1\"}'; SELECT pg_replication_origin_drop('active_active_{oid}_us')", "AA1512" },
        { "ALTER SCHEMA active_active OWNER TO postgres", "AA1109" },
    };

    [Theory]
    [MemberData(nameof(Accidents))]
    public async Task Node_whose_database_is_not_what_it_was_is_refused(string accident, string code)
    {
        foreach (var version in new[] { 15, 18 })
        {
            await using var database = await SetUpDatabase.CreateAsync(await servers.GetAsync(version), "CREATE TABLE t (id int PRIMARY KEY)");
            await database.SetUpAsync();
            var sql = accident.Replace("{slot}", database.Slot, StringComparison.Ordinal)
                .Replace("{oid}", $"{database.Oid}", StringComparison.Ordinal).Replace("{role}", database.Role, StringComparison.Ordinal);
            foreach (var statement in sql.Split("; ")) await database.SqlAsync(statement);
            var before = await database.NextTransactionAsync();

            var problem = Assert.Single(await database.ProblemsAsync());

            Assert.Equal(code, problem.Code);
            Assert.Equal(before, await database.NextTransactionAsync());
        }
    }

    [Fact]
    public async Task Copy_of_a_database_is_refused()
    {
        var server = await servers.GetAsync(18);
        await using var database = await SetUpDatabase.CreateAsync(server, "CREATE TABLE t (id int PRIMARY KEY)");
        await database.SetUpAsync();
        NpgsqlConnection.ClearAllPools();
        await server.ExecuteAsync($"CREATE DATABASE \"{database.Name} copy\" TEMPLATE \"{database.Name}\"", cancellationToken: Token);

        var refused = await Assert.ThrowsAsync<SetUpException>(() => database.SetUpAsync(
            connectionString: server.ConnectionStringFor($"{database.Name} copy", database.Role, SetUpDatabase.Password)));

        var problem = Assert.Single(refused.Problems);
        Assert.Equal("AA1503", problem.Code);
        Assert.Contains($"set up in database {database.Oid} of server", problem.Problem, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Resynced_node_starts_again_after_the_fix_for_a_lost_slot()
    {
        await using var database = await SetUpDatabase.CreateAsync(await servers.GetAsync(18), "CREATE TABLE t (id int PRIMARY KEY)");
        var identity = await database.SetUpAsync();
        await database.DropSlotAsync();
        Assert.Equal("AA1506", Assert.Single(await database.ProblemsAsync()).Code);

        await database.SqlAsync("DELETE FROM active_active.checkpoint");

        Assert.Equal(identity, await database.SetUpAsync());
        Assert.True(await database.ScalarAsync<bool>($"SELECT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = '{database.Slot}')"));
    }

    [Theory]
    [InlineData(15, Traits = ["Run", "Long"])]
    [InlineData(18)]
    public async Task Slot_that_another_session_reads_is_in_use(int version)
    {
        await using var database = await SetUpDatabase.CreateAsync(await servers.GetAsync(version), "CREATE TABLE t (id int PRIMARY KEY)");
        await database.SetUpAsync();
        await using (LogicalReplicationConnection leader = new(database.ConnectionString))
        {
            await leader.Open(Token);
            using CancellationTokenSource reading = CancellationTokenSource.CreateLinkedTokenSource(Token);
            await using var messages = leader.StartReplication(
                new PgOutputReplicationSlot(database.Slot), new PgOutputReplicationOptions("active_active", PgOutputProtocolVersion.V1), reading.Token).GetAsyncEnumerator(reading.Token);
            var next = messages.MoveNextAsync().AsTask();
            await database.SqlAsync("INSERT INTO t VALUES (1)");
            Assert.True(await next);

            var exception = await Assert.ThrowsAsync<ReplicationException>(() => database.SetUpAsync());

            Assert.Equal(ReplicationErrorKind.InUse, exception.Kind);
            Assert.Contains($"{database.Slot} of node eu is read by process", exception.Message, StringComparison.Ordinal);
            await reading.CancelAsync();
        }
    }

    [Fact]
    public async Task Second_set_up_at_the_same_time_is_in_use()
    {
        await using var database = await SetUpDatabase.CreateAsync(await servers.GetAsync(18), "CREATE TABLE t (id int PRIMARY KEY)");
        await using NpgsqlConnection writer = new(database.ConnectionString);
        await writer.OpenAsync(Token);
        await using var transaction = await writer.BeginTransactionAsync(Token);
        await using NpgsqlCommand write = new("INSERT INTO t VALUES (1)", writer);
        await write.ExecuteNonQueryAsync(Token);

        // Slot creation waits for the writer; so the first run holds its lock until the writer ends.
        var first = database.SetUpAsync();
        await Servers.Deadline.AwaitAsync("the first set-up waits for the writer",
            () => database.ScalarAsync<bool>("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND locktype = 'transactionid')").GetAwaiter().GetResult());
        var exception = await Assert.ThrowsAsync<ReplicationException>(() => database.SetUpAsync());
        Assert.Equal(ReplicationErrorKind.InUse, exception.Kind);

        await transaction.CommitAsync(Token);
        Assert.Equal(await first, await database.SetUpAsync());
    }

    [Fact]
    public async Task Failed_set_up_leaves_nothing_and_is_misconfigured()
    {
        await using var database = await SetUpDatabase.CreateAsync(await servers.GetAsync(18), "CREATE TABLE t (id int PRIMARY KEY)");
        await database.SqlAsync($"CREATE SCHEMA active_active AUTHORIZATION \"{database.Role}\"; CREATE TABLE active_active.conflict (mine int); ALTER TABLE active_active.conflict OWNER TO \"{database.Role}\"");

        var exception = await Assert.ThrowsAsync<ReplicationException>(() => database.SetUpAsync());

        Assert.Equal(ReplicationErrorKind.Misconfigured, exception.Kind);
        Assert.Equal(1L, await database.ScalarAsync<long>("SELECT count(*) FROM pg_class WHERE relnamespace = 'active_active'::regnamespace AND relkind = 'r'"));
        Assert.False(await database.ScalarAsync<bool>("SELECT EXISTS (SELECT FROM pg_publication)"));
    }
}
