using ActiveActive.Database;
using ActiveActive.Database.Postgres;
using ActiveActive.Testing;
using Npgsql;
using NpgsqlTypes;

namespace ActiveActive.Postgres.Tests.Capture;

/// <summary>A fresh database with a publication of schema <c>public</c> and a slot, made by hand.</summary>
internal sealed class CaptureDatabase : IAsyncDisposable
{
    public static readonly NodeName Us = new("us");

    private readonly PostgresServer _server;
    private readonly List<PostgresDatabase> _opened = [];

    private CaptureDatabase(PostgresServer server, string name)
    {
        _server = server;
        Name = name;
        ConnectionString = new NpgsqlConnectionStringBuilder(server.ConnectionStringFor(name)) { Pooling = false }.ConnectionString;
    }

    public string Name { get; }

    public string ConnectionString { get; set; }

    public uint Oid { get; private set; }

    public string Slot => PostgresNames.Slot(Oid);

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public static async Task<CaptureDatabase> CreateAsync(CaptureServers servers, int version, string? before = null, bool withSlot = true)
    {
        var server = await servers.GetAsync(version);
        var database = new CaptureDatabase(server, $"capture_{Guid.NewGuid():n}");
        await server.CreateDatabaseAsync(database.Name, Token);
        database.Oid = await database.ScalarAsync<uint>("SELECT oid FROM pg_database WHERE datname = current_database()");
        if (before is not null) await database.ExecuteAsync(before);
        await database.ExecuteAsync("CREATE PUBLICATION active_active FOR TABLES IN SCHEMA public");
        if (withSlot) await database.ExecuteAsync($"SELECT pg_create_logical_replication_slot('{database.Slot}', 'pgoutput')");
        return database;
    }

    public async Task ExecuteAsync(string sql)
    {
        await using var connection = await ConnectAsync();
        await ExecuteAsync(connection, sql);
    }

    public static async Task ExecuteAsync(NpgsqlConnection connection, string sql)
    {
        await using var command = new NpgsqlCommand(sql, connection);
        await command.ExecuteNonQueryAsync(Token);
    }

    public async Task<T> ScalarAsync<T>(string sql)
    {
        await using var connection = await ConnectAsync();
        await using var command = new NpgsqlCommand(sql, connection);
        return (T)(await command.ExecuteScalarAsync(Token))!;
    }

    public async Task<NpgsqlConnection> ConnectAsync()
    {
        var connection = new NpgsqlConnection(ConnectionString);
        await connection.OpenAsync(Token);
        return connection;
    }

    public async Task<NpgsqlLogSequenceNumber> ConfirmedAsync(string slot) => await ScalarAsync<NpgsqlLogSequenceNumber>(
        $"SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = '{slot}'");

    /// <summary>Runs SQL in one transaction, as an applier would that applies a transaction of a peer.</summary>
    public async Task ApplyAsync(string origin, NpgsqlLogSequenceNumber position, DateTime stamp, string sql)
    {
        await using var connection = await ConnectAsync();
        await ExecuteAsync(connection, $"""
            SELECT pg_replication_origin_create('{origin}') WHERE pg_replication_origin_oid('{origin}') IS NULL;
            SELECT pg_replication_origin_session_setup('{origin}')
            """);
        await ExecuteAsync(connection, $"BEGIN; SELECT pg_replication_origin_xact_setup('{position}', '{stamp:yyyy-MM-dd HH:mm:ss.ffffff}+00'); {sql}; COMMIT");
    }

    public async Task<CaptureReader> OpenAsync(
        NpgsqlLogSequenceNumber start = default, SlotCopy? copy = null, int maxChangesPerPart = 5_000, int maxCharactersPerPart = 4 << 20)
    {
        var database = new PostgresDatabase(new PostgresDatabaseOptions
        {
            Node = new NodeName("eu"),
            ConnectionString = ConnectionString,
            Peers = [Us],
            Tables = new ReplicatedTables([]),
            MaxChangesPerPart = maxChangesPerPart,
            MaxCharactersPerPart = maxCharactersPerPart,
        });
        _opened.Add(database);
        return new CaptureReader(this, database, await database.OpenChangeStreamAsync(start, copy, Token));
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var database in _opened) await database.DisposeAsync();
        await _server.ExecuteAsync($"SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE database = '{Name}' AND active");
        await _server.ExecuteAsync($"DROP PUBLICATION IF EXISTS active_active", Name);
        var deadline = Environment.TickCount64 + 10_000;
        while (true)
        {
            try
            {
                await _server.ExecuteAsync($"SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = '{Name}'");
                break;
            }
            catch (PostgresException e) when (e.SqlState == PostgresErrorCodes.ObjectInUse && Environment.TickCount64 < deadline)
            {
                await Task.Yield();
            }
        }
    }
}
