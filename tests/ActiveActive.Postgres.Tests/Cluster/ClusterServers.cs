using ActiveActive.Testing;

namespace ActiveActive.Postgres.Tests.Cluster;

/// <summary>One server per version for all cluster tests that do not stop servers; each node has a database of its own.</summary>
public sealed class ClusterServers : IAsyncLifetime
{
    /// <summary>A second set of them, for tests about tables and their types: the tests of a collection run one after the other.</summary>
    public const string Tables = "Servers for tables";

    private readonly Dictionary<int, Task<PostgresServer>> _servers = [];

    public ValueTask InitializeAsync() => default;

    public async Task<IReadOnlyList<PostgresServer>> GetAsync(params IEnumerable<int> versions)
    {
        var servers = new List<PostgresServer>();
        foreach (var version in versions) servers.Add(await GetAsync(version));
        return servers;
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var server in _servers.Values) await (await server).DisposeAsync();
    }

    private Task<PostgresServer> GetAsync(int version)
    {
        lock (_servers)
        {
            if (!_servers.TryGetValue(version, out var server))
            {
                PostgresServerOptions options = new()
                {
                    Version = version,
                    Settings = { ["max_replication_slots"] = "60", ["max_wal_senders"] = "60", ["max_connections"] = "300" },
                };
                if (version >= 18) options.Settings["max_active_replication_origins"] = "200";
                _servers.Add(version, server = PostgresServer.StartAsync(options, CancellationToken.None));
            }

            return server;
        }
    }
}

/// <summary>The tests that share <see cref="ClusterServers"/>.</summary>
[CollectionDefinition(nameof(ClusterServers))]
public sealed class ClusterServersDefinition : ICollectionFixture<ClusterServers>;

/// <summary>The tests that share the second set.</summary>
[CollectionDefinition(ClusterServers.Tables)]
public sealed class TableServersDefinition : ICollectionFixture<ClusterServers>;
