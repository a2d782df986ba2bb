using ActiveActive.Database.Postgres;
using Npgsql;

namespace ActiveActive.Postgres.Tests.SetUp;

[Collection(nameof(SetUpServers))]
public sealed class PooledConnectionTests(SetUpServers servers)
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    /// <summary>The application's own sessions may be of another mind.</summary>
    [Theory]
    [InlineData(15, Traits = ["Run", "Long"])]
    [InlineData(18)]
    public async Task What_a_session_has_set_does_not_outlast_it_whatever_the_connection_string_says(int version)
    {
        var server = await servers.GetAsync(version);
        await using var source = NpgsqlDataSource.Create(PostgresConnections.ForSql(server.ConnectionStringFor("postgres") + ";No Reset On Close=true;Maximum Pool Size=1", InstanceName.New()));
        await using (var set = source.CreateCommand("SET statement_timeout = '5s'; SELECT pg_backend_pid()"))
        {
            var first = (int)(await set.ExecuteScalarAsync(Token))!;
            await using var again = source.CreateCommand("SELECT pg_backend_pid()");
            Assert.Equal(first, (int)(await again.ExecuteScalarAsync(Token))!);
        }

        await using var shown = source.CreateCommand("SHOW statement_timeout");
        Assert.Equal("0", (string)(await shown.ExecuteScalarAsync(Token))!);
    }
}
