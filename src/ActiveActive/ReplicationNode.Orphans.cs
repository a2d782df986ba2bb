using System.Runtime.CompilerServices;
using ActiveActive.Changes;
using ActiveActive.Database;
using ActiveActive.Hosting;

namespace ActiveActive;

/// <content>Rows whose foreign key names a missing row.</content>
public sealed partial class ReplicationNode
{
    private IReadOnlyList<ForeignKeyStatus> _foreignKeys = [];

    /// <summary>
    /// Rows of replicated tables in this node's database whose foreign key names a missing row, by table, foreign key and primary key. It reads these
    /// tables in full, each foreign key in a snapshot of its own. Nodes with equal rows give equal answers.
    /// </summary>
    /// <param name="limit">At most so many, 1 to 100,000.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <exception cref="ArgumentOutOfRangeException">The limit is out of its range.</exception>
    /// <exception cref="ReplicationException">The database can't be read; AccessDenied where a foreign key names a table that the role may not read.</exception>
    public IAsyncEnumerable<OrphanedRow> FindOrphansAsync(int limit = 1000, CancellationToken cancellationToken = default)
    {
        CheckLimit(limit);
        return FindAsync(limit, cancellationToken);
    }

    /// <summary>The rows that <see cref="OrphanPolicy.Quarantine"/> has moved out of sight, by table and key; the same on every node.</summary>
    /// <param name="table">Of one table; null for all.</param>
    /// <param name="limit">At most so many, 1 to 100,000.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <exception cref="ArgumentOutOfRangeException">The limit is out of its range.</exception>
    /// <exception cref="ReplicationException">The database can't be read.</exception>
    public async Task<IReadOnlyList<QuarantinedOrphan>> ReadQuarantinedOrphansAsync(TableName? table = null, int limit = 1000, CancellationToken cancellationToken = default)
    {
        CheckLimit(limit);
        await using var session = await _database.OpenOrphanSessionAsync(TimeSpan.Zero, cancellationToken);
        return await session.ReadQuarantinedAsync(table, limit, cancellationToken);
    }

    /// <summary>
    /// Brings a row back that is out of sight, now and not at the next check. It needs its parents, and its key must be free; the write replicates.
    /// </summary>
    /// <param name="table">The table that it comes from.</param>
    /// <param name="key">The primary key's values as text, in key order.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <returns>Whether it is back.</returns>
    /// <exception cref="ReplicationException">The database refuses the row, or can't be reached.</exception>
    public async Task<bool> ReturnOrphanAsync(TableName table, IReadOnlyList<string> key, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(key);
        await using var session = await _database.OpenOrphanSessionAsync(TimeSpan.Zero, cancellationToken);
        var keys = OrphanWatch.Blocking(await session.ReadForeignKeysAsync(cancellationToken), table);
        return await session.ReturnAsync(new RowKey(table, [.. key]), keys, isDryRun: false, cancellationToken) == OrphanReturn.Returned;
    }

    /// <summary>Deletes a row that is out of sight, for good and on every node.</summary>
    /// <param name="table">The table that it comes from.</param>
    /// <param name="key">The primary key's values as text, in key order.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <returns>False where there is none.</returns>
    /// <exception cref="ReplicationException">The database can't be reached.</exception>
    public async Task<bool> DiscardOrphanAsync(TableName table, IReadOnlyList<string> key, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(key);
        await using var session = await _database.OpenOrphanSessionAsync(TimeSpan.Zero, cancellationToken);
        return await session.DiscardAsync(new RowKey(table, [.. key]), cancellationToken);
    }

    private async IAsyncEnumerable<OrphanedRow> FindAsync(int limit, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await using var session = await _database.OpenOrphanSessionAsync(TimeSpan.Zero, cancellationToken);
        foreach (var key in await session.ReadForeignKeysAsync(cancellationToken))
        {
            foreach (var orphan in await session.ReadOrphansAsync(key, limit, cancellationToken))
            {
                limit--;
                yield return orphan;
            }

            if (limit == 0) yield break;
        }
    }

    private static void CheckLimit(int limit)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(limit, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(limit, 100_000);
    }
}
