using ActiveActive.Testing;

namespace ActiveActive.Benchmarks.Clusters;

/// <summary>The servers of a run, all with the same settings. Each measurement gets databases of its own on them.</summary>
internal sealed class ServerGroup : IAsyncDisposable
{
    public const string Owner = "bench_owner";
    public const string Replicator = "bench_replicator";
    public const string Password = "only-on-loopback-for-this-run";

    private readonly List<PostgresServer> _servers = [];

    public IReadOnlyList<PostgresServer> Servers => _servers;

    public int Version => _servers[0].Version.Major;

    /// <summary>What core replication and ActiveActive find alike.</summary>
    private static Dictionary<string, string> Settings => new()
    {
        ["shared_buffers"] = "256MB",
        ["max_wal_size"] = "8GB",
        ["checkpoint_timeout"] = "1h",
        ["logical_decoding_work_mem"] = "256MB",
        ["wal_retrieve_retry_interval"] = "10ms",
        ["max_worker_processes"] = "32",
        ["max_logical_replication_workers"] = "16",
        ["max_parallel_apply_workers_per_subscription"] = "2",
    };

    public static async Task<ServerGroup> StartAsync(BenchmarkOptions options, int count, CancellationToken cancellationToken)
    {
        var settings = Settings;
        if (options.Postgres < 16) settings.Remove("max_parallel_apply_workers_per_subscription");
        foreach (var (name, value) in options.Settings) settings[name] = value;
        var group = new ServerGroup();
        try
        {
            for (var i = 0; i < count; i++)
            {
                var server = await PostgresServer.StartAsync(new PostgresServerOptions { Version = options.Postgres, Settings = settings }, cancellationToken);
                group._servers.Add(server);
                await server.CreateRoleAsync(Owner, Password, cancellationToken: cancellationToken);
                await server.CreateRoleAsync(Replicator, Password, replication: true, cancellationToken);
            }

            return group;
        }
        catch
        {
            await group.DisposeAsync();
            throw;
        }
    }

    /// <summary>What was measured with what, for the report.</summary>
    public string Describe(BenchmarkOptions options) =>
        $"PostgreSQL {Servers[0].Version}, {Servers.Count} servers on loopback, fsync off, rounds={options.Rounds} scale={options.Scale} seconds={options.Seconds}; "
        + string.Join(' ', Settings.Concat(options.Settings).Select(s => $"{s.Key}={s.Value}"));

    public async ValueTask DisposeAsync()
    {
        foreach (var server in _servers) await server.DisposeAsync();
    }
}
