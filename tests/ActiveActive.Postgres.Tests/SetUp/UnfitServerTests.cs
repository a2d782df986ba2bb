using ActiveActive.Testing;

namespace ActiveActive.Postgres.Tests.SetUp;

public sealed class UnfitServerTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(15, new[] { "AA1003", "AA1004", "AA1005", "AA1006", "AA1007", "AA1008" })]
    [InlineData(18, new[] { "AA1003", "AA1004", "AA1005", "AA1006", "AA1007", "AA1008" })]
    public async Task Server_with_default_settings_learns_of_all_of_them_at_once(int version, string[] codes)
    {
        PostgresServerOptions options = new()
        {
            Version = version,
            Settings = { ["wal_level"] = "replica", ["track_commit_timestamp"] = "off", ["max_replication_slots"] = "1", ["max_wal_senders"] = "1" },
        };
        if (version >= 18) options.Settings["max_active_replication_origins"] = "1";
        await using var server = await PostgresServer.StartAsync(options, Token);
        await server.ExecuteAsync("CREATE DATABASE ascii ENCODING 'SQL_ASCII' TEMPLATE template0 LOCALE 'C'", cancellationToken: Token);
        await using var database = await SetUpDatabase.CreateAsync(server);

        var refused = await Assert.ThrowsAsync<SetUpException>(() => database.SetUpAsync(
            [], peers: ["us", "ap"], connectionString: server.ConnectionStringFor("ascii")));

        Assert.Equal(codes, refused.Problems.Select(p => p.Code));
        Assert.Contains(version >= 18 ? "SET max_active_replication_origins = 3" : "SET max_replication_slots = 3", refused.Problems[4].Fix, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(15, Traits = ["Run", "Long"])]
    [InlineData(18)]
    public async Task Standby_is_refused_and_so_is_a_promoted_server_until_its_timeline_is_accepted(int version)
    {
        await using var server = await PostgresServer.StartAsync(new PostgresServerOptions { Version = version }, Token);
        await using var database = await SetUpDatabase.CreateAsync(server, "CREATE TABLE t (id int PRIMARY KEY)");
        var identity = await database.SetUpAsync();
        await server.StopAsync(cancellationToken: Token);
        await File.WriteAllTextAsync(Path.Combine(server.DataDirectory, "standby.signal"), "", Token);
        await server.StartAgainAsync(Token);

        Assert.Equal("AA1002", Assert.Single(await database.ProblemsAsync()).Code);

        await database.SqlAsync("SELECT pg_promote()");
        var problem = Assert.Single(await database.ProblemsAsync());
        Assert.Equal("AA1504", problem.Code);

        await database.SqlAsync("UPDATE active_active.node SET timeline = 2 WHERE is_local");
        Assert.Equal(identity with { Timeline = 2 }, await database.SetUpAsync());
    }
}
