using ActiveActive.Apply;
using ActiveActive.Changes;

namespace ActiveActive.Database;

/// <summary>
/// Fills the tables of a node that joins: rows, then what belongs beside them, in one transaction for each table. Nothing of it is published, since the node's slot does not exist yet. Several
/// sessions may fill different tables.
/// </summary>
internal interface ICopySession : IAsyncDisposable
{
    /// <summary>See <see cref="IApplySession.FindTableAsync"/>.</summary>
    ValueTask<LocalTable?> FindTableAsync(Relation relation, CancellationToken cancellationToken);

    ValueTask BeginAsync(CancellationToken cancellationToken);

    /// <summary>Inserts rows in the text form of COPY.</summary>
    /// <param name="table">The table.</param>
    /// <param name="columns">The columns, in the rows' order. One that only exists here takes its default.</param>
    /// <param name="rows">The text, cut anywhere.</param>
    /// <param name="cancellationToken">Ends it; the session must then be closed.</param>
    /// <returns>How many rows.</returns>
    /// <exception cref="ReplicationException">ApplyRefused: a row does not fit. The session must then be closed.</exception>
    ValueTask<long> CopyAsync(LocalTable table, IReadOnlyList<string> columns, IAsyncEnumerable<ReadOnlyMemory<byte>> rows, CancellationToken cancellationToken);

    /// <summary>Writes overrides and siblings of rows that this transaction has inserted, losers of unique values and tombstones; no rows.</summary>
    ValueTask ExecuteAsync(ApplyPlan notes, CancellationToken cancellationToken);

    ValueTask<CommitTimestamp> ReadServerTimeAsync(CancellationToken cancellationToken);

    ValueTask CommitAsync(CancellationToken cancellationToken);
}
