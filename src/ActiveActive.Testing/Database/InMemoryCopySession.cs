using System.Text;
using ActiveActive.Apply;
using ActiveActive.Changes;
using ActiveActive.Database;

namespace ActiveActive.Testing.Database;

/// <summary>Fills tables before the node's log is read by anybody.</summary>
internal sealed class InMemoryCopySession(InMemoryServer server) : ICopySession
{
    private readonly InMemoryPlanWriter _writer = new(server);
    private InMemoryTransaction? _transaction;

    public ValueTask<LocalTable?> FindTableAsync(Relation relation, CancellationToken cancellationToken)
    {
        lock (server.Gate)
        {
            server.ThrowIfDown();
            return new(server.FindTable(relation)?.Definition);
        }
    }

    public ValueTask BeginAsync(CancellationToken cancellationToken)
    {
        lock (server.Gate)
        {
            server.ThrowIfDown();
            _transaction = server.BeginCopy();
            return default;
        }
    }

    public async ValueTask<long> CopyAsync(LocalTable table, IReadOnlyList<string> columns, IAsyncEnumerable<ReadOnlyMemory<byte>> rows, CancellationToken cancellationToken)
    {
        var ordinals = columns.Select(table.OrdinalOf).ToList();
        var bytes = new List<byte>();
        await foreach (var chunk in rows.WithCancellation(cancellationToken)) bytes.AddRange(chunk.Span);
        var count = 0L;
        foreach (var line in Encoding.UTF8.GetString([.. bytes]).Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            var fields = CopyText.Read(line);
            var values = RowImages.NothingChanged(table);
            for (var i = 0; i < fields.Length; i++) values[ordinals[i]] = fields[i];
            if (!await _transaction!.InsertAsync(table, values, cancellationToken))
                throw new ReplicationException(ReplicationErrorKind.ApplyRefused, $"A row that was copied to {table} is there already.");
            count++;
        }

        return count;
    }

    public async ValueTask ExecuteAsync(ApplyPlan notes, CancellationToken cancellationToken)
    {
        foreach (var write in notes.Writes) await _writer.WriteAsync(_transaction!, write, cancellationToken);
    }

    public ValueTask<CommitTimestamp> ReadServerTimeAsync(CancellationToken cancellationToken)
    {
        lock (server.Gate)
        {
            server.ThrowIfDown();
            return new(server.Now());
        }
    }

    public ValueTask CommitAsync(CancellationToken cancellationToken)
    {
        lock (server.Gate)
        {
            server.CommitCopy(_transaction!);
            _transaction = null;
            return default;
        }
    }

    public ValueTask DisposeAsync()
    {
        lock (server.Gate) _transaction?.Rollback();
        return default;
    }
}
