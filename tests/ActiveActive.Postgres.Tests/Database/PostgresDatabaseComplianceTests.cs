using ActiveActive.Compliance.Database;
using ActiveActive.Testing;

namespace ActiveActive.Postgres.Tests.Database;

/// <summary>One server for a class, one database for each test.</summary>
public abstract class ComplianceServer(int version) : IAsyncLifetime
{
    private PostgresServer? _server;

    /// <summary>The running server.</summary>
    public PostgresServer Server => _server ?? throw new InvalidOperationException("The server has not started.");

    /// <inheritdoc/>
    public async ValueTask InitializeAsync() => _server = await PostgresServer.StartAsync(
        new PostgresServerOptions { Version = version }, TestContext.Current.CancellationToken);

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        if (_server is not null) await _server.DisposeAsync();
        GC.SuppressFinalize(this);
    }
}

public sealed class OldestComplianceServer() : ComplianceServer(15);

public sealed class NewestComplianceServer() : ComplianceServer(18);

public abstract class PostgresDatabaseCompliance(ComplianceServer server) : LocalDatabaseCompliance
{
    private static int s_databases;

    private protected override async ValueTask<LocalDatabaseFixture> CreateAsync(int maxChangesPerPart = 5_000, bool isJoining = false) => await PostgresFixture.CreateAsync(
        server.Server, $"compliance_{Interlocked.Increment(ref s_databases)}", maxChangesPerPart, isJoining, TestContext.Current.CancellationToken);
}

/// <summary>On the oldest supported version.</summary>
[Trait("Run", "Long")]
public sealed class PostgresDatabaseComplianceTests15(OldestComplianceServer server)
    : PostgresDatabaseCompliance(server), IClassFixture<OldestComplianceServer>;

/// <summary>On the newest supported version.</summary>
public sealed class PostgresDatabaseComplianceTests18(NewestComplianceServer server)
    : PostgresDatabaseCompliance(server), IClassFixture<NewestComplianceServer>;
