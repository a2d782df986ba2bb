using ActiveActive.Postgres.Tests.Cluster;
using Npgsql;
using Npgsql.Replication;
using Npgsql.Replication.PgOutput;

namespace ActiveActive.Postgres.Tests.BadInput;

/// <summary>The node's own database is not there, does not let it in, or is not fit.</summary>
[Collection(nameof(ClusterServers))]
public sealed class BadServerTests(ClusterServers servers)
{
    private const string Schema = "CREATE TABLE t (id int PRIMARY KEY, v text);";

    [Fact]
    public async Task Database_that_goes_away_is_named_and_nothing_is_lost_when_it_is_back()
    {
        await using var pair = await NodePair.StartAsync(servers, Schema);
        var (a, b) = (pair.A, pair.B);
        await a.Server.ExecuteAsync($"ALTER DATABASE {b.Database} ALLOW_CONNECTIONS false");
        await a.Server.ExecuteAsync($"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{b.Database}' AND usename = '{b.Database}_app'");
        await pair.FaultAsync(b, $"connecting node b to database {b.Database}", "is not currently accepting connections");
        await a.ExecuteAsync("INSERT INTO t VALUES (1, 'meanwhile')");
        await a.Server.ExecuteAsync($"ALTER DATABASE {b.Database} ALLOW_CONNECTIONS true");
        b.Sql.Clear();
        await pair.UntilStreamingAsync();
        await pair.UntilAsync("b has what a wrote meanwhile", async () => await b.DumpAsync("t") == "(1,meanwhile)");
    }

    [Fact]
    public async Task Wrong_password_is_said_until_it_is_right()
    {
        await using var pair = await NodePair.CreateAsync(servers, Schema, Schema);
        await pair.A.Server.ExecuteAsync($"ALTER ROLE {pair.A.Database}_app PASSWORD 'another'");
        await pair.A.StartAsync();
        await pair.B.StartAsync();
        await pair.FaultAsync(pair.A, "connecting node a to database", "28P01", "password authentication failed", $"{pair.A.Database}_app");
        await pair.A.Server.ExecuteAsync($"ALTER ROLE {pair.A.Database}_app PASSWORD 'a password'");
        await pair.UntilStreamingAsync();
    }

    [Fact]
    public async Task All_that_is_missing_is_listed_with_its_fix_and_mended_without_a_restart()
    {
        await using var pair = await NodePair.CreateAsync(servers, Schema + "CREATE TABLE keyless (v text);", Schema + "CREATE TABLE keyless (v text);");
        await pair.A.Server.ExecuteAsync($"ALTER ROLE {pair.A.Database}_app NOREPLICATION");
        await pair.A.StartAsync();
        await pair.B.StartAsync();
        await pair.FaultAsync(pair.A, "Node 'a' can't replicate: 2 problem(s)", $"ALTER ROLE \"{pair.A.Database}_app\" REPLICATION", "ALTER TABLE \"public\".\"keyless\" ADD PRIMARY KEY");
        Assert.Equal(0, await pair.A.ScalarAsync<long>("SELECT count(*) FROM pg_replication_slots WHERE database = current_database()"));
        foreach (var node in new[] { pair.A, pair.B }) await node.ExecuteAsync("ALTER TABLE keyless ADD PRIMARY KEY (v)");
        await pair.FaultAsync(pair.A, "1 problem(s)");
        await pair.A.Server.ExecuteAsync($"ALTER ROLE {pair.A.Database}_app REPLICATION");
        await pair.UntilStreamingAsync();
        await pair.A.ExecuteAsync("INSERT INTO keyless VALUES ('x')");
        await pair.UntilEqualAsync("keyless", "(x)");
    }

    [Fact]
    public async Task Slot_that_another_session_reads_is_named_with_its_process()
    {
        await using var pair = await NodePair.StartAsync(servers, Schema);
        await pair.A.StopAsync();
        await pair.A.ExecuteAsync("INSERT INTO t VALUES (1, 'while stopped')");
        var slot = await pair.A.ScalarAsync<string>("SELECT slot_name::text FROM pg_replication_slots WHERE database = current_database()");
        await using (var other = new LogicalReplicationConnection(pair.A.ConnectionString))
        {
            await other.Open();
            using var stop = new CancellationTokenSource();
            var reading = ReadAsync(other, slot, stop.Token);
            await pair.UntilAsync("the other session reads the slot", async () => await pair.A.ScalarAsync<bool>($"SELECT active FROM pg_replication_slots WHERE slot_name = '{slot}'"));
            await pair.A.StartAsync();
            await pair.FaultAsync(pair.A, $"slot {slot} of node a", "is read by process", "another instance");
            await stop.CancelAsync();
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => reading);
        }

        await pair.UntilStreamingAsync();
        await pair.UntilEqualAsync("t", "(1,\"while stopped\")");
    }

    [Fact]
    [Trait("Story", "31")]
    public async Task Origin_that_another_session_holds_is_named_and_taken_when_free()
    {
        await using var pair = await NodePair.StartAsync(servers, Schema);
        await pair.B.StopAsync();
        var oid = await pair.B.ScalarAsync<uint>("SELECT oid FROM pg_database WHERE datname = current_database()");
        var origin = ActiveActive.Database.Postgres.PostgresNames.Origin(oid, new NodeName("a"));
        await using (var other = new NpgsqlConnection(pair.B.ConnectionString + ";Pooling=false"))
        {
            await other.OpenAsync();
            await using (var hold = new NpgsqlCommand($"SELECT pg_replication_origin_session_setup('{origin}')", other)) await hold.ExecuteNonQueryAsync();
            await pair.B.StartAsync();
            await pair.A.ExecuteAsync("INSERT INTO t VALUES (1, 'x')");
            await pair.PeerFaultAsync(pair.B, PeerLinkState.Disconnected, $"origin {origin}", "one session at a time");
            Assert.Equal("", await pair.B.DumpAsync("t"));
        }

        await pair.UntilStreamingAsync();
        await pair.UntilEqualAsync("t", "(1,x)");
    }

    [Fact]
    public async Task Database_of_another_node_is_refused_by_name()
    {
        await using var pair = await NodePair.StartAsync(servers, Schema);
        await pair.B.StopAsync();
        var thief = pair.A.ConnectionString;
        await using var second = await NodePair.CreateAsync(servers, Schema, Schema, configureB: node => node.UsePostgres(thief));
        await second.B.StartAsync();
        await second.FaultAsync(second.B, "Node 'b' can't replicate", $"Database {pair.A.Database} belongs to node a, not to b");
    }

    private static async Task ReadAsync(LogicalReplicationConnection connection, string slot, CancellationToken cancellationToken)
    {
        var options = new PgOutputReplicationOptions("active_active", PgOutputProtocolVersion.V1);
        await foreach (var _ in connection.StartReplication(new PgOutputReplicationSlot(slot), options, cancellationToken))
        {
        }
    }
}
