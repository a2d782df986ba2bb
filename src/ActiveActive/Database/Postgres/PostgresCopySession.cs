using System.Runtime.CompilerServices;
using ActiveActive.Apply;
using ActiveActive.Changes;
using Npgsql;
using NpgsqlTypes;

namespace ActiveActive.Database.Postgres;

/// <summary>
/// Fills tables over a session like those that apply, but with no replication origin: rows show transactions of this server's own that no slot decodes, so that every node counts as having seen
/// them, unless an override says otherwise.
/// </summary>
internal sealed class PostgresCopySession : ICopySession
{
    private readonly NpgsqlDataSource _source;
    private readonly NpgsqlConnection _connection;
    private readonly Guid _attempt;
    private readonly LocalTableCatalog _catalog;
    private readonly PlanWriter _writer;

    private PostgresCopySession(NpgsqlDataSource source, NpgsqlConnection connection, PostgresDatabaseOptions options, OriginNodes origins, RewrittenTables rewritten, Guid attempt)
    {
        _source = source;
        _connection = connection;
        _attempt = attempt;
        _catalog = new LocalTableCatalog(options.Tables);
        _writer = new PlanWriter(connection, _catalog, new TableTruncation(connection, options.Node, origins, rewritten), static () => Task.CompletedTask);
    }

    public static async ValueTask<PostgresCopySession> OpenAsync(PostgresDatabaseOptions options, RewrittenTables rewritten, Guid attempt, CancellationToken cancellationToken)
    {
        var source = PostgresConnections.ForApply(options.ConnectionString);
        var connection = source.CreateConnection();
        try
        {
            await connection.OpenAsync(cancellationToken);
            if (connection.PostgreSqlVersion.Major >= 17) await ExecuteAsync(connection, "SET transaction_timeout = 0", cancellationToken);
            return new PostgresCopySession(source, connection, options, new OriginNodes(options.Node, 0), rewritten, attempt);
        }
        catch (Exception e)
        {
            await connection.DisposeAsync();
            await source.DisposeAsync();
            if (e is OperationCanceledException) throw;
            throw PostgresErrors.Translate(e, "opening a session that copies rows into this node, which joins");
        }
    }

    public ValueTask<LocalTable?> FindTableAsync(Relation relation, CancellationToken cancellationToken) =>
        RunAsync($"looking up table {relation.Root}", () => _catalog.FindAsync(relation, _connection, cancellationToken));

    public ValueTask BeginAsync(CancellationToken cancellationToken) => new(RunAsync("beginning to copy a table", async () =>
    {
        await ExecuteAsync(_connection, $"BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; {PostgresSetUp.CommitLocally}", cancellationToken);
        // Held until the commit: another instance that begins to join waits for that, and empties the table then.
        await using var fence = new NpgsqlCommand("SELECT attempt FROM active_active.joining WHERE attempt = $1 FOR SHARE", _connection);
        fence.Parameters.Add(new NpgsqlParameter { Value = _attempt, NpgsqlDbType = NpgsqlDbType.Uuid });
        if (await fence.ExecuteScalarAsync(cancellationToken) is null) throw PostgresJoin.Superseded();
        _writer.Begin();
        return true;
    }).AsTask());

    public ValueTask<long> CopyAsync(LocalTable table, IReadOnlyList<string> columns, IAsyncEnumerable<ReadOnlyMemory<byte>> rows, CancellationToken cancellationToken) =>
        RunAsync($"copying rows into {table.Name}", async () =>
        {
            // Identity columns take what is given, also those GENERATED ALWAYS (https://www.postgresql.org/docs/current/sql-copy.html).
            var sql = $"COPY {PostgresNames.Quote(table.Name)} ({string.Join(", ", columns.Select(PostgresNames.Quote))}) FROM STDIN";
            var writer = (NpgsqlCopyTextWriter)await _connection.BeginTextImportAsync(sql, cancellationToken);
            var lines = await SendAsync(writer, rows, cancellationToken);
            // COPY does not tell how many rows a trigger has kept out.
            if (table.HasTriggers) await RequireAllAsync(table, lines, cancellationToken);
            return lines;
        });

    public ValueTask ExecuteAsync(ApplyPlan notes, CancellationToken cancellationToken) => new(RunAsync("writing what belongs beside copied rows", async () =>
    {
        await _writer.WriteAsync(notes, null, cancellationToken);
        return true;
    }).AsTask());

    public ValueTask<CommitTimestamp> ReadServerTimeAsync(CancellationToken cancellationToken) => RunAsync("reading the server's clock", async () =>
    {
        await using var command = new NpgsqlCommand($"SELECT {VersionSql.Microseconds("clock_timestamp()")}", _connection);
        return new CommitTimestamp((long)(await command.ExecuteScalarAsync(cancellationToken))!);
    });

    public ValueTask CommitAsync(CancellationToken cancellationToken) => new(RunAsync("committing a copied table", () => ExecuteAsync(_connection, "COMMIT", cancellationToken)).AsTask());

    public async ValueTask DisposeAsync()
    {
        await _connection.DisposeAsync();
        await _source.DisposeAsync();
    }

    /// <summary>The lines are UTF-8 already: they go past the writer's encoder. Nor is it disposed, which would block a thread until the server is done.</summary>
    private static async ValueTask<long> SendAsync(NpgsqlCopyTextWriter writer, IAsyncEnumerable<ReadOnlyMemory<byte>> rows, CancellationToken cancellationToken)
    {
        var lines = 0L;
        try
        {
            await foreach (var chunk in rows.WithCancellation(cancellationToken))
            {
                await writer.BaseStream.WriteAsync(chunk, cancellationToken);
                lines += chunk.Span.Count((byte)'\n');
            }
        }
        catch
        {
            // Else the end that disposing brings would be taken for the end of the rows.
            await CancelAsync(writer);
            throw;
        }

        await writer.BaseStream.DisposeAsync();
        return lines;
    }

    private static async ValueTask CancelAsync(NpgsqlCopyTextWriter writer)
    {
        try
        {
            await writer.CancelAsync();
        }
        catch (Exception e) when (e is NpgsqlException or IOException or InvalidOperationException or OperationCanceledException)
        {
            // The connection is gone, and the COPY with it.
        }
    }

    private async ValueTask RequireAllAsync(LocalTable table, long lines, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand($"SELECT count(*) FROM {_catalog.StatementsOf(table).Target} AS t", _connection);
        if (await command.ExecuteScalarAsync(cancellationToken) is long count && count == lines) return;
        throw new ReplicationException(ReplicationErrorKind.ApplyRefused, $"Copying rows into {table.Name}: a trigger or rule (ENABLE ALWAYS or REPLICA) kept some out, or added others. Let it pass replicated rows.");
    }

    private static async ValueTask<int> ExecuteAsync(NpgsqlConnection connection, string sql, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(sql, connection);
        return await command.ExecuteNonQueryAsync(cancellationToken);
    }

    private static async ValueTask<T> RunAsync<T>(string doing, Func<ValueTask<T>> work)
    {
        try
        {
            return await work();
        }
        catch (PostgresException e)
        {
            throw Refusal(PostgresErrors.Translate(e, doing + CopyPlace.Of(e)));
        }
        catch (Exception e) when (e is not (OperationCanceledException or ReplicationException))
        {
            throw PostgresErrors.Translate(e, doing);
        }
    }

    private static ReplicationException Refusal(ReplicationException fault) => fault.Kind == ReplicationErrorKind.ApplyRefused
        ? new(fault.Kind, $"{fault.Message}. Give the table here the same columns, types and constraints as on the node that the rows come from; they are copied again then.", fault.InnerException)
        : fault;
}
