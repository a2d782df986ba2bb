using System.Threading.Channels;
using ActiveActive.Apply;
using ActiveActive.Database;
using ActiveActive.Hosting;
using ActiveActive.Transport;
using Microsoft.Extensions.Logging;

namespace ActiveActive;

/// <summary>
/// The transactions of peers that this node put aside because it could not apply them (<see cref="ApplyErrorPolicy.Quarantine"/>). Each stays
/// until it is retried with success, or discarded. Until then its rows differ from the other nodes', and every node keeps the WAL from there
/// on: see to them soon.
/// </summary>
public sealed partial class TransactionQuarantine
{
    private readonly NodeName _node;
    private readonly ILocalDatabase _database;
    private readonly IReadOnlyDictionary<NodeName, PeerLink> _links;
    private readonly Func<NodeRun?> _run;
    private readonly CancellationToken _stopping;
    private readonly ILogger _logger;

    // Holds one item while somebody works through the entries.
    private readonly Channel<bool> _turn = Channel.CreateBounded<bool>(1);

    internal TransactionQuarantine(NodeName node, ILocalDatabase database, IReadOnlyDictionary<NodeName, PeerLink> links, Func<NodeRun?> run, ILogger logger, CancellationToken stopping)
    {
        _node = node;
        _database = database;
        _links = links;
        _run = run;
        _stopping = stopping;
        _logger = logger;
    }

    /// <summary>Reads <c>active_active.quarantine</c>, in the order in which the transactions were put aside; at most 1,000.</summary>
    /// <exception cref="ReplicationException">The database can't be read.</exception>
    public async Task<IReadOnlyList<QuarantinedTransaction>> ListAsync(CancellationToken cancellationToken = default) =>
        await _database.ReadQuarantineAsync(null, cancellationToken);

    /// <summary>
    /// Tries one entry again, then those that were put aside behind it. One that is refused again stays, with its new reason. Waits while
    /// the peer that it came from is paused.
    /// </summary>
    /// <returns>How many transactions were applied.</returns>
    /// <exception cref="ArgumentException">There is no such entry.</exception>
    /// <exception cref="ReplicationException">The node does not run, or its database can't be reached; entries not yet tried stay as they are.</exception>
    public async Task<int> RetryAsync(long id, CancellationToken cancellationToken = default)
    {
        await FindAsync(id, cancellationToken);
        return await RetryAsync(e => e.Id == id, hasReleased: false, cancellationToken);
    }

    /// <summary>Tries every entry that writes a table again, in order, and those that were put aside behind them; see <see cref="RetryAsync(long, CancellationToken)"/>.</summary>
    /// <returns>How many transactions were applied.</returns>
    /// <exception cref="ReplicationException">The node does not run, or its database can't be reached; entries not yet tried stay as they are.</exception>
    public Task<int> RetryTableAsync(TableName table, CancellationToken cancellationToken = default) =>
        RetryAsync(e => e.Tables.Contains(table), hasReleased: false, cancellationToken);

    /// <summary>Tries every entry again, in order; see <see cref="RetryAsync(long, CancellationToken)"/>.</summary>
    /// <returns>How many transactions were applied.</returns>
    /// <exception cref="ReplicationException">The node does not run, or its database can't be reached; entries not yet tried stay as they are.</exception>
    public Task<int> RetryAllAsync(CancellationToken cancellationToken = default) => RetryAsync(static _ => true, hasReleased: false, cancellationToken);

    /// <summary>
    /// Gives an entry up: its changes are recorded in the conflict history as <see cref="ConflictType.Discarded"/>, and those that were put
    /// aside behind it are tried. The rows then differ from the other nodes' until somebody writes them again.
    /// </summary>
    /// <exception cref="ArgumentException">There is no such entry.</exception>
    /// <exception cref="ReplicationException">The node does not run, or its database can't be reached.</exception>
    public async Task DiscardAsync(long id, CancellationToken cancellationToken = default)
    {
        await _turn.Writer.WriteAsync(true, cancellationToken);
        try
        {
            var entry = await FindAsync(id, cancellationToken);
            await RunAsync(entry, async (worker, ended) => await worker.DiscardAsync(entry, ended), cancellationToken);
            LogReleased(_node, entry.Origin, entry.Position, entry.Id, "discarded");
        }
        finally
        {
            _turn.Reader.TryRead(out _);
        }

        await RetryAsync(static _ => false, hasReleased: true, cancellationToken);
    }

    private async Task<int> RetryAsync(Func<QuarantinedTransaction, bool> isAsked, bool hasReleased, CancellationToken cancellationToken)
    {
        await _turn.Writer.WriteAsync(true, cancellationToken);
        try
        {
            var all = await RetryOnceAsync(isAsked, hasReleased, cancellationToken);
            // While they were tried, others may have been put aside behind one of them.
            for (var applied = all; applied > 0; all += applied) applied = await RetryOnceAsync(static _ => false, hasReleased: true, cancellationToken);
            return all;
        }
        finally
        {
            _turn.Reader.TryRead(out _);
        }
    }

    private async Task<int> RetryOnceAsync(Func<QuarantinedTransaction, bool> isAsked, bool hasReleased, CancellationToken cancellationToken)
    {
        var applied = 0;
        var entries = await _database.ReadQuarantineAsync(null, cancellationToken);
        for (var next = 0; next < entries.Count;)
        {
            var entry = entries[next];
            if (!IsDue(entry))
            {
                next++;
                continue;
            }

            // Entries of one origin in a row share its session.
            await RunAsync(entry, async (worker, ended) =>
            {
                for (; next < entries.Count && entries[next].Origin == entry.Origin; next++)
                {
                    if (!IsDue(entries[next]) || !await worker.RetryAsync(entries[next], ended)) continue;
                    hasReleased = true;
                    applied++;
                    LogReleased(_node, entry.Origin, entries[next].Position, entries[next].Id, "applied");
                }
            }, cancellationToken);
        }

        return applied;

        bool IsDue(QuarantinedTransaction e) => isAsked(e) || (hasReleased && e.IsBehindAnother && RequireRun().Quarantine.IsFree(e));
    }

    private async Task<QuarantinedTransaction> FindAsync(long id, CancellationToken cancellationToken) =>
        (await _database.ReadQuarantineAsync(null, cancellationToken)).FirstOrDefault(e => e.Id == id)
        ?? throw new ArgumentException($"Node '{_node}' has no entry {id} in quarantine.", nameof(id));

    /// <summary>Does something on the apply session of the entry's origin; ends with the node.</summary>
    private async Task RunAsync(QuarantinedTransaction entry, Func<ApplyWorker, CancellationToken, Task> work, CancellationToken cancellationToken)
    {
        RequireRun();
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, _stopping);
        if (_links.TryGetValue(entry.Origin, out var link)) await link.RunOnSessionAsync(work, either.Token);
        else throw new ReplicationException(ReplicationErrorKind.Misconfigured,
            $"Entry {entry.Id} came from node '{entry.Origin}', which is no peer of node '{_node}' any more. Add it as a peer again, with any address, until the quarantine is empty.");
    }

    private NodeRun RequireRun() => _run() ?? throw new ReplicationException(ReplicationErrorKind.Transient, $"Node '{_node}' does not replicate now; see its status. Try again when it does.");

    [LoggerMessage(EventId = 3024, Level = LogLevel.Information, Message = "AA3024: node '{Node}' took transaction {Peer} {Position} out of quarantine, entry {Id}: {How}")]
    private partial void LogReleased(NodeName node, NodeName peer, NpgsqlTypes.NpgsqlLogSequenceNumber position, long id, string how);
}
