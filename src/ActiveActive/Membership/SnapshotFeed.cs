using ActiveActive.Capture;
using ActiveActive.Changes;
using ActiveActive.Database;
using ActiveActive.Diagnostics;
using ActiveActive.Routes;
using ActiveActive.Transport;
using Microsoft.Extensions.Logging;

namespace ActiveActive.Membership;

/// <summary>
/// The donor's side of a join: holds a snapshot of the tables, says which transactions it holds, and sends table after table. A node that joins has been a member here since before, so that nothing
/// becomes stable that it has not.
/// </summary>
internal sealed partial class SnapshotFeed(NodeName self, TableRoutes routes, ILocalDatabase database, ChangeCapture capture, OpenSnapshots snapshots, TimeProvider timeProvider, ILogger logger)
{
    private const int KeysPerFrame = 256;
    private const int MaxRowsBytes = 256 << 10;
    private static readonly TimeSpan s_ping = TimeSpan.FromSeconds(5);

    private readonly ILogger _logger = logger;

    /// <summary>The refusal of one who names a snapshot that is not held any more: it begins anew.</summary>
    public const string GoneCode = "AA3043";

    /// <summary>Serves one connection until the other side ends it.</summary>
    public async Task RunAsync(FrameConnection frames, NodeName peer, CancellationToken cancellationToken)
    {
        if (await frames.ReadAsync(cancellationToken) is not SnapshotRequestFrame request) return;
        if (request.Id == Guid.Empty)
        {
            var held = await WithSignsOfLifeAsync(frames, OpenAsync(peer, cancellationToken), cancellationToken);
            await using var snapshot = held.Snapshot;
            snapshots.Add(held);
            LogHeld(self, peer, held.Snapshot.Position, held.Tables.Count);
            try
            {
                await ServeAsync(frames, peer, held, cancellationToken);
            }
            finally
            {
                snapshots.Remove(held);
            }
        }
        else if (snapshots.Find(request.Id) is { } shared)
        {
            await ServeAsync(frames, peer, shared, cancellationToken);
        }
        else
        {
            await frames.WriteAsync(new RefuseFrame(GoneCode, $"Node '{self}' does not hold that snapshot any more."), cancellationToken);
            await frames.FlushAsync(cancellationToken);
        }
    }

    /// <summary>What a node that joins gets of a snapshot: the tables that it holds.</summary>
    public static IReadOnlyList<SnapshotTable> TablesFor(TableRoutes routes, NodeName peer, IReadOnlyList<SnapshotTable> tables) =>
        routes.IsEmpty || Safeguards.IsOff(Safeguard.RouteOnJoinCopy) ? tables : [.. tables.Where(t => routes.Holds(peer, t.Table.Name))];

    private async Task<HeldSnapshot> OpenAsync(NodeName peer, CancellationToken cancellationToken)
    {
        var snapshot = await database.OpenSnapshotAsync(cancellationToken);
        try
        {
            // Behind this, the index holds every transaction of the snapshot that is not stable, and the tombstones of its local deletes are there.
            var (copied, stamp) = await capture.ReadAppliedBeforeAsync(snapshot.Position, cancellationToken);
            var tables = TablesFor(routes, peer, await snapshot.ReadTablesAsync(cancellationToken));
            var frame = new SnapshotFrame(Guid.NewGuid(), copied, stamp, [.. tables.Select(t => new TableToCopy(Describe(t.Table), t.Rows, t.Bytes))]);
            return new HeldSnapshot(frame, snapshot, tables, capture.Index.OldestXid);
        }
        catch
        {
            await snapshot.DisposeAsync();
            throw;
        }
    }

    private static Relation Describe(LocalTable table)
    {
        var key = table.KeyOrdinals.ToList();
        return new Relation(table.Name, table.Name, [.. table.Columns.Select((c, i) => new RelationColumn(c.Name, c.TypeName, key.IndexOf(i) + 1))]);
    }

    private async Task ServeAsync(FrameConnection frames, NodeName peer, HeldSnapshot held, CancellationToken cancellationToken)
    {
        await frames.WriteAsync(held.Frame, cancellationToken);
        await frames.FlushAsync(cancellationToken);
        while (await frames.ReadAsync(cancellationToken) is { } frame)
        {
            if (frame is PingFrame) continue;
            if (frame is not CopyRequestFrame request) return;
            var table = TablesFor(routes, peer, held.Tables).FirstOrDefault(t => t.Table.Name == request.Table);
            if (table is not null) await SendAsync(frames, held, table, cancellationToken);
            else await frames.WriteAsync(new RefuseFrame(GoneCode, $"The snapshot of node '{self}' has no table {request.Table}."), cancellationToken);
            await frames.FlushAsync(cancellationToken);
        }
    }

    private async Task SendAsync(FrameConnection frames, HeldSnapshot held, SnapshotTable table, CancellationToken cancellationToken)
    {
        await foreach (var chunk in WithSignsOfLifeAsync(frames, held.Snapshot.ReadRowsAsync(table, cancellationToken), cancellationToken))
        {
            for (var sent = 0; sent < chunk.Length; sent += MaxRowsBytes) await frames.WriteAsync(new CopiedRowsFrame(chunk.Slice(sent, Math.Min(MaxRowsBytes, chunk.Length - sent))), cancellationToken);
        }

        var keys = new List<CopiedKey>();
        await foreach (var key in WithSignsOfLifeAsync(frames, held.Snapshot.ReadKeysAsync(table, held.Oldest, cancellationToken), cancellationToken))
        {
            if (CopiedKeys.Of(table.Table, key, capture.Index) is { } described) keys.Add(described);
            if (keys.Count == KeysPerFrame) await FlushAsync();
        }

        await foreach (var tombstone in WithSignsOfLifeAsync(frames, held.Snapshot.ReadTombstonesAsync(table, cancellationToken), cancellationToken))
        {
            keys.Add(CopiedKeys.Of(table.Table, tombstone));
            if (keys.Count == KeysPerFrame) await FlushAsync();
        }

        if (keys.Count > 0) await FlushAsync();
        await frames.WriteAsync(new CopiedTableFrame(), cancellationToken);

        async ValueTask FlushAsync()
        {
            await frames.WriteAsync(new CopiedKeysFrame(keys), cancellationToken);
            keys.Clear();
        }
    }

    private async IAsyncEnumerable<T> WithSignsOfLifeAsync<T>(FrameConnection frames, IAsyncEnumerable<T> items, [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await using var next = items.GetAsyncEnumerator(cancellationToken);
        while (true)
        {
            var moving = next.MoveNextAsync();
            if (!(moving.IsCompleted ? await moving : await WithSignsOfLifeAsync(frames, moving.AsTask(), cancellationToken))) yield break;
            yield return next.Current;
        }
    }

    /// <summary>A snapshot, or the first row behind a long sort, takes longer than a silent connection counts as alive.</summary>
    private async Task<T> WithSignsOfLifeAsync<T>(FrameConnection frames, Task<T> work, CancellationToken cancellationToken)
    {
        while (!work.IsCompleted)
        {
            using var waiting = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
            if (await Task.WhenAny(work, Task.Delay(s_ping, timeProvider, waiting.Token)) == work)
            {
                await waiting.CancelAsync();
                break;
            }

            cancellationToken.ThrowIfCancellationRequested();
            await frames.WriteAsync(new PingFrame(), cancellationToken);
            await frames.FlushAsync(cancellationToken);
        }

        return await work;
    }

    [LoggerMessage(EventId = 3044, Level = LogLevel.Information, Message = "AA3044: node '{Node}' holds a snapshot at {Position} of {Tables} tables for node '{Peer}', which joins")]
    private partial void LogHeld(NodeName node, NodeName peer, NpgsqlTypes.NpgsqlLogSequenceNumber position, int tables);
}
