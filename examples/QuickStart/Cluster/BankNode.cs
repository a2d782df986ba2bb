using System.Net.Http.Json;
using System.Security.Cryptography;
using System.Text.Json;
using ActiveActive.Testing;
using Npgsql;
using QuickStart.Bank;

namespace QuickStart.Cluster;

/// <summary>A server, the bank's database on it, and the host process that makes it a node.</summary>
internal sealed class BankNode : IAsyncDisposable
{
    private const string Database = "bank";
    private const string Owner = "bank_app";
    private const string Replicator = "bank_replicator";

    private static readonly HttpClient s_http = new() { Timeout = TimeSpan.FromSeconds(2) };

    private readonly PostgresServer _server;
    private readonly string _replicatorConnection;
    private HostSettings? _settings;
    private Action<string>? _printed;

    private BankNode(int index, string name, PostgresServer server, string ownerPassword, string replicatorPassword)
    {
        Index = index;
        Name = name;
        _server = server;
        _replicatorConnection = server.ConnectionStringFor(Database, Replicator, replicatorPassword);
        App = NpgsqlDataSource.Create(server.ConnectionStringFor(Database, Owner, ownerPassword));
        History = NpgsqlDataSource.Create(_replicatorConnection);
    }

    public int Index { get; }

    public string Name { get; }

    public PostgresServer Server => _server;

    public Version Postgres => _server.Version;

    /// <summary>The application's connections, by the role that owns its tables.</summary>
    public NpgsqlDataSource App { get; }

    /// <summary>Reads the conflict history, by the replication role.</summary>
    public NpgsqlDataSource History { get; }

    public HostProcess? Host { get; private set; }

    public Uri AppAddress => new($"http://127.0.0.1:{_settings!.AppPort}");

    /// <summary>Starts the server and makes roles and tables; neither role is a superuser.</summary>
    public static async Task<BankNode> CreateAsync(int index, string name, int? postgres, CancellationToken cancellationToken)
    {
        var server = await PostgresServer.StartAsync(new PostgresServerOptions { Version = postgres }, cancellationToken);
        try
        {
            var (ownerPassword, replicatorPassword) = (RandomNumberGenerator.GetHexString(32), RandomNumberGenerator.GetHexString(32));
            await server.CreateDatabaseAsync(Database, cancellationToken);
            await server.CreateRoleAsync(Owner, ownerPassword, cancellationToken: cancellationToken);
            await server.CreateRoleAsync(Replicator, replicatorPassword, cancellationToken: cancellationToken);
            await server.ExecuteAsync(Scripts.SetUpRole(Replicator, Database, Owner), Database, cancellationToken);
            await server.ExecuteAsync($"GRANT CREATE ON SCHEMA public TO {Owner}", Database, cancellationToken);
            var node = new BankNode(index, name, server, ownerPassword, replicatorPassword);
            await using var command = node.App.CreateCommand(Scripts.Schema);
            await command.ExecuteNonQueryAsync(cancellationToken);
            return node;
        }
        catch
        {
            await server.DisposeAsync();
            throw;
        }
    }

    /// <summary>Starts the host for the first time.</summary>
    public Task StartHostAsync(int peerPort, int appPort, string sharedToken, IReadOnlyDictionary<string, Uri> peers, Action<string>? printed)
    {
        _settings = new HostSettings
        {
            Name = Name,
            ConnectionString = _replicatorConnection,
            SharedToken = sharedToken,
            PeerPort = peerPort,
            AppPort = appPort,
            Peers = peers,
        };
        _printed = printed;
        return StartHostAgainAsync();
    }

    /// <summary>Ends the host without any clean-up; its database runs on.</summary>
    public async Task KillHostAsync()
    {
        if (Host is not { } host) return;
        Host = null;
        await host.KillAsync();
        await host.DisposeAsync();
    }

    /// <summary>Stops the host in order; its database runs on.</summary>
    public async Task StopHostAsync()
    {
        if (Host is not { } host) return;
        Host = null;
        await host.DisposeAsync();
    }

    /// <summary>Starts a killed or stopped host again.</summary>
    public async Task StartHostAgainAsync() => Host = await HostProcess.StartAsync(_settings!, _printed);

    /// <summary>What the host says of itself; null while it does not answer.</summary>
    public async Task<HostStatus?> ReadStatusAsync(CancellationToken cancellationToken)
    {
        if (Host is null) return null;
        try
        {
            return await s_http.GetFromJsonAsync<HostStatus>(new Uri(AppAddress, "/status"), cancellationToken);
        }
        catch (Exception e) when (e is HttpRequestException or JsonException || (e is OperationCanceledException && !cancellationToken.IsCancellationRequested))
        {
            return null;
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (Host is not null) await Host.DisposeAsync();
        await App.DisposeAsync();
        await History.DisposeAsync();
        await _server.DisposeAsync();
    }
}
