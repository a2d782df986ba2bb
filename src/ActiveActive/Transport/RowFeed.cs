using System.Runtime.CompilerServices;
using ActiveActive.Apply;
using ActiveActive.Capture;
using ActiveActive.Changes;
using ActiveActive.Database;
using ActiveActive.Diagnostics;
using ActiveActive.Progress;
using ActiveActive.Routes;
using NpgsqlTypes;

namespace ActiveActive.Transport;

/// <summary>
/// Answers peers that ask for rows as a transaction left them: the current row, and the place of the write that it shows. The
/// log does not hold older ones, so a row that has been written again is answered with the later place and the asker waits for that write.
/// The transaction is this node's own, or while its origin is away, one that was applied here: what stands here since then is that write, or a
/// later one that will reach the asker, too.
/// </summary>
/// <param name="self">This node.</param>
/// <param name="origin">Whose transactions are asked about.</param>
/// <param name="peer">Who asks.</param>
/// <param name="routes">Which nodes hold which tables.</param>
/// <param name="database">This node's database.</param>
/// <param name="progress">Its positions.</param>
/// <param name="capture">The log's reader.</param>
/// <param name="timeProvider">The clock.</param>
internal sealed class RowFeed(NodeName self, NodeName origin, NodeName peer, TableRoutes routes, ILocalDatabase database, ReplicationProgress progress, ChangeCapture capture, TimeProvider timeProvider)
{
    // How much is read before it is sent: one wait for capture serves all of it.
    private const int RowsPerWait = 256;
    private const long CharactersPerWait = 4 << 20;

    private static readonly TimeSpan s_visibilityDelay = TimeSpan.FromMilliseconds(1);

    /// <summary>The refusal to answer for a row: a person must mend what the message names.</summary>
    public const string NoAnswerCode = "AA3008";

    /// <summary>Takes one request and answers it.</summary>
    public async Task RunAsync(FrameConnection frames, CancellationToken cancellationToken)
    {
        if (await frames.ReadAsync(cancellationToken) is not RowRequestFrame request) return;
        try
        {
            await foreach (var row in ReadAsync(request, cancellationToken)) await frames.WriteAsync(new RowFrame(row), cancellationToken);
        }
        catch (ReplicationException e) when (e.Kind == ReplicationErrorKind.ApplyRefused)
        {
            await frames.WriteAsync(new RefuseFrame(NoAnswerCode, e.Message), cancellationToken);
        }

        await frames.FlushAsync(cancellationToken);
    }

    /// <exception cref="ReplicationException">
    /// ApplyRefused: a table is not replicated here, or a row's version is no longer known. Transient: this node does not have what is asked for.
    /// </exception>
    public async IAsyncEnumerable<FetchedRow> ReadAsync(RowRequestFrame request, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        if (request.Rows.Select(static r => r.Table).FirstOrDefault(t => !routes.Holds(peer, t)) is { Name: not null } forbidden)
            throw new ReplicationException(ReplicationErrorKind.ApplyRefused, $"AA3062: node '{peer}' asks node '{self}' for rows of table {forbidden}, which by the table rules is not on '{peer}'. Make the table rules (OnlyOn) equal on every node.");
        if (request.Rows.Any(r => !routes.Holds(self, r.Table))) throw Lacks(request, "does not hold its table");
        await PassAsync(cancellationToken);
        if (origin != self && !capture.HasApplied(origin, request.Position)) throw Lacks(request, "has not applied it");
        var read = new List<StoredRow?>();
        var characters = 0L;
        await foreach (var stored in database.ReadRowsAsync(request.Rows, cancellationToken))
        {
            read.Add(stored);
            if (stored?.Row is { } row) characters += row.Values.Sum(v => (long)(v.Text?.Length ?? 0));
            if (read.Count < RowsPerWait && characters < CharactersPerWait) continue;
            await WaitForCaptureAsync(cancellationToken);
            foreach (var answered in read) yield return Answer(answered, request);
            read.Clear();
            characters = 0;
        }

        if (read.Count == 0) yield break;
        await WaitForCaptureAsync(cancellationToken);
        foreach (var row in read) yield return Answer(row, request);
    }

    /// <summary>
    /// BEFORE the look: the transaction has been captured, but it takes a moment until its commit is visible. The look would show the row that
    /// it replaced, and that would pass for a later one.
    /// </summary>
    private async Task PassAsync(CancellationToken cancellationToken)
    {
        if (Safeguards.IsOff(Safeguard.FetchWhenVisible)) return;
        // A later part of it may still be on the way through capture; behind the marker, the index holds it.
        await WaitForCaptureAsync(cancellationToken);
        while ((await database.ReadUnfinishedAsync(cancellationToken)).Any(xid => capture.Index.TryGetLocalPosition(xid, out _)))
        {
            await Task.Delay(s_visibilityDelay, timeProvider, cancellationToken);
        }
    }

    /// <summary>
    /// AFTER the look: capture reads what is durable, so a later write or delete that the look has shown can't be lost again and will reach
    /// the asker. And the index holds whatever was looked at.
    /// </summary>
    private async Task WaitForCaptureAsync(CancellationToken cancellationToken) =>
        await progress.Captured.WaitAsync((await database.WriteMarkerAsync(CommitTimestamp.Unknown, cancellationToken)).Position, cancellationToken);

    private FetchedRow Answer(StoredRow? stored, RowRequestFrame request)
    {
        if (stored?.Row is not { } row) return origin == self ? new FetchedRow(default, null) : AnswerAbsence(stored?.Tombstone, request);
        if (stored.Override is null && !row.Stamp.IsKnown)
        {
            throw new ReplicationException(ReplicationErrorKind.ApplyRefused,
                $"A row of {stored.Table.Name} on node '{self}' has no commit timestamp any more, so it can't be told whether it is the one that transaction {request.Position} wrote. Update that row there.");
        }

        // It has moved since, which the asker hears as a delete.
        if (stored.Table.Settings.Route is { } route && !route.Holds(peer, row.Values[stored.Table.OrdinalOf(route.Column)])) return new FetchedRow(default, null);
        var position = PositionOf(stored, row, request);
        if (position != default && position < request.Position)
        {
            throw new ReplicationException(ReplicationErrorKind.Transient, $"A row of {stored.Table.Name} on node '{self}' shows {position}, which is before {request.Position}.");
        }

        return new FetchedRow(position, position != default ? RowImages.ToRow(stored.Table, row.Values) : null);
    }

    /// <summary>
    /// A later delete took the row, and will reach the asker. Or the transaction came here when its origin had written the row again, and nobody here has its values
    /// either: another node may.
    /// </summary>
    private FetchedRow AnswerAbsence(RowVersion? tombstone, RowRequestFrame request) =>
        tombstone is not { } delete || (delete.Origin == origin && delete.Position <= request.Position)
            ? throw Lacks(request, "does not have its row")
            : new FetchedRow(default, null);

    private NpgsqlLogSequenceNumber PositionOf(StoredRow stored, LocalRow row, RowRequestFrame request)
    {
        if (stored.Override is { } version) return version.Origin == origin ? version.Position : default;
        if (row.Origin != origin) return default;
        if (capture.Index.TryGetVersion(stored.Key, row.Xid, row.Origin, row.Stamp, out var known)) return known.Position;
        return origin == self ? default : throw Lacks(request, "shows a row that is stable");
    }

    private ReplicationException Lacks(RowRequestFrame request, string why) =>
        new(ReplicationErrorKind.Transient, $"Node '{self}' is asked for rows of transaction {origin} {request.Position} and {why}.");
}
