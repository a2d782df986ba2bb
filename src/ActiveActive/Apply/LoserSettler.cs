using ActiveActive.Changes;
using ActiveActive.Database;
using ActiveActive.Diagnostics;
using Microsoft.Extensions.Logging;

namespace ActiveActive.Apply;

/// <summary>
/// Brings losers of unique values back after local writes have freed them (convergence R6), and removes rows that local writes have made other nodes' (R9): one loop of a node's life. Peers' transactions settle
/// what they free themselves. What a crash interrupts is looked at again at the start.
/// </summary>
internal sealed partial class LoserSettler(ApplyContext node, TimeProvider timeProvider, ILogger logger)
{
    private static readonly TimeSpan s_firstDelay = TimeSpan.FromMilliseconds(10);
    private static readonly TimeSpan s_greatestDelay = TimeSpan.FromSeconds(30);

    private IApplySession? _session;
    private ApplyWorker? _worker;
    private string? _fault;

    public async Task RunAsync(CancellationToken cancellationToken)
    {
        try
        {
            var delay = s_firstDelay;
            while (true)
            {
                var table = await node.Losers.NextAsync(cancellationToken);
                if (Safeguards.IsOff(Safeguard.ReturnAfterLocalWrite)) continue;
                try
                {
                    await SettleAsync(table, cancellationToken);
                    delay = s_firstDelay;
                    _fault = null;
                }
                catch (ReplicationException e) when (!cancellationToken.IsCancellationRequested)
                {
                    // An applier has the rows, or a local writer; or a row that should come back is refused here, which somebody must mend.
                    if (e.Kind != ReplicationErrorKind.Transient && e.Message != _fault) LogRefused(node.Progress.Self, table, _fault = e.Message);
                    if (e.Kind == ReplicationErrorKind.Transient) await EndSessionAsync();
                    await Task.Delay(delay, timeProvider, cancellationToken);
                    delay = delay * 2 < s_greatestDelay ? delay * 2 : s_greatestDelay;
                    node.Losers.Touch(table);
                }
            }
        }
        finally
        {
            await EndSessionAsync();
        }
    }

    private async ValueTask SettleAsync(TableName table, CancellationToken cancellationToken)
    {
        if (_worker is null)
        {
            _session = await node.Database.OpenApplySessionAsync(node.Progress.Self, cancellationToken);
            // As any session: not before it is clear that the server has not crashed in this life.
            await node.Progress.Captured.WaitAsync((await node.Database.WriteMarkerAsync(CommitTimestamp.Unknown, cancellationToken)).Position, cancellationToken);
            _worker = new ApplyWorker(node.Progress.Self, node, _session, new ApplyClock(timeProvider), new FetchedRows(static (_, _, _) => throw new InvalidOperationException("A node needs no peer for its own rows.")));
        }

        if (node.Evictions.Of(table) is { Count: > 0 } noted)
        {
            if (!Safeguards.IsOff(Safeguard.EvictMovedRows)) await _worker.EvictAsync(table, [.. noted.Select(static n => n.Key)], cancellationToken);
            node.Evictions.Remove(noted);
        }

        if (node.Losers.IsIn(table)) await _worker.SettleLosersAsync(table, cancellationToken);
    }

    private async ValueTask EndSessionAsync()
    {
        if (_session is { } session) await session.DisposeAsync();
        _session = null;
        _worker = null;
    }

    [LoggerMessage(EventId = 3027, Level = LogLevel.Warning, Message = "AA3027: node '{Node}' can't settle rows of table {Table}, which had lost a unique value or are other nodes': {Reason}")]
    private partial void LogRefused(NodeName node, TableName table, string reason);
}
