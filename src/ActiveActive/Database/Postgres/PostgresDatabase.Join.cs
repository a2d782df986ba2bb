using ActiveActive.Changes;
using Npgsql;

namespace ActiveActive.Database.Postgres;

internal sealed partial class PostgresDatabase
{
    public ValueTask<IReadOnlyList<Member>> ReadMembersAsync(CancellationToken cancellationToken) => RunAsync<IReadOnlyList<Member>>("reading the members of the cluster", async () =>
    {
        await using var command = _dataSource.CreateCommand(MemberTable.ReadSql);
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        var members = new List<Member>();
        while (await reader.ReadAsync(cancellationToken)) members.Add(MemberTable.Read(reader));
        return members;
    });

    public async ValueTask SaveMembersAsync(IReadOnlyList<Member> members, CancellationToken cancellationToken) => await RunAsync("saving the members of the cluster", async () =>
    {
        await using var connection = await _dataSource.OpenConnectionAsync(cancellationToken);
        await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
        // Capture may not run yet.
        await PostgresSetUp.ExecuteAsync(connection, PostgresSetUp.CommitLocally, cancellationToken);
        await using var batch = new NpgsqlBatch(connection);
        batch.BatchCommands.Add(MemberTable.Save(members));
        await batch.ExecuteNonQueryAsync(cancellationToken);
        await transaction.CommitAsync(cancellationToken);
        return true;
    });

    public async ValueTask<IDataSnapshot> OpenSnapshotAsync(CancellationToken cancellationToken)
    {
        // A snapshot that met a table which had been rewritten is taken again.
        await _rewritten.RestoreNotedAsync(cancellationToken);
        return await PostgresSnapshot.OpenAsync(_options, _rewritten, cancellationToken);
    }

    public ValueTask BeginResyncAsync(NodeName donor, CancellationToken cancellationToken) => _join.BeginResyncAsync(donor, cancellationToken);

    public async ValueTask<NodeName?> FindResyncAsync(CancellationToken cancellationToken) => await RunAsync<NodeName?>("looking for a resync that is under way", async () =>
    {
        await using var command = _dataSource.CreateCommand("SELECT donor FROM active_active.joining WHERE donor IS NOT NULL");
        return await command.ExecuteScalarAsync(cancellationToken) is string donor ? new NodeName(donor) : null;
    });

    public ValueTask GiveUpDataAsync(IAsyncEnumerable<ConflictRecord> unsent, CancellationToken cancellationToken) => _join.GiveUpDataAsync(unsent, cancellationToken);

    public ValueTask BeginJoinAsync(CancellationToken cancellationToken) => _join.BeginAsync(cancellationToken);

    public async ValueTask<ICopySession> OpenCopySessionAsync(CancellationToken cancellationToken) =>
        await PostgresCopySession.OpenAsync(_options, _rewritten, _join.Attempt, cancellationToken);

    public ValueTask EndJoinAsync(DependencyVector copied, CommitTimestamp greatestStamp, IReadOnlyList<Member> members, CancellationToken cancellationToken) =>
        _join.EndAsync(copied, greatestStamp, members, cancellationToken);
}
