using System.Globalization;
using ActiveActive.Testing;
using Npgsql;

namespace ActiveActive.Benchmarks.Clusters;

/// <summary>A fresh database on one of the servers. Its tables belong to a role that is no superuser.</summary>
internal sealed class BenchmarkDatabase : IAsyncDisposable
{
    private readonly NpgsqlDataSource _owner;
    private readonly NpgsqlDataSource _superuser;

    private BenchmarkDatabase(PostgresServer server, string name)
    {
        (Server, Name) = (server, name);
        _owner = Source(server.ConnectionStringFor(name, ServerGroup.Owner, ServerGroup.Password));
        _superuser = Source(server.ConnectionStringFor(name));
    }

    public PostgresServer Server { get; }

    public string Name { get; }

    public string SuperuserConnectionString => Server.ConnectionStringFor(Name);

    public string ReplicatorConnectionString => Server.ConnectionStringFor(Name, ServerGroup.Replicator, ServerGroup.Password);

    public string OwnerConnectionString => Server.ConnectionStringFor(Name, ServerGroup.Owner, ServerGroup.Password);

    /// <param name="server">Where.</param>
    /// <param name="name">Its name there.</param>
    /// <param name="seed">Tables and rows; run as the owner, so that all nodes start with equal ones.</param>
    /// <param name="cancellationToken">Gives up.</param>
    public static async Task<BenchmarkDatabase> CreateAsync(PostgresServer server, string name, string seed, CancellationToken cancellationToken)
    {
        await server.CreateDatabaseAsync(name, cancellationToken);
        await server.ExecuteAsync($"GRANT CREATE ON SCHEMA public TO {ServerGroup.Owner}", name, cancellationToken);
        await server.ExecuteAsync(SetUpRole(name), name, cancellationToken);
        var database = new BenchmarkDatabase(server, name);
        await database.ExecuteAsync(Marker.Schema + seed, cancellationToken);
        await database.SuperuserAsync("VACUUM ANALYZE", cancellationToken);
        return database;
    }

    public Task ExecuteAsync(string sql, CancellationToken cancellationToken) => ExecuteAsync(_owner, sql, cancellationToken);

    public Task SuperuserAsync(string sql, CancellationToken cancellationToken) => ExecuteAsync(_superuser, sql, cancellationToken);

    public ValueTask<NpgsqlConnection> OpenAsync(CancellationToken cancellationToken) => _owner.OpenConnectionAsync(cancellationToken);

    /// <summary>Count and hash of each table, in an order that does not depend on where the rows lie.</summary>
    public async Task<IReadOnlyDictionary<string, string>> DigestAsync(CancellationToken cancellationToken)
    {
        await using var connection = await OpenAsync(cancellationToken);
        var tables = new List<string>();
        await using (var list = new NpgsqlCommand("SELECT quote_ident(relname) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace", connection))
        await using (var reader = await list.ExecuteReaderAsync(cancellationToken))
        {
            while (await reader.ReadAsync(cancellationToken)) tables.Add(reader.GetString(0));
        }

        var digests = new Dictionary<string, string>();
        foreach (var table in tables)
        {
            await using var command = new NpgsqlCommand($"SELECT count(*) || ' rows, ' || coalesce(sum(hashtextextended(t::text, 0)::numeric), 0) FROM public.{table} t", connection) { CommandTimeout = 0 };
            digests[table] = Convert.ToString(await command.ExecuteScalarAsync(cancellationToken), CultureInfo.InvariantCulture)!;
        }

        return digests;
    }

    public async ValueTask DisposeAsync()
    {
        await _owner.DisposeAsync();
        await _superuser.DisposeAsync();
        // What a host left behind goes with the database: slots would keep it, origins stay for ever.
        await Server.ExecuteAsync($"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{Name}'");
        await Server.ExecuteAsync($"SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = '{Name}' AND NOT active");
        await Server.ExecuteAsync($"SELECT pg_replication_origin_drop(roname) FROM pg_replication_origin WHERE roname LIKE 'active_active_' || (SELECT oid FROM pg_database WHERE datname = '{Name}') || '_%'");
        await Server.ExecuteAsync($"DROP DATABASE \"{Name}\" WITH (FORCE)");
    }

    private static NpgsqlDataSource Source(string connectionString) =>
        NpgsqlDataSource.Create(new NpgsqlConnectionStringBuilder(connectionString) { CommandTimeout = 0 }.ConnectionString);

    private static async Task ExecuteAsync(NpgsqlDataSource source, string sql, CancellationToken cancellationToken)
    {
        await using var command = source.CreateCommand(sql);
        await command.ExecuteNonQueryAsync(cancellationToken);
    }

    /// <summary>docs/setup-role.sql with its variables filled in, which psql would do.</summary>
    private static string SetUpRole(string database)
    {
        using var stream = typeof(BenchmarkDatabase).Assembly.GetManifestResourceStream("setup-role.sql")!;
        using var reader = new StreamReader(stream);
        var sql = reader.ReadToEnd();
        foreach (var (name, value) in new[] { ("role", ServerGroup.Replicator), ("database", database), ("owner", ServerGroup.Owner) })
            sql = sql.Replace($":\"{name}\"", $"\"{value}\"", StringComparison.Ordinal).Replace($":'{name}'", $"'{value}'", StringComparison.Ordinal);
        return sql;
    }
}
