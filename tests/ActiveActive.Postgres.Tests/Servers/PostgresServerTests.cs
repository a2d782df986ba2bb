using ActiveActive.Testing;
using Npgsql;

namespace ActiveActive.Postgres.Tests.Servers;

public sealed class PostgresServerTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(15, Traits = ["Run", "Long"])]
    [InlineData(18)]
    public async Task Server_of_the_wanted_version_is_ready_for_replication(int version)
    {
        await using PostgresServer server = await PostgresServer.StartAsync(new PostgresServerOptions { Version = version }, Token);

        Assert.Equal(version, server.Version.Major);
        Assert.Equal("logical", await ScalarAsync(server, "SHOW wal_level"));
        Assert.Equal("on", await ScalarAsync(server, "SHOW track_commit_timestamp"));
        Assert.Equal("20", await ScalarAsync(server, "SHOW max_replication_slots"));
        Assert.Equal("20", await ScalarAsync(server, "SHOW max_wal_senders"));
        Assert.Equal("64MB", await ScalarAsync(server, "SHOW shared_buffers"));
        Assert.Equal("off", await ScalarAsync(server, "SHOW fsync"));
        Assert.Equal("on", await ScalarAsync(server, "SHOW autovacuum"));
        Assert.Equal("127.0.0.1", await ScalarAsync(server, "SHOW listen_addresses"));
        Assert.Equal("UTF8", await ScalarAsync(server, "SHOW server_encoding"));
        Assert.Equal("C", await ScalarAsync(server, "SELECT datcollate FROM pg_database WHERE datname = 'postgres'"));
        Assert.Equal(server.DataDirectory, await ScalarAsync(server, "SHOW data_directory"));
        Assert.Equal(
            server.ProcessId.ToString(),
            (await ScalarAsync(server, "SELECT pg_read_file('postmaster.pid')"))!.Split('\n')[0]);
        Assert.Contains("database system is ready", await server.ReadLogAsync(Token), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Settings_replace_defaults_and_keep_their_characters()
    {
        PostgresServerOptions options = new()
        {
            Fsync = true,
            Settings = { ["max_connections"] = "37", ["log_line_prefix"] = @"it's \ %p " },
        };
        await using PostgresServer server = await PostgresServer.StartAsync(options, Token);

        Assert.Equal("37", await ScalarAsync(server, "SHOW max_connections"));
        Assert.Equal(@"it's \ %p ", await ScalarAsync(server, "SHOW log_line_prefix"));
        Assert.Equal("on", await ScalarAsync(server, "SHOW fsync"));
    }

    [Fact]
    public async Task Two_servers_differ_in_system_identifier_and_port()
    {
        Task<PostgresServer> starting = PostgresServer.StartAsync(cancellationToken: Token);
        await using PostgresServer first = await PostgresServer.StartAsync(cancellationToken: Token);
        await using PostgresServer second = await starting;

        const string sql = "SELECT system_identifier::text FROM pg_control_system()";
        Assert.NotEqual(await ScalarAsync(first, sql), await ScalarAsync(second, sql));
        Assert.NotEqual(first.Port, second.Port);
    }

    [Fact]
    public async Task Port_taken_by_another_server_is_left_for_a_free_one()
    {
        await using PostgresServer first = await PostgresServer.StartAsync(cancellationToken: Token);
        Queue<int> ports = new([first.Port, first.Port]);

        await using PostgresServer second = await PostgresServer.StartAsync(
            new PostgresServerOptions(),
            BinarySources.FromEnvironment(),
            () => ports.TryDequeue(out int taken) ? taken : FreePort.Pick(),
            Token);

        Assert.Empty(ports);
        Assert.NotEqual(first.Port, second.Port);
        Assert.Equal(second.DataDirectory, await ScalarAsync(second, "SHOW data_directory"));
    }

    [Fact]
    public async Task Role_and_database_work_and_a_wrong_password_does_not()
    {
        await using PostgresServer server = await PostgresServer.StartAsync(cancellationToken: Token);
        await server.CreateDatabaseAsync("a \"db\"", Token);
        await server.CreateRoleAsync("o'role", @"pass'\word", replication: true, Token);

        await using NpgsqlConnection connection = new(server.ConnectionStringFor("a \"db\"", "o'role", @"pass'\word"));
        await connection.OpenAsync(Token);
        await using NpgsqlCommand command = new("SELECT rolreplication AND NOT rolsuper FROM pg_roles WHERE rolname = current_user", connection);
        Assert.Equal(true, await command.ExecuteScalarAsync(Token));

        await Assert_password_is_refused(server.ConnectionStringFor("postgres", "o'role", "wrong"));
        await Assert_password_is_refused(server.ConnectionStringFor("postgres", password: "wrong"));
    }

    [Theory]
    [InlineData(PostgresStopMode.Fast)]
    [InlineData(PostgresStopMode.Immediate)]
    public async Task Stopped_server_refuses_connections_and_starts_again_with_its_data(PostgresStopMode mode)
    {
        await using PostgresServer server = await PostgresServer.StartAsync(cancellationToken: Token);
        await server.ExecuteAsync("CREATE TABLE t AS SELECT 42 AS n", cancellationToken: Token);
        int port = server.Port;

        await server.StopAsync(mode, Token);
        Assert.Null(server.ProcessId);
        await Assert.ThrowsAnyAsync<NpgsqlException>(() => ScalarAsync(server, "SELECT 1"));
        await server.StartAgainAsync(Token);

        Assert.Equal(port, server.Port);
        Assert.Equal("42", await ScalarAsync(server, "SELECT n::text FROM t"));
        await Assert.ThrowsAsync<InvalidOperationException>(() => server.StartAgainAsync(Token));
    }

    [Fact]
    public async Task Killed_server_recovers_what_was_committed()
    {
        await using PostgresServer server = await PostgresServer.StartAsync(new PostgresServerOptions { Version = 18 }, Token);
        await server.ExecuteAsync("CREATE TABLE t (n int); INSERT INTO t VALUES (42)", cancellationToken: Token);
        await using NpgsqlConnection busy = new(server.SuperuserConnectionString);
        await busy.OpenAsync(Token);
        await using NpgsqlCommand uncommitted = new("BEGIN; INSERT INTO t VALUES (43)", busy);
        await uncommitted.ExecuteNonQueryAsync(Token);

        await server.KillAsync(Token);
        Assert.Null(server.ProcessId);
        await Assert.ThrowsAnyAsync<NpgsqlException>(() => uncommitted.ExecuteNonQueryAsync(Token));
        await server.StartAgainAsync(Token);

        Assert.Equal("42", await ScalarAsync(server, "SELECT string_agg(n::text, ',') FROM t"));
        Assert.Contains("automatic recovery in progress", await server.ReadLogAsync(Token), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Disposed_server_leaves_nothing(bool killedBefore)
    {
        PostgresServer server = await PostgresServer.StartAsync(cancellationToken: Token);
        ServerTraces traces = ServerTraces.Of(server);
        Assert.True(traces.Any());

        if (killedBefore)
            await server.KillAsync(Token);
        await server.DisposeAsync();

        Assert.False(traces.Any(), traces.ToString());
        await server.DisposeAsync();
    }

    [Fact]
    public async Task Failed_start_tells_the_log_and_leaves_nothing()
    {
        PostgresServerOptions options = new() { Settings = { ["shared_buffers"] = "plenty" } };

        PostgresServerException failure = await Assert.ThrowsAsync<PostgresServerException>(() => PostgresServer.StartAsync(options, Token));

        Assert.Contains("invalid value for parameter \"shared_buffers\"", failure.Message, StringComparison.Ordinal);
        string folder = failure.Message.Split('(')[1].Split(')')[0];
        Assert.False(Directory.Exists(Path.GetDirectoryName(folder)));
    }

    private static async Task Assert_password_is_refused(string connectionString)
    {
        await using NpgsqlConnection connection = new(connectionString);
        PostgresException refusal = await Assert.ThrowsAsync<PostgresException>(() => connection.OpenAsync(Token));
        Assert.Equal(PostgresErrorCodes.InvalidPassword, refusal.SqlState);
    }

    private static async Task<string?> ScalarAsync(PostgresServer server, string sql)
    {
        await using NpgsqlConnection connection = new(server.SuperuserConnectionString);
        await connection.OpenAsync(Token);
        await using NpgsqlCommand command = new(sql, connection);
        return (string?)await command.ExecuteScalarAsync(Token);
    }
}
