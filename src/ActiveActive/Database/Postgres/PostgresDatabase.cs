using ActiveActive.Changes;
using Npgsql;
using NpgsqlTypes;

namespace ActiveActive.Database.Postgres;

/// <summary>The database seam on a stock PostgreSQL 15 to 18, reached with Npgsql.</summary>
internal sealed class PostgresDatabase : ILocalDatabase
{
    private readonly PostgresDatabaseOptions _options;
    private readonly NpgsqlDataSource _dataSource;

    public PostgresDatabase(PostgresDatabaseOptions options)
    {
        _options = options;
        _dataSource = NpgsqlDataSource.Create(PostgresConnections.ForSql(options.ConnectionString));
    }

    public ValueTask<DatabaseIdentity> SetUpAsync(CancellationToken cancellationToken) => new PostgresSetUp(_options, _dataSource).RunAsync(cancellationToken);

    public ValueTask<CaptureCheckpoint> ReadCheckpointAsync(CancellationToken cancellationToken) => throw new NotImplementedException();

    public ValueTask SaveCheckpointAsync(CaptureCheckpoint checkpoint, CancellationToken cancellationToken) => throw new NotImplementedException();

    public ValueTask<IChangeStream> OpenChangeStreamAsync(NpgsqlLogSequenceNumber start, NodeName? catchUpFor, CancellationToken cancellationToken) =>
        PostgresChangeStream.OpenAsync(_options, _dataSource, start, catchUpFor, cancellationToken);

    public ValueTask SaveTombstonesAsync(IReadOnlyList<Tombstone> tombstones, CancellationToken cancellationToken) => throw new NotImplementedException();

    public ValueTask<NpgsqlLogSequenceNumber> WriteMarkerAsync(CancellationToken cancellationToken) => throw new NotImplementedException();

    public ValueTask<IApplySession> OpenApplySessionAsync(NodeName origin, CancellationToken cancellationToken) => throw new NotImplementedException();

    public ValueTask CollectAsync(DependencyVector stable, CancellationToken cancellationToken) => throw new NotImplementedException();

    public IAsyncEnumerable<ConflictRecord> ReadConflictsAsync(ConflictQuery query, CancellationToken cancellationToken) => throw new NotImplementedException();

    public ValueTask<long> DeleteConflictsAsync(DateTimeOffset before, CancellationToken cancellationToken) => throw new NotImplementedException();

    public ValueTask DisposeAsync() => _dataSource.DisposeAsync();
}
