using ActiveActive.Testing;

namespace ActiveActive.Postgres.Tests.SetUp;

/// <summary>One server per version for all tests of set-up; each test has a database and roles of its own.</summary>
public sealed class SetUpServers : IAsyncLifetime
{
    private readonly Dictionary<int, Task<PostgresServer>> _servers = [];

    public ValueTask InitializeAsync() => default;

    public Task<PostgresServer> GetAsync(int version)
    {
        lock (_servers)
        {
            if (!_servers.TryGetValue(version, out var server))
            {
                PostgresServerOptions options = new()
                {
                    Version = version,
                    // Autovacuum would take transaction ids of its own, by which it is told that nothing was written.
                    Settings = { ["max_replication_slots"] = "50", ["max_wal_senders"] = "50", ["autovacuum"] = "off" },
                };
                if (version >= 18) options.Settings["max_active_replication_origins"] = "200";
                _servers.Add(version, server = PostgresServer.StartAsync(options, CancellationToken.None));
            }

            return server;
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var server in _servers.Values) await (await server).DisposeAsync();
    }
}

/// <summary>The tests that share <see cref="SetUpServers"/>.</summary>
[CollectionDefinition(nameof(SetUpServers))]
public sealed class SetUpServersDefinition : ICollectionFixture<SetUpServers>;
