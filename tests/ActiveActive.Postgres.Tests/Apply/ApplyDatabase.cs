using System.Globalization;
using ActiveActive.Apply;
using ActiveActive.Changes;
using ActiveActive.Database;
using ActiveActive.Database.Postgres;
using ActiveActive.Progress;
using ActiveActive.Testing;
using Npgsql;

namespace ActiveActive.Postgres.Tests.Apply;

/// <summary>One test's database: node eu, owned and used by a role that is no superuser; peers us and asia.</summary>
public sealed class ApplyDatabase : IAsyncDisposable
{
    public static readonly NodeName Eu = new("eu");
    public static readonly NodeName Us = new("us");
    public static readonly NodeName Asia = new("asia");

    private readonly PostgresServer _server;
    private readonly string _name;
    private readonly NpgsqlDataSource _app;

    private ApplyDatabase(PostgresServer server, string name)
    {
        _server = server;
        _name = name;
        ConnectionString = server.ConnectionStringFor(name, "app", ApplyServers.Password);
        _app = NpgsqlDataSource.Create(ConnectionString + ";Options=-c TimeZone=UTC");
        Node = Open();
    }

    public string ConnectionString { get; }

    internal PostgresDatabase Node { get; }

    public uint Oid { get; private set; }

    internal PostgresDatabase Open(params string[] deltaColumns)
    {
        var rule = new TableRule { Pattern = "public.*" };
        foreach (var column in deltaColumns) rule.DeltaColumns.Add(column);
        return new PostgresDatabase(new PostgresDatabaseOptions
        {
            Node = Eu, ConnectionString = ConnectionString, Peers = [Us, Asia], Tables = new ReplicatedTables([rule, new() { Pattern = "ext.*" }]),
        });
    }

    public static async Task<ApplyDatabase> CreateAsync(PostgresServer server, string name)
    {
        await server.ExecuteAsync($"CREATE DATABASE {name} OWNER app");
        await server.ExecuteAsync(
            """
            GRANT CREATE ON SCHEMA public TO app;
            GRANT EXECUTE ON FUNCTION pg_replication_origin_session_setup(text), pg_replication_origin_session_reset(),
                pg_replication_origin_session_progress(boolean), pg_replication_origin_xact_setup(pg_lsn, timestamptz),
                pg_replication_origin_create(text) TO app;
            """, name);
        var database = new ApplyDatabase(server, name);
        foreach (var step in PostgresSchema.Steps) await database.RunAsync(step);
        database.Oid = uint.Parse(await database.ReadAsync("SELECT oid FROM pg_database WHERE datname = current_database()"), CultureInfo.InvariantCulture);
        await database.RunAsync(string.Join(";", new[] { Us, Asia }.Select(n => $"SELECT pg_replication_origin_create('{PostgresNames.Origin(database.Oid, n)}')")));
        return database;
    }

    public async Task RunAsync(string sql)
    {
        await using var command = _app.CreateCommand(sql);
        await command.ExecuteNonQueryAsync();
    }

    public Task RunAsSuperuserAsync(string sql) => _server.ExecuteAsync(sql, _name);

    /// <summary>The first value of the first row, as text; "(none)" without a row.</summary>
    public async Task<string> ReadAsync(string sql)
    {
        await using var connection = await _app.OpenConnectionAsync();
        await using var command = new NpgsqlCommand(sql, connection) { AllResultTypesAreUnknown = true };
        await using var reader = await command.ExecuteReaderAsync();
        return !await reader.ReadAsync() ? "(none)" : reader.IsDBNull(0) ? "(null)" : reader.GetString(0);
    }

    public async Task<NpgsqlConnection> ConnectAsync() => await _app.OpenConnectionAsync();

    internal async Task<ApplyLane> OpenLaneAsync(NodeName? origin = null, PostgresDatabase? node = null) =>
        new((await (node ?? Node).OpenApplySessionAsync(origin ?? Us, default)), origin ?? Us);

    public async ValueTask DisposeAsync()
    {
        await Node.DisposeAsync();
        await _app.DisposeAsync();
    }

    internal static RowVersion Version(NodeName origin, long stamp, ulong position) => new(Stamp(stamp), origin, new(position));

    /// <summary>Some microseconds after 2020-01-01.</summary>
    internal static CommitTimestamp Stamp(long microseconds) => new(631152000000000 + microseconds);
}

/// <summary>An apply session with what tests say often.</summary>
internal sealed class ApplyLane(IApplySession session, NodeName origin) : IAsyncDisposable
{
    private ulong _position = 1000;

    public IApplySession Session => session;

    public async Task<LocalTable> TableAsync(string name)
    {
        var table = TableName.Parse(name);
        return await session.FindTableAsync(new Relation(table, table, []), default) ?? throw new InvalidOperationException($"no table {name}");
    }

    /// <summary>One transaction; returns its version.</summary>
    public async Task<RowVersion> ApplyAsync(long stamp, params PlannedWrite[] writes)
    {
        var version = ApplyDatabase.Version(origin, stamp, _position += 10);
        var plan = new ApplyPlan();
        plan.Writes.AddRange(writes);
        await session.BeginAsync(default);
        await session.ExecuteAsync(plan, default);
        await session.CommitAsync(version.Position, version.Stamp, default);
        return version;
    }

    public async Task<List<RowKey>> UnseenAsync(LocalTable table, IReadOnlyCollection<ShownVersion> unseen, TableName? partition = null)
    {
        var keys = new List<RowKey>();
        await foreach (var some in session.ReadUnseenAsync(table, partition, unseen, default)) keys.AddRange(some.Select(k => k.Key));
        return keys;
    }

    public ValueTask ExecuteAsync(params PlannedWrite[] writes)
    {
        var plan = new ApplyPlan();
        plan.Writes.AddRange(writes);
        return session.ExecuteAsync(plan, default);
    }

    /// <summary>Reads keys in a transaction of its own.</summary>
    public async Task<IReadOnlyList<KeyState>> ReadAsync(params LocalKey[] keys)
    {
        await session.BeginAsync(default);
        var states = await session.ReadKeysAsync(keys, default);
        await session.RollbackAsync(default);
        return states;
    }

    public ValueTask DisposeAsync() => session.DisposeAsync();

    public static RowKey Key(LocalTable table, params string[] values) => new(table.Name, values);

    public static LocalKey At(LocalTable table, params string[] values) => new(table, Key(table, values));

    /// <summary>Values in column order: null is NULL, "~" is unchanged.</summary>
    public static ColumnValue[] Values(params string?[] texts) =>
        Array.ConvertAll(texts, t => t is null ? ColumnValue.Null : t == "~" ? ColumnValue.Unchanged : ColumnValue.Of(t));

    /// <summary>A value as it comes from a peer: in the middle of a piece of memory.</summary>
    public static ColumnValue Bytes(string text)
    {
        var bytes = System.Text.Encoding.UTF8.GetBytes($"before{text}after");
        return ColumnValue.OfUtf8(bytes, 6, bytes.Length - 11);
    }

    public static InsertRow Insert(LocalTable table, params string?[] texts) => new(table, Values(texts));
}
