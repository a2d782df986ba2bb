using ActiveActive.Testing;

namespace ActiveActive.Postgres.Tests.Capture;

/// <summary>One server for each version, started when first asked for and shared by the capture tests, which use a database each.</summary>
public sealed class CaptureServers : IAsyncLifetime
{
    private readonly Dictionary<int, PostgresServer> _servers = [];
    private readonly SemaphoreSlim _starting = new(1, 1);

    public ValueTask InitializeAsync() => ValueTask.CompletedTask;

    public async Task<PostgresServer> GetAsync(int version)
    {
        await _starting.WaitAsync(TestContext.Current.CancellationToken);
        try
        {
            if (!_servers.TryGetValue(version, out var server))
            {
                server = await PostgresServer.StartAsync(new PostgresServerOptions { Version = version }, TestContext.Current.CancellationToken);
                _servers.Add(version, server);
            }

            return server;
        }
        finally
        {
            _starting.Release();
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var server in _servers.Values) await server.DisposeAsync();
    }
}

[CollectionDefinition(nameof(CaptureServers))]
public sealed class CaptureServersCollection : ICollectionFixture<CaptureServers>;
