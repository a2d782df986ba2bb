using System.Collections.Concurrent;
using ActiveActive.Testing;

namespace ActiveActive.Postgres.Tests.Apply;

/// <summary>The oldest and the newest supported server, each started when a test first asks for it.</summary>
public sealed class ApplyServers : IAsyncLifetime
{
    public const string Collection = "apply";

    public const string Password = "apply-test-password";

    private readonly ConcurrentDictionary<int, Lazy<Task<PostgresServer>>> _servers = new();

    private int _databases;

    public static TheoryData<int> Versions => [15, 18];

    public async Task<ApplyDatabase> CreateDatabaseAsync(int version)
    {
        var server = await _servers.GetOrAdd(version, v => new(() => StartAsync(v))).Value;
        return await ApplyDatabase.CreateAsync(server, $"apply_{Interlocked.Increment(ref _databases)}");
    }

    public ValueTask InitializeAsync() => default;

    public async ValueTask DisposeAsync()
    {
        foreach (var server in _servers.Values) await (await server.Value).DisposeAsync();
    }

    private static async Task<PostgresServer> StartAsync(int version)
    {
        // The server keeps the progress of each origin that any database's session has held.
        var origins = version >= 18 ? "max_active_replication_origins" : "max_replication_slots";
        var server = await PostgresServer.StartAsync(new() { Version = version, Settings = { [origins] = "200" } });
        await server.CreateRoleAsync("app", Password, replication: true);
        await server.ExecuteAsync("GRANT SET ON PARAMETER session_replication_role TO app");
        return server;
    }
}

[CollectionDefinition(ApplyServers.Collection)]
public sealed class ApplyServersDefinition : ICollectionFixture<ApplyServers>;
