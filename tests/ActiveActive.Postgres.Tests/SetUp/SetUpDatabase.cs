using System.Runtime.CompilerServices;
using ActiveActive.Database;
using ActiveActive.Database.Postgres;
using ActiveActive.Testing;
using Npgsql;

namespace ActiveActive.Postgres.Tests.SetUp;

/// <summary>
/// A database with an owner of its tables and a role made by docs/setup-role.sql, as users make theirs. Quoted names on purpose.
/// </summary>
internal sealed class SetUpDatabase : IAsyncDisposable
{
    public const string Password = "a password";

    private readonly PostgresServer _server;

    private SetUpDatabase(PostgresServer server, string name) => (_server, Name) = (server, name);

    public string Name { get; }

    public string Role => Name + " Replicator";

    public string Owner => Name + " Owner";

    public uint Oid { get; private set; }

    public string Slot => PostgresNames.Slot(Oid);

    public string ConnectionString => _server.ConnectionStringFor(Name, Role, Password);

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public static async Task<SetUpDatabase> CreateAsync(PostgresServer server, string? tables = null, bool withRights = true)
    {
        SetUpDatabase database = new(server, $"Db{Guid.NewGuid():N}"[..12]);
        await server.CreateDatabaseAsync(database.Name, Token);
        await server.ExecuteAsync($"CREATE ROLE \"{database.Owner}\"", cancellationToken: Token);
        await server.CreateRoleAsync(database.Role, Password, cancellationToken: Token);
        await server.ExecuteAsync($"GRANT CREATE ON SCHEMA public TO \"{database.Owner}\"", database.Name, Token);
        if (withRights) await database.RunSetUpRoleAsync();
        database.Oid = await database.ScalarAsync<uint>("SELECT oid FROM pg_database WHERE datname = current_database()");
        if (tables is not null) await database.AsOwnerAsync(tables);
        return database;
    }

    /// <summary>Runs docs/setup-role.sql itself, with psql's variables replaced.</summary>
    public async Task RunSetUpRoleAsync()
    {
        var sql = await File.ReadAllTextAsync(Path.Combine(RepositoryRoot(), "docs", "setup-role.sql"), Token);
        foreach (var (name, value) in new[] { ("role", Role), ("database", Name), ("owner", Owner) })
        {
            sql = sql.Replace($":\"{name}\"", $"\"{value}\"", StringComparison.Ordinal).Replace($":'{name}'", $"'{value}'", StringComparison.Ordinal);
        }

        await _server.ExecuteAsync(sql, Name, Token);
    }

    /// <summary>Runs SQL as the superuser.</summary>
    public Task SqlAsync(string sql) => _server.ExecuteAsync(sql, Name, Token);

    public Task AsOwnerAsync(string sql) => SqlAsync($"SET ROLE \"{Owner}\"; {sql}");

    public async Task<DatabaseIdentity> SetUpAsync(
        IEnumerable<TableRule>? rules = null, string node = "eu", string[]? peers = null, string? connectionString = null)
    {
        await using PostgresDatabase database = new(Options(rules, node, peers, connectionString));
        return await database.SetUpAsync(isJoining: false, Token);
    }

    public PostgresDatabaseOptions Options(IEnumerable<TableRule>? rules = null, string node = "eu", string[]? peers = null, string? connectionString = null) => new()
    {
        Node = new NodeName(node),
        ConnectionString = connectionString ?? ConnectionString,
        Peers = [.. (peers ?? ["us"]).Select(p => new NodeName(p))],
        Tables = new ReplicatedTables(rules ?? [new TableRule { Pattern = "public.*" }]),
    };

    /// <summary>The problems that set-up refuses the database with, as <c>AA1234</c> codes.</summary>
    public async Task<IReadOnlyList<SetUpProblem>> ProblemsAsync(IEnumerable<TableRule>? rules = null, string node = "eu", string[]? peers = null) =>
        (await Assert.ThrowsAsync<SetUpException>(() => SetUpAsync(rules, node, peers))).Problems;

    public async Task<T> ScalarAsync<T>(string sql)
    {
        await using NpgsqlConnection connection = new(_server.ConnectionStringFor(Name));
        await connection.OpenAsync(Token);
        await using NpgsqlCommand command = new(sql, connection);
        return (T)(await command.ExecuteScalarAsync(Token))!;
    }

    /// <summary>The user's tables in the publication.</summary>
    public Task<string[]> PublishedAsync() => ScalarAsync<string[]>(
        "SELECT ARRAY(SELECT prrelid::regclass::text FROM pg_publication_rel r JOIN pg_publication p ON p.oid = prpubid WHERE pubname = 'active_active' AND prrelid <> 'active_active.orphan'::regclass ORDER BY 1)");

    /// <summary>The next transaction id: unchanged where nothing was written.</summary>
    public Task<string> NextTransactionAsync() => ScalarAsync<string>("SELECT pg_snapshot_xmax(pg_current_snapshot())::text");

    public Task DropSlotAsync() => SqlAsync($"SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = '{Name}' AND active_pid IS NULL");

    public async ValueTask DisposeAsync()
    {
        NpgsqlConnection.ClearAllPools();
        await DropSlotAsync();
        await _server.ExecuteAsync(
            $"SELECT pg_replication_origin_drop(roname) FROM pg_replication_origin WHERE starts_with(roname, '{PostgresNames.OriginPrefix(Oid)}')", Name, CancellationToken.None);
    }

    private static string RepositoryRoot([CallerFilePath] string path = "") => Path.GetFullPath(Path.Combine(path, "..", "..", "..", ".."));
}
