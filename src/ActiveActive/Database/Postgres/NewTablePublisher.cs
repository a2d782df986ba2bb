using System.Collections.Concurrent;
using Npgsql;

namespace ActiveActive.Database.Postgres;

/// <summary>Publishes tables that are created while the node runs: now and then all of them, and one at once where a peer's row of it arrives.</summary>
internal sealed class NewTablePublisher(PostgresDatabaseOptions options, NpgsqlDataSource dataSource) : IDisposable
{
    // So often what can't be published is looked at in whole.
    private static readonly TimeSpan s_unfit = TimeSpan.FromSeconds(30);

    private readonly SemaphoreSlim _publishing = new(1);
    private readonly ConcurrentQueue<NewTable> _published = [];
    private readonly ConcurrentDictionary<TableName, string?> _wanted = [];
    private (IReadOnlyList<TableName> Tables, long Until, string? Problem) _unfit = ([], 0, null);

    public async ValueTask<NewTables> PublishAllAsync(CancellationToken cancellationToken)
    {
        await _publishing.WaitAsync(cancellationToken);
        try
        {
            var problem = await PublishUnlessUnfitAsync(cancellationToken);
            var published = new List<NewTable>();
            // Also those that were published because a peer wrote them first, or by a call that failed later.
            while (_published.TryDequeue(out var table)) published.Add(table);
            return new NewTables(published, problem);
        }
        finally
        {
            _publishing.Release();
        }
    }

    /// <summary>Returns why the table can't be published; null where it is, or is busy.</summary>
    public async ValueTask<string?> PublishAsync(TableName table, CancellationToken cancellationToken)
    {
        await _publishing.WaitAsync(cancellationToken);
        try
        {
            return (await new PostgresSetUp(options, dataSource).PublishNewTablesAsync(table, _published.Enqueue, cancellationToken)).Unfit;
        }
        catch (ReplicationException e) when (e.Kind is ReplicationErrorKind.InUse or ReplicationErrorKind.Misconfigured)
        {
            // Another instance is at it; or the server refuses it.
            return e.Kind == ReplicationErrorKind.InUse ? null : e.Message;
        }
        finally
        {
            _publishing.Release();
        }
    }

    /// <summary>For a session whose transaction holds locks that publishing could wait for: what is known of the table, which is tried before the next session opens.</summary>
    public string? Note(TableName table) => _wanted.GetOrAdd(table, static _ => null);

    public async ValueTask PublishNotedAsync(CancellationToken cancellationToken)
    {
        foreach (var table in _wanted.Keys)
        {
            try
            {
                if (await PublishAsync(table, cancellationToken) is { } problem) _wanted[table] = problem;
                else _wanted.TryRemove(table, out _);
            }
            catch (ReplicationException)
            {
                // The session that opens need not wait for it: it says so where the table is met again.
            }
        }
    }

    public void Dispose() => _publishing.Dispose();

    private async ValueTask<string?> PublishUnlessUnfitAsync(CancellationToken cancellationToken)
    {
        var setUp = new PostgresSetUp(options, dataSource);
        var unpublished = await setUp.FindUnpublishedAsync(cancellationToken);
        if (unpublished.Count == 0) return null;
        if (unpublished.SequenceEqual(_unfit.Tables) && Environment.TickCount64 < _unfit.Until) return _unfit.Problem;
        var added = new HashSet<TableName>();
        var (unfit, busy) = await setUp.PublishNewTablesAsync(null, table =>
        {
            _published.Enqueue(table);
            added.Add(table.Name);
        }, cancellationToken);
        _unfit = unfit is null || busy is not null ? ([], 0, null) : ([.. unpublished.Where(t => !added.Contains(t))], Environment.TickCount64 + (long)s_unfit.TotalMilliseconds, unfit);
        return unfit ?? busy;
    }
}
