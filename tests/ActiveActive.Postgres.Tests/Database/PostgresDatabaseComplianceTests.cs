using ActiveActive.Compliance.Database;
using ActiveActive.Testing;

namespace ActiveActive.Postgres.Tests.Database;

/// <summary>One server for the class, one database for each test.</summary>
public sealed class ComplianceServer : IAsyncLifetime
{
    private PostgresServer? _server;

    /// <summary>The running server.</summary>
    public PostgresServer Server => _server ?? throw new InvalidOperationException("The server has not started.");

    /// <inheritdoc/>
    public async ValueTask InitializeAsync() => _server = await PostgresServer.StartAsync(cancellationToken: TestContext.Current.CancellationToken);

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        if (_server is not null) await _server.DisposeAsync();
    }
}

public sealed class PostgresDatabaseComplianceTests(ComplianceServer server) : LocalDatabaseCompliance, IClassFixture<ComplianceServer>
{
    private static int s_databases;

    private protected override async ValueTask<LocalDatabaseFixture> CreateAsync(int maxChangesPerPart = 5_000) => await PostgresFixture.CreateAsync(
        server.Server, $"compliance_{Interlocked.Increment(ref s_databases)}", maxChangesPerPart, TestContext.Current.CancellationToken);
}
