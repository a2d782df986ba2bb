using System.Runtime.CompilerServices;
using ActiveActive.Testing;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace ActiveActive.Postgres.Tests.Cluster;

/// <summary>One node of a <see cref="TestCluster"/>: a database of its own, a replication role made by docs/setup-role.sql, and an ASP.NET host with Kestrel.</summary>
internal sealed class ClusterNode : IAsyncDisposable
{
    private const string Password = "a password";

    private readonly Action<ReplicationNodeBuilder> _configure;
    private readonly IReadOnlyList<(string Name, int Port)> _members;
    private readonly List<string> _log;

    private ClusterNode(string name, int port, PostgresServer server, IReadOnlyList<(string, int)> members, Action<ReplicationNodeBuilder> configure, List<string> log)
    {
        Name = name;
        Port = port;
        Server = server;
        _members = members;
        _configure = configure;
        _log = log;
    }

    public string Name { get; }

    public int Port { get; }

    public PostgresServer Server { get; }

    public string Database { get; private set; } = "";

    /// <summary>The application's own connections, as the table owner (no superuser).</summary>
    public NpgsqlDataSource Sql { get; private set; } = null!;

    public string ConnectionString { get; private set; } = "";

    public WebApplication? Host { get; private set; }

    public ReplicationNode Node => Host!.Services.GetRequiredService<ReplicationNode>();

    /// <summary>A peer as this node sees it.</summary>
    public PeerStatus Peer(string name) => Node.Status.Peers.Single(p => p.Peer.Value == name);

    public static async Task<ClusterNode> CreateAsync(
        string name, int port, PostgresServer server, IReadOnlyList<(string, int)> members, string schema, Action<ReplicationNodeBuilder> configure, List<string> log, string databaseOptions = "", Func<ClusterNode, Task>? beforeSchema = null)
    {
        var node = new ClusterNode(name, port, server, members, configure, log) { Database = $"{name}_{Guid.NewGuid():N}"[..16] };
        var role = $"{node.Database}_app";
        if (databaseOptions.Length == 0) await server.CreateDatabaseAsync(node.Database);
        else await server.ExecuteAsync($"CREATE DATABASE {node.Database} TEMPLATE template0 {databaseOptions}");
        await server.CreateRoleAsync(role, Password);
        await server.ExecuteAsync(await SetUpRoleSqlAsync(role, node.Database), node.Database);
        await server.ExecuteAsync($"GRANT CREATE ON SCHEMA public TO {role}", node.Database);
        if (beforeSchema is not null) await beforeSchema(node);
        node.ConnectionString = server.ConnectionStringFor(node.Database, role, Password);
        node.Sql = NpgsqlDataSource.Create(node.ConnectionString + ";Maximum Pool Size=20");
        await node.ExecuteAsync(schema);
        return node;
    }

    /// <param name="configure">Further options of this start.</param>
    public async Task StartAsync(Action<ReplicationNodeBuilder>? configure = null)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders().AddProvider(new ClusterLog(Name, _log)).SetMinimumLevel(LogLevel.Debug).AddFilter("Microsoft", LogLevel.Warning);
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.ListenLocalhost(Port, listen => listen.Protocols = HttpProtocols.Http2));
        builder.Services.AddActiveActive(node =>
        {
            node.Named(Name).UsePostgres(ConnectionString);
            node.With(o =>
            {
                o.HeartbeatInterval = TimeSpan.FromMilliseconds(100);
                o.ReconnectDelay = TimeSpan.FromMilliseconds(50);
                o.MaxReconnectDelay = TimeSpan.FromSeconds(1);
            });
            foreach (var (peer, port) in _members)
            {
                if (peer != Name) node.AddPeer(peer, new Uri($"http://localhost:{port}"));
            }

            _configure(node);
            configure?.Invoke(node);
        });
        Host = builder.Build();
        Host.MapActiveActive();
        await Host.StartAsync();
    }

    public async Task StopAsync()
    {
        if (Host is null) return;
        await Host.StopAsync();
        await Host.DisposeAsync();
        Host = null;
    }

    public async Task<int> ExecuteAsync(string sql)
    {
        await using var command = Sql.CreateCommand(sql);
        return await command.ExecuteNonQueryAsync();
    }

    public async Task<T> ScalarAsync<T>(string sql)
    {
        await using var command = Sql.CreateCommand(sql);
        return (T)(await command.ExecuteScalarAsync())!;
    }

    /// <summary>All rows as text, sorted: equal on nodes that hold the same.</summary>
    public Task<string> DumpAsync(string table) => ScalarAsync<string>($"SELECT coalesce(string_agg(t::text, E'\\n' ORDER BY t::text COLLATE \"C\"), '') FROM {table} t");

    public async ValueTask DisposeAsync()
    {
        await StopAsync();
        await Sql.DisposeAsync();
        await Server.ExecuteAsync($"SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = '{Database}' AND active_pid IS NULL");
        // Origins are the server's, not the database's, and their number is limited.
        await Server.ExecuteAsync("SELECT pg_replication_origin_drop(roname) FROM pg_replication_origin WHERE starts_with(roname, 'active_active_' || (SELECT oid FROM pg_database WHERE datname = current_database()) || '_')", Database);
    }

    private static async Task<string> SetUpRoleSqlAsync(string role, string database)
    {
        var sql = await File.ReadAllTextAsync(Path.Combine(RepositoryRoot(), "docs", "setup-role.sql"));
        foreach (var (name, value) in new[] { ("role", role), ("database", database), ("owner", role) })
        {
            sql = sql.Replace($":\"{name}\"", $"\"{value}\"", StringComparison.Ordinal).Replace($":'{name}'", $"'{value}'", StringComparison.Ordinal);
        }

        return sql;
    }

    private static string RepositoryRoot([CallerFilePath] string path = "") => Path.GetFullPath(Path.Combine(path, "..", "..", "..", ".."));
}
