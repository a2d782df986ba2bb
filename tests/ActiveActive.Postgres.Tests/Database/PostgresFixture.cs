using ActiveActive.Changes;
using ActiveActive.Compliance.Database;
using ActiveActive.Database;
using ActiveActive.Database.Postgres;
using ActiveActive.Testing;
using Npgsql;
using NpgsqlTypes;

namespace ActiveActive.Postgres.Tests.Database;

/// <summary>A fresh database of a real server with the compliance tables, set up as a node.</summary>
internal sealed class PostgresFixture : LocalDatabaseFixture
{
    // A server has room for few slots and origins. A session that was just closed may hold one for a moment longer.
    private const string DropTraces =
        """
        DO $$
        BEGIN
            FOR attempt IN 1..500 LOOP
                PERFORM pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE database = current_database() AND active;
                PERFORM pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid();
                BEGIN
                    PERFORM pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = current_database();
                    PERFORM pg_replication_origin_drop(roname) FROM pg_replication_origin
                    WHERE starts_with(roname, format('active_active_%s_', (SELECT oid FROM pg_database WHERE datname = current_database())));
                    RETURN;
                EXCEPTION WHEN object_in_use THEN
                    PERFORM pg_sleep(0.02);
                END;
            END LOOP;
            RAISE 'The slots and origins of % were still in use after 10 s.', current_database();
        END $$
        """;

    private readonly PostgresServer _server;
    private readonly string _name;
    private readonly PostgresDatabaseOptions _options;
    private readonly PostgresDatabase _database;
    private readonly NpgsqlDataSource _application;

    private PostgresFixture(PostgresServer server, string name, PostgresDatabaseOptions options, PostgresDatabase database, NpgsqlDataSource application)
    {
        _options = options;
        _server = server;
        _name = name;
        _database = database;
        _application = application;
    }

    public override ILocalDatabase Database => _database;

    public static async Task<PostgresFixture> CreateAsync(PostgresServer server, string name, int maxChangesPerPart, bool isJoining, CancellationToken cancellationToken)
    {
        var connectionString = await server.CreateDatabaseAsync(name, cancellationToken);
        foreach (var table in ComplianceTable.All) await server.ExecuteAsync(Create(table), name, cancellationToken);
        var options = new PostgresDatabaseOptions
        {
            Node = Node,
            ConnectionString = connectionString,
            Peers = Peers,
            Tables = new ReplicatedTables(ComplianceTable.All.Select(t => t.Rule)),
            MaxChangesPerPart = maxChangesPerPart,
        };
        var database = new PostgresDatabase(options);
        try
        {
            await database.SetUpAsync(isJoining, cancellationToken);
        }
        catch
        {
            await database.DisposeAsync();
            throw;
        }

        return new PostgresFixture(server, name, options, database, NpgsqlDataSource.Create(connectionString));
    }

    public override ILocalDatabase OpenInstance() => new PostgresDatabase(_options with { Instance = InstanceName.New() });

    public override async ValueTask EndLeadAsync() => await _server.ExecuteAsync(
        "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid IN (SELECT pid FROM pg_stat_activity WHERE starts_with(application_name, 'active_active instance')) AND database = (SELECT oid FROM pg_database WHERE datname = current_database())", _name);

    public override async ValueTask RunLocalAsync(params IReadOnlyList<LocalOperation> operations)
    {
        await using var connection = await _application.OpenConnectionAsync(TestContext.Current.CancellationToken);
        await using var transaction = await connection.BeginTransactionAsync(TestContext.Current.CancellationToken);
        foreach (var operation in operations)
        {
            await using var command = Statement(operation);
            command.Connection = connection;
            command.Transaction = transaction;
            var rows = await command.ExecuteNonQueryAsync(TestContext.Current.CancellationToken);
            Assert.True(rows == 1 || operation.Kind == ChangeKind.Truncate, $"{operation.Kind} met {rows} rows.");
        }

        await transaction.CommitAsync(TestContext.Current.CancellationToken);
    }

    public override async ValueTask<IReadOnlyList<string>> ReadRowsAsync(ComplianceTable table)
    {
        await using var command = _application.CreateCommand(
            $"SELECT {string.Join(", ", table.Columns.Select(c => $"{PostgresNames.Quote(c.Name)}::text"))} FROM {PostgresNames.Quote(table.FullName)}");
        await using var reader = await command.ExecuteReaderAsync(TestContext.Current.CancellationToken);
        var rows = new List<string?[]>();
        while (await reader.ReadAsync(TestContext.Current.CancellationToken))
        {
            rows.Add([.. Enumerable.Range(0, reader.FieldCount).Select(i => reader.IsDBNull(i) ? null : reader.GetString(i))]);
        }

        return Sorted(rows);
    }

    public override async ValueTask DisposeAsync()
    {
        await _application.DisposeAsync();
        await _database.DisposeAsync();
        await _server.ExecuteAsync(DropTraces, _name);
        await _server.ExecuteAsync($"DROP DATABASE {PostgresNames.Quote(_name)} WITH (FORCE)");
    }

    private static string Create(ComplianceTable table)
    {
        var columns = table.Columns.Select(c => $"{PostgresNames.Quote(c.Name)} {c.Type}{(table.DeltaColumns.Contains(c.Name) ? " NOT NULL" : "")}");
        var key = table.Key.Select(PostgresNames.Quote);
        var constraints = string.Concat(table.UniqueKeys.Select(k => $", UNIQUE{(k.NullsNotDistinct ? " NULLS NOT DISTINCT" : "")} ({string.Join(", ", k.Columns.Select(PostgresNames.Quote))})"));
        constraints += string.Concat(table.ForeignKeys.Select(k => $", FOREIGN KEY ({PostgresNames.Quote(k.Column)}) REFERENCES {PostgresNames.Quote(k.Referenced)}"));
        var storage = table.ToastColumns.Select(c =>
            $"; ALTER TABLE {PostgresNames.Quote(table.FullName)} ALTER COLUMN {PostgresNames.Quote(c)} SET STORAGE EXTERNAL");
        return $"CREATE TABLE {PostgresNames.Quote(table.FullName)} ({string.Join(", ", columns)}, PRIMARY KEY ({string.Join(", ", key)}){constraints}){string.Concat(storage)}";
    }

    private static NpgsqlCommand Statement(LocalOperation operation)
    {
        var table = PostgresNames.Quote(operation.Table.FullName);
        var command = new NpgsqlCommand();
        var values = operation.Values.Select(v => Parameter(command, v.Value)).ToList();
        command.CommandText = operation.Kind switch
        {
            ChangeKind.Insert =>
                $"INSERT INTO {table} ({string.Join(", ", operation.Values.Select(v => PostgresNames.Quote(v.Column)))}) VALUES ({string.Join(", ", values)})",
            ChangeKind.Update =>
                $"UPDATE {table} SET {string.Join(", ", operation.Values.Select((v, i) => $"{PostgresNames.Quote(v.Column)} = {values[i]}"))} WHERE {Where(command, operation)}",
            ChangeKind.Delete => $"DELETE FROM {table} WHERE {Where(command, operation)}",
            _ => $"TRUNCATE {table}",
        };
        return command;
    }

    private static string Where(NpgsqlCommand command, LocalOperation operation) => string.Join(" AND ",
        operation.Table.Key.Select((column, i) => $"{PostgresNames.Quote(column)} = {Parameter(command, operation.Key.Values[i])}"));

    /// <summary>Text of an unknown type: the server takes the column's.</summary>
    private static string Parameter(NpgsqlCommand command, string? value)
    {
        command.Parameters.Add(new NpgsqlParameter { Value = (object?)value ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Unknown });
        return $"${command.Parameters.Count}";
    }
}
