using ActiveActive.Changes;
using ActiveActive.Diagnostics;
using Npgsql;

namespace ActiveActive.Database.Postgres;

/// <summary>
/// Finds and treats orphans over a session like those that apply: values have the same texts, and moving a row out of sight or back is nothing that
/// triggers or referential actions should see. It has no replication origin, so capture takes what it writes for the node's own.
/// </summary>
internal sealed class PostgresOrphanSession : IOrphanSession
{
    private readonly NpgsqlDataSource _source;
    private readonly NpgsqlConnection _connection;
    private readonly NpgsqlDataSource _application;
    private readonly ReplicatedTables _rules;
    private readonly LocalTableCatalog _catalog;

    private PostgresOrphanSession(NpgsqlDataSource source, NpgsqlConnection connection, NpgsqlDataSource application, ReplicatedTables rules)
    {
        _source = source;
        _application = application;
        _connection = connection;
        _rules = rules;
        _catalog = new LocalTableCatalog(rules);
    }

    public static ValueTask<PostgresOrphanSession> OpenAsync(PostgresDatabaseOptions options, NpgsqlDataSource application, TimeSpan statementTimeout, CancellationToken cancellationToken) => RunAsync("opening a session that looks for orphans", async () =>
    {
        var source = PostgresConnections.ForApply(options.ConnectionString);
        var connection = source.CreateConnection();
        try
        {
            await connection.OpenAsync(cancellationToken);
            await using var command = new NpgsqlCommand($"SET statement_timeout = {(long)statementTimeout.TotalMilliseconds}; SET idle_in_transaction_session_timeout = '1min'", connection);
            await command.ExecuteNonQueryAsync(cancellationToken);
            return new PostgresOrphanSession(source, connection, application, options.Tables);
        }
        catch
        {
            await connection.DisposeAsync();
            await source.DisposeAsync();
            throw;
        }
    });

    public ValueTask<IReadOnlyList<ForeignKey>> ReadForeignKeysAsync(CancellationToken cancellationToken) =>
        RunAsync<IReadOnlyList<ForeignKey>>("reading the foreign keys", async () => await PostgresForeignKey.ReadAsync(_connection, _rules, cancellationToken));

    public ValueTask<IReadOnlyList<OrphanedRow>> ReadOrphansAsync(ForeignKey key, int limit, CancellationToken cancellationToken) =>
        RunAsync<IReadOnlyList<OrphanedRow>>($"looking for orphans of foreign key {key.Name} of {key.Table}", async () =>
        {
            var known = (PostgresForeignKey)key;
            await using var command = new NpgsqlCommand(known.FindOrphans(), _connection) { AllResultTypesAreUnknown = true };
            command.Parameters.Add(SqlParameters.Number(limit));
            await using var reader = await command.ExecuteReaderAsync(cancellationToken);
            var orphans = new List<OrphanedRow>();
            while (await reader.ReadAsync(cancellationToken))
            {
                orphans.Add(new OrphanedRow(
                    key.Table, [.. Enumerable.Range(0, known.PrimaryKey.Count).Select(reader.GetString)], key.Name,
                    [.. Enumerable.Range(known.PrimaryKey.Count, key.Columns.Count).Select(i => reader.IsDBNull(i) ? null : reader.GetString(i))], key.Referenced, key.Policy));
            }

            return orphans;
        });

    public ValueTask<bool> RepairAsync(ForeignKey key, OrphanedRow orphan, CancellationToken cancellationToken) =>
        RunAsync($"treating an orphan of foreign key {key.Name} of {key.Table} ({key.Policy})", async () =>
        {
            var table = await FindAsync(key.Table, cancellationToken);
            return key.Policy switch
            {
                OrphanPolicy.SetNull => await SetNullAsync((PostgresForeignKey)key, table, orphan, cancellationToken),
                OrphanPolicy.Quarantine => await QuarantineAsync((PostgresForeignKey)key, table, orphan, cancellationToken),
                _ => false,
            };
        });

    public ValueTask<IReadOnlyList<QuarantinedOrphan>> ReadQuarantinedAsync(TableName? table, int limit, CancellationToken cancellationToken) =>
        RunAsync<IReadOnlyList<QuarantinedOrphan>>("reading the orphans that are out of sight", async () =>
        {
            await using var batch = Batch(OrphanTable.Read(table, limit));
            await using var reader = await batch.ExecuteReaderAsync(cancellationToken);
            var entries = new List<QuarantinedOrphan>();
            while (await reader.ReadAsync(cancellationToken)) entries.Add(OrphanTable.ReadEntry(reader));
            return entries;
        });

    public ValueTask<OrphanReturn> ReturnAsync(RowKey key, IReadOnlyList<ForeignKey> keys, bool isDryRun, CancellationToken cancellationToken) =>
        RunAsync($"bringing back a row of {key.Table} that was an orphan", async () =>
        {
            var table = await FindAsync(key.Table, cancellationToken);
            var statements = _catalog.StatementsOf(table);
            await using var transaction = await _connection.BeginTransactionAsync(cancellationToken);
            if (await ScalarAsync(OrphanTable.Lock(key), cancellationToken) is not string row) return OrphanReturn.Gone;
            var values = RowText.Read(table, row);
            NpgsqlBatchCommand[] writes = [OrphanTable.NoteReplaced(key)];
            var outcome = OrphanReturn.Replaced;
            if (!await IsTrueAsync(SqlParameters.Command($"SELECT {statements.Exists(1)}", [.. key.Values.Select(SqlParameters.Text)]), cancellationToken))
            {
                foreach (var parent in keys.Cast<PostgresForeignKey>())
                {
                    if (await IsTrueAsync(WouldBeOrphan(parent, table, values), cancellationToken)) return OrphanReturn.Waits;
                }

                writes = [statements.Insert(values), OrphanTable.Drop(key)];
                outcome = OrphanReturn.Returned;
            }

            if (isDryRun) return outcome;
            foreach (var write in writes) await ExecuteAsync(write, cancellationToken);
            await transaction.CommitAsync(cancellationToken);
            return outcome;
        });

    public ValueTask<bool> DiscardAsync(RowKey key, CancellationToken cancellationToken) =>
        RunAsync($"discarding a row of {key.Table} that was an orphan", async () => await ExecuteAsync(OrphanTable.Drop(key), cancellationToken) > 0);

    public async ValueTask DisposeAsync()
    {
        await _connection.DisposeAsync();
        await _source.DisposeAsync();
    }

    /// <summary>An ordinary UPDATE over an ordinary connection: triggers fire, in the role's own search path.</summary>
    private async ValueTask<bool> SetNullAsync(PostgresForeignKey key, LocalTable table, OrphanedRow orphan, CancellationToken cancellationToken)
    {
        if (key.NullableColumns.Count == 0) return false;
        var (condition, parameters) = Condition(key, table, orphan);
        await using var command = _application.CreateCommand(
            $"UPDATE {_catalog.StatementsOf(table).Target} AS t SET {string.Join(", ", key.NullableColumns.Select(c => $"{PostgresNames.Quote(c)} = NULL"))} WHERE {condition}");
        foreach (var parameter in parameters) command.Parameters.Add(parameter);
        return await command.ExecuteNonQueryAsync(cancellationToken) > 0;
    }

    /// <summary>The row goes into the table of orphans, in one transaction.</summary>
    private async ValueTask<bool> QuarantineAsync(PostgresForeignKey key, LocalTable table, OrphanedRow orphan, CancellationToken cancellationToken)
    {
        var statements = _catalog.StatementsOf(table);
        var (condition, parameters) = Condition(key, table, orphan);
        var columns = string.Join(", ", table.Columns.Select(c => $"t.{PostgresNames.Quote(c.Name)}"));
        await using var transaction = await _connection.BeginTransactionAsync(cancellationToken);
        if (await ReadRowAsync($"SELECT {columns} FROM {statements.Target} AS t WHERE {condition} FOR UPDATE OF t", parameters, cancellationToken) is not { } row) return false;
        var rowKey = new RowKey(key.Table, [.. orphan.Key]);
        await ExecuteAsync(OrphanTable.Set(rowKey, key.Name, RowText.Write(table, row)), cancellationToken);
        await ExecuteAsync(statements.Delete(rowKey), cancellationToken);
        await transaction.CommitAsync(cancellationToken);
        return true;
    }

    /// <summary>Which row it is, and that it is still the orphan that was found.</summary>
    private (string Sql, List<NpgsqlParameter> Parameters) Condition(PostgresForeignKey key, LocalTable table, OrphanedRow orphan)
    {
        List<NpgsqlParameter> parameters = [SqlParameters.TypedText(KeyText.Write([.. orphan.Key]))];
        var row = _catalog.StatementsOf(table).MatchesStoredKey("t", "$1");
        return (Safeguards.IsOff(Safeguard.RepairWhatIsStillOrphaned) ? row : $"{row} AND {key.Holds("t", orphan.Values, parameters)} AND {key.IsOrphan("t")}", parameters);
    }

    private static NpgsqlBatchCommand WouldBeOrphan(PostgresForeignKey key, LocalTable table, ColumnValue[] row)
    {
        var values = key.Columns.Select(c => table.OrdinalOf(c)).Select(i => SqlParameters.Text(i < 0 ? null : row[i].Text)).ToArray();
        var columns = string.Join(", ", key.Columns.Select((c, i) => $"${i + 1}::{key.Types[i]} AS {PostgresNames.Quote(c)}"));
        return SqlParameters.Command($"SELECT {key.IsOrphan("c")} FROM (SELECT {columns}) AS c", values);
    }

    private async ValueTask<LocalTable> FindAsync(TableName name, CancellationToken cancellationToken) =>
        await _catalog.FindAsync(new Relation(name, name, []), _connection, cancellationToken)
        ?? throw new ReplicationException(ReplicationErrorKind.ApplyRefused, $"Table {name} is not there any more.");

    private async ValueTask<ColumnValue[]?> ReadRowAsync(string sql, List<NpgsqlParameter> parameters, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(sql, _connection) { AllResultTypesAreUnknown = true };
        foreach (var parameter in parameters) command.Parameters.Add(parameter);
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        return await reader.ReadAsync(cancellationToken)
            ? [.. Enumerable.Range(0, reader.FieldCount).Select(i => reader.IsDBNull(i) ? ColumnValue.Null : ColumnValue.Of(reader.GetString(i)))]
            : null;
    }

    private async ValueTask<bool> IsTrueAsync(NpgsqlBatchCommand command, CancellationToken cancellationToken) => await ScalarAsync(command, cancellationToken) is true;

    private async ValueTask<object?> ScalarAsync(NpgsqlBatchCommand command, CancellationToken cancellationToken)
    {
        await using var batch = Batch(command);
        return await batch.ExecuteScalarAsync(cancellationToken);
    }

    private async ValueTask<int> ExecuteAsync(NpgsqlBatchCommand command, CancellationToken cancellationToken)
    {
        await using var batch = Batch(command);
        return await batch.ExecuteNonQueryAsync(cancellationToken);
    }

    private NpgsqlBatch Batch(NpgsqlBatchCommand command)
    {
        var batch = new NpgsqlBatch(_connection);
        batch.BatchCommands.Add(command);
        return batch;
    }

    private static async ValueTask<T> RunAsync<T>(string doing, Func<ValueTask<T>> work)
    {
        try
        {
            return await work();
        }
        catch (Exception e) when (e is not (OperationCanceledException or ReplicationException))
        {
            throw PostgresErrors.Translate(e, doing);
        }
    }
}
