using ActiveActive.Apply;
using ActiveActive.Changes;
using Npgsql;

namespace ActiveActive.Database.Postgres;

/// <summary>Reads committed rows for peers: over a session like those that apply, so that values have the same texts, and without locks.</summary>
internal sealed class RowReader : IAsyncDisposable
{
    private readonly NpgsqlDataSource _source;
    private readonly NpgsqlConnection _connection;
    private readonly LocalTableCatalog _catalog;
    private readonly KeyReader _reader;

    private RowReader(NpgsqlDataSource source, NpgsqlConnection connection, LocalTableCatalog catalog, OriginNodes origins, RewrittenTables rewritten)
    {
        _source = source;
        _connection = connection;
        _catalog = catalog;
        _reader = new KeyReader(connection, catalog, origins, rewritten, isLocking: false);
    }

    public static async ValueTask<RowReader> OpenAsync(PostgresDatabaseOptions options, RewrittenTables rewritten, CancellationToken cancellationToken)
    {
        var source = PostgresConnections.ForApply(options.ConnectionString);
        var connection = source.CreateConnection();
        try
        {
            await connection.OpenAsync(cancellationToken);
            await using var command = new NpgsqlCommand("SELECT oid FROM pg_database WHERE datname = current_database()", connection);
            var origins = new OriginNodes(options.Node, (uint)(await command.ExecuteScalarAsync(cancellationToken))!);
            await origins.LoadAsync(connection, cancellationToken);
            await rewritten.LoadAsync(connection, cancellationToken);
            return new RowReader(source, connection, new LocalTableCatalog(options.Tables), origins, rewritten);
        }
        catch
        {
            await connection.DisposeAsync();
            await source.DisposeAsync();
            throw;
        }
    }

    /// <exception cref="ReplicationException">ApplyRefused: the table is not replicated here, or its key has other columns.</exception>
    public async ValueTask<StoredRow?> ReadAsync(RowToFetch row, CancellationToken cancellationToken)
    {
        var table = await _catalog.FindAsync(new Relation(row.Table, row.Table, []), _connection, cancellationToken)
            ?? throw new ReplicationException(ReplicationErrorKind.ApplyRefused, $"A peer asks for a row of {row.Table}, which this database does not have any more. Create it again.");
        var key = row.KeyIn(table);
        var state = (await _reader.ReadAsync([new LocalKey(table, key)], "", cancellationToken))[0];
        if (state.Row is { } found) return new StoredRow(table, key, found, state.Override, state.Tombstone);
        // A hidden row is its key's current version all the same.
        if (state.Hidden is { } hidden) return new StoredRow(table, key, new LocalRow(hidden.Values, 0, hidden.Version.Stamp, hidden.Version.Origin, IsOwnWrite: false), hidden.Version, state.Tombstone);
        return state.Tombstone is null ? null : new StoredRow(table, key, null, null, state.Tombstone);
    }

    public async ValueTask DisposeAsync()
    {
        await _connection.DisposeAsync();
        await _source.DisposeAsync();
    }
}
