using ActiveActive.Capture;
using ActiveActive.Changes;
using ActiveActive.Database;
using ActiveActive.Diagnostics;
using ActiveActive.Progress;
using Microsoft.Extensions.Logging;

namespace ActiveActive.Hosting;

/// <summary>
/// Checks the foreign keys now and then, tells what it finds, and has orphans treated as their policies say: one loop of a node's life. A fault of it is
/// told and ends nothing.
/// </summary>
internal sealed partial class OrphanWatch(
    ILocalDatabase database, ReplicationProgress progress, ChangeCapture capture, IReadOnlyList<NodeName> nodes, Action<IReadOnlyList<ForeignKeyStatus>> report, TimeProvider timeProvider, ILogger logger)
{
    /// <summary>How many orphans of a foreign key, and rows out of sight, a check looks at.</summary>
    public const int Limit = 1_000;

    private static readonly TimeSpan s_statementTimeout = TimeSpan.FromSeconds(30);

    private readonly int _rank = Safeguards.IsOff(Safeguard.RepairByOneNode) ? 0 : nodes.Order().ToList().IndexOf(progress.Self);
    private readonly Dictionary<string, string> _faults = new(StringComparer.Ordinal);
    private OrphanCandidates? _candidates;
    private Dictionary<RowKey, int> _returns = [];
    private CaptureCheckpoint? _turn;

    public async Task RunAsync(TimeSpan interval, CancellationToken cancellationToken)
    {
        using var timer = new PeriodicTimer(interval, timeProvider);
        while (await timer.WaitForNextTickAsync(cancellationToken))
        {
            try
            {
                await CheckAsync(cancellationToken);
                _faults.Remove("");
            }
            catch (ReplicationException e) when (!cancellationToken.IsCancellationRequested)
            {
                Tell("", e);
            }
        }
    }

    private async Task CheckAsync(CancellationToken cancellationToken)
    {
        await using var session = await database.OpenOrphanSessionAsync(s_statementTimeout, cancellationToken);
        var keys = await session.ReadForeignKeysAsync(cancellationToken);
        var waiting = await session.ReadQuarantinedAsync(null, Limit, cancellationToken);
        var statuses = new List<ForeignKeyStatus>();
        var standing = new List<(ForeignKey Key, OrphanedRow Orphan)>();
        foreach (var key in keys)
        {
            IReadOnlyList<OrphanedRow> found = [];
            var message = await TryAsync(NameOf(key), async () => found = await session.ReadOrphansAsync(key, Limit, cancellationToken), cancellationToken);
            if (key.Policy != OrphanPolicy.Keep) standing.AddRange(found.Select(o => (key, o)));
            statuses.Add(new ForeignKeyStatus
            {
                Table = key.Table, Constraint = key.Name, Referenced = key.Referenced, Policy = key.Policy,
                Orphans = found.Count, Quarantined = waiting.Count(w => w.Table == key.Table && w.Constraint == key.Name), Message = message,
            });
        }

        report(statuses);
        if (await RepairAsync(session, standing, statuses, cancellationToken)) report(statuses);
        await ReturnAsync(session, keys, waiting, cancellationToken);
    }

    private async ValueTask<bool> RepairAsync(
        IOrphanSession session, List<(ForeignKey Key, OrphanedRow Orphan)> standing, List<ForeignKeyStatus> statuses, CancellationToken cancellationToken)
    {
        _candidates ??= new OrphanCandidates(_rank);
        var isStable = _turn is { } turn && (capture.IsStable(turn) || Safeguards.IsOff(Safeguard.RepairStableOrphans));
        var (due, isNewTurn) = _candidates.Next([.. standing.Select(s => s.Orphan)], isStable);
        // What is visible by now is what must become stable: capture has passed it once it has passed a marker.
        if (isNewTurn)
        {
            await progress.Captured.WaitAsync((await database.WriteMarkerAsync(CommitTimestamp.Unknown, cancellationToken)).Position, cancellationToken);
            _turn = capture.Snapshot();
        }

        var hasFailed = false;
        foreach (var orphan in due)
        {
            var key = standing.First(s => ReferenceEquals(s.Orphan, orphan)).Key;
            if (await TryAsync($"{NameOf(key)} policy", async () => await session.RepairAsync(key, orphan, cancellationToken), cancellationToken) is not { } message) continue;
            var at = statuses.FindIndex(s => s.Table == key.Table && s.Constraint == key.Name);
            statuses[at] = statuses[at] with { Message = message };
            hasFailed = true;
        }

        return hasFailed;
    }

    /// <summary>Rows come back whose parents are there again. Again each further node lets one more check pass.</summary>
    private async ValueTask ReturnAsync(IOrphanSession session, IReadOnlyList<ForeignKey> keys, IReadOnlyList<QuarantinedOrphan> waiting, CancellationToken cancellationToken)
    {
        var returns = new Dictionary<RowKey, int>();
        foreach (var orphan in waiting.Where(w => !w.IsReplaced))
        {
            var key = new RowKey(orphan.Table, [.. orphan.Key]);
            var checks = _returns.GetValueOrDefault(key);
            var outcome = OrphanReturn.Waits;
            await TryAsync($"return to {orphan.Table}", async () => outcome = await session.ReturnAsync(key, Blocking(keys, orphan.Table), checks < _rank, cancellationToken), cancellationToken);
            if (outcome is OrphanReturn.Returned or OrphanReturn.Replaced && checks < _rank) returns[key] = checks + 1;
        }

        _returns = returns;
    }

    /// <summary>The foreign keys that a row must satisfy to come back.</summary>
    public static IReadOnlyList<ForeignKey> Blocking(IReadOnlyList<ForeignKey> keys, TableName table) => [.. keys.Where(k => k.Table == table && k.Policy == OrphanPolicy.Quarantine)];

    private async ValueTask<string?> TryAsync<T>(string what, Func<ValueTask<T>> work, CancellationToken cancellationToken)
    {
        try
        {
            await work();
            _faults.Remove(what);
            return null;
        }
        catch (ReplicationException e) when (!cancellationToken.IsCancellationRequested)
        {
            Tell(what, e);
            return e.Message;
        }
    }

    private void Tell(string what, ReplicationException fault)
    {
        if (_faults.TryGetValue(what, out var known) && known == fault.Message) return;
        _faults[what] = fault.Message;
        LogFailed(progress.Self, fault.Message);
    }

    private static string NameOf(ForeignKey key) => $"{key.Table} {key.Name}";

    [LoggerMessage(EventId = 3028, Level = LogLevel.Warning, Message = "AA3028: node '{Node}' could not check foreign keys or treat an orphan, and tries again at the next check: {Reason}")]
    private partial void LogFailed(NodeName node, string reason);
}
