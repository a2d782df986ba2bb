using ActiveActive.Apply;
using ActiveActive.Capture;
using ActiveActive.Changes;
using ActiveActive.Diagnostics;
using ActiveActive.Simulation.Time;
using ActiveActive.Simulation.Workload;
using ActiveActive.Transport;
using NpgsqlTypes;

namespace ActiveActive.Simulation.Cluster;

/// <summary>A FIFO stream for each ordered pair of nodes: late, stalled, cut, and begun again from an earlier position.</summary>
internal sealed class SimulatedNetwork(SimulatedCluster cluster)
{
    private readonly Dictionary<(int Origin, int To), SimulatedConnection> _connections = [];
    private readonly Dictionary<(int From, int To), long> _unreachableUntil = [];

    // As the row feed says it where the row is gone, or where the transaction did not come.
    private static readonly string[] s_lacking = ["does not have its row.", "has not applied it."];

    /// <summary>How often one node's transactions were taken from another.</summary>
    public int Relays { get; private set; }

    /// <summary>Dials: the sender begins after the position that the receiver names, or before it, so that duplicates arrive.</summary>
    public SimulatedConnection Connect(SimulatedNode from, SimulatedNode to, NpgsqlLogSequenceNumber durable)
    {
        var life = Reach(from, to);
        var capture = life.Capture!;
        if (life.Refuses(to.Name)) throw Unreachable(from, $"has parted {to.Name}");
        if (durable < capture.Checkpoint.LastPublished)
        {
            cluster.Findings.Violation($"node {from.Name} would refuse {to.Name}: it no longer has its log up to {capture.Checkpoint.LastPublished}, and {to.Name} is at {durable}");
        }

        var connection = Open(from, to, via: from.Index, reach: default);
        var after = durable;
        if (cluster.Loop.Random.Chance(40))
        {
            var committed = cluster.History.Committed[from.Index];
            var seen = cluster.History.Seen[to.Index][from.Index];
            var earlier = seen - cluster.Loop.Random.Between(0, 4);
            var position = earlier > 0 && earlier <= committed.Count ? new NpgsqlLogSequenceNumber(committed[earlier - 1].Position) : default;
            if (position < durable && position >= capture.Checkpoint.LastPublished) after = position;
        }

        _ = new SimulatedFeed(from, to, life, capture, connection, cluster).RunAsync(after);
        return connection;
    }

    /// <summary>Asks all others how far they are with a node's transactions, and takes the one that has most; null where none has more.</summary>
    public SimulatedConnection? FindRelay(SimulatedNode origin, SimulatedNode to, NpgsqlLogSequenceNumber durable)
    {
        SimulatedNode? best = null;
        var reach = durable;
        foreach (var node in cluster.Nodes)
        {
            if (node == origin || node == to || node.Life is not { IsOver: false, Capture: { } capture } life || life.Refuses(to.Name) || _unreachableUntil.GetValueOrDefault((node.Index, to.Index)) > cluster.Loop.Now) continue;
            var extent = capture.ExtentOf(origin.Name);
            // What came with its copy, it can't relay.
            if ((node.IsLate || node.HasReturned) && durable < extent.Forgotten) continue;
            if (durable < extent.Forgotten) cluster.Findings.Violation($"node {node.Name} no longer has what it received of {origin.Name} up to {extent.Forgotten}, and {to.Name} is at {durable}");
            if (extent.Reach <= reach) continue;
            if (Handshake.LackingOf(cluster.Routes, node.Name, to.Name, origin.Name) is not null)
            {
                if (origin.IsDead && cluster.IsHealed) NotRelayed.Add((origin.Index, to.Index));
                continue;
            }

            (best, reach) = (node, extent.Reach);
        }

        if (best is null) return null;
        Relays++;
        var connection = Open(origin, to, best.Index, reach);
        _ = new SimulatedFeed(best, to, best.Life!, best.Life!.Capture!, connection, cluster).RelayAsync(origin.Name, durable);
        return connection;
    }

    /// <summary>Transactions of a dead node whose values no living node could tell, and who asked last: what depends on them waits for ever.</summary>
    public HashSet<(int Origin, ulong Position, int Asker)> Nowhere { get; } = [];

    /// <summary>Dead nodes whose transactions some have, and none of them all that another must get: what depends on them waits for ever.</summary>
    public HashSet<(int Origin, int To)> NotRelayed { get; } = [];

    /// <summary>As <see cref="RowFetcher"/>: asks the origin for rows of its transaction, or while it is away, the others.</summary>
    public async ValueTask<IReadOnlyList<FetchedRow>> FetchAsync(SimulatedNode origin, SimulatedNode to, ChangeTransaction transaction, IReadOnlyList<RowToFetch> rows)
    {
        ReplicationException? fault = null;
        var lacking = 0;
        var asked = cluster.Nodes.Where(n => n != to && RowFetcher.MayBeAsked(cluster.Routes, n.Name, origin.Name, rows)).OrderByDescending(n => n == origin).ToList();
        foreach (var from in asked)
        {
            CheckNamed(from, to, rows);
            try
            {
                var answers = await FetchAsync(from, origin, to, transaction, rows);
                Nowhere.Remove((origin.Index, (ulong)transaction.Position, to.Index));
                return answers;
            }
            catch (ReplicationException e) when (e.Kind == ReplicationErrorKind.Transient)
            {
                fault ??= e;
                if (from.IsDead || s_lacking.Any(l => e.Message.EndsWith(l, StringComparison.Ordinal))) lacking++;
            }
        }

        if (cluster.IsHealed && lacking == asked.Count) Nowhere.Add((origin.Index, (ulong)transaction.Position, to.Index));
        throw fault!;
    }

    /// <summary>Who is asked for a row is told its key.</summary>
    private void CheckNamed(SimulatedNode from, SimulatedNode to, IReadOnlyList<RowToFetch> rows)
    {
        foreach (var row in rows.Where(r => !cluster.Options.Holds(from.Index, SimulatedTables.IndexOf(r.Table.Name)))) cluster.Findings.Violation($"node {to.Name} named a key of {row.Table} to {from.Name}, which does not hold it");
    }

    /// <summary>What is lost on the way is lost with the connection.</summary>
    private async ValueTask<IReadOnlyList<FetchedRow>> FetchAsync(SimulatedNode from, SimulatedNode origin, SimulatedNode to, ChangeTransaction transaction, IReadOnlyList<RowToFetch> rows)
    {
        Reach(from, to);
        await cluster.Loop.Delay(cluster.Loop.Random.Between(1, cluster.Options.LatencyMicroseconds * 2));
        var life = Reach(from, to);
        var answers = new List<FetchedRow>();
        try
        {
            var feed = new RowFeed(from.Name, origin.Name, to.Name, cluster.Routes, life.Database, life.Progress!, life.Capture!, from.Clock);
            await foreach (var row in feed.ReadAsync(new RowRequestFrame(transaction.Position, rows), life.Ended)) answers.Add(row);
        }
        catch (OperationCanceledException)
        {
            throw Unreachable(from, "ended while it was asked for rows");
        }

        await cluster.Loop.Delay(cluster.Loop.Random.Between(1, cluster.Options.LatencyMicroseconds * 2));
        if (Reach(from, to) != life) throw Unreachable(from, "crashed while it answered");
        cluster.Trace.Say(TraceEvent.Fault, to.Index, () => $"! fetched {rows.Count} rows of {origin.Name} {transaction.Position} from {from.Name}: {answers.Count(a => a.Position == transaction.Position)} as it left them");
        return answers;
    }

    /// <summary>Closes a pair's connections, both ways.</summary>
    public void Cut(int a, int b)
    {
        foreach (var connection in Between(a, b)) connection.Dispose();
    }

    public void Partition(int a, int b, long until, bool cut)
    {
        _unreachableUntil[(a, b)] = until;
        _unreachableUntil[(b, a)] = until;
        if (cut) Cut(a, b);
        else
        {
            foreach (var connection in Between(a, b)) connection.Stall(until);
        }
    }

    public void Stall(int from, int to, long until)
    {
        foreach (var connection in _connections.Values.Where(c => c.Via == from && c.To == to)) connection.Stall(until);
    }

    public void CloseAllOf(int node)
    {
        foreach (var connection in _connections.Values.Where(c => c.Via == node || c.To == node)) connection.Dispose();
    }

    public void Heal() => _unreachableUntil.Clear();

    private IEnumerable<SimulatedConnection> Between(int a, int b) => _connections.Values.Where(c => (c.Via == a && c.To == b) || (c.Via == b && c.To == a));

    /// <summary>A node takes each origin's transactions from one place at a time.</summary>
    private SimulatedConnection Open(SimulatedNode origin, SimulatedNode to, int via, NpgsqlLogSequenceNumber reach)
    {
        if (_connections.GetValueOrDefault((origin.Index, to.Index)) is { } old) old.Dispose();
        return _connections[(origin.Index, to.Index)] = new SimulatedConnection(cluster, via, to.Index, reach);
    }

    /// <summary>The life of a node that another one dials.</summary>
    public NodeLife Reach(SimulatedNode from, SimulatedNode to)
    {
        if (from.Life is not { IsOver: false, Capture: not null } life) throw Unreachable(from, "is not replicating yet");
        return _unreachableUntil.GetValueOrDefault((from.Index, to.Index)) > cluster.Loop.Now ? throw Unreachable(from, "is unreachable") : life;
    }

    private static ReplicationException Unreachable(SimulatedNode node, string why) => new(ReplicationErrorKind.Transient, $"Node {node.Name} {why}.");
}

/// <summary>One connection: what is sent arrives in order, later.</summary>
internal sealed class SimulatedConnection(SimulatedCluster cluster, int via, int to, NpgsqlLogSequenceNumber reach) : IDisposable
{
    private readonly Queue<ChangeTransaction> _arrived = new();
    private readonly CancellationTokenSource _closed = new();
    private readonly TaskCompletionSource _left = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private TaskCompletionSource? _waiting;
    private long _lastDue;

    /// <summary>The node at the sending end.</summary>
    public int Via => via;

    public int To => to;

    /// <summary>Where a relayed stream ends; default for the origin's own.</summary>
    public NpgsqlLogSequenceNumber Reach => reach;

    public bool IsClosed => _closed.IsCancellationRequested;

    public CancellationToken Closed => _closed.Token;

    public Task Left => _left.Task;

    public bool HasMore => _arrived.Count > 0;

    /// <summary>What has arrived next, unless it is lost.</summary>
    public ChangeTransaction? Next => !IsClosed && _arrived.TryPeek(out var next) ? next : null;

    public void Send(ChangeTransaction transaction)
    {
        foreach (var change in transaction.Changes)
        {
            CheckRow(change, transaction);
            if (!cluster.Options.Holds(to, SimulatedTables.IndexOf(change.Relation.Name.Name))) cluster.Findings.Violation($"node {(char)('a' + via)} sent {(char)('a' + to)} a change of {change.Relation.Name} in {transaction}, which {(char)('a' + to)} does not hold");
        }

        if (Safeguards.IsOff(Safeguard.NoteMemberInOrder)) cluster.Nodes[to].Life?.Progress?.NoteMember(transaction.Origin, transaction.Dependencies);
        var loop = cluster.Loop;
        _lastDue = Math.Max(_lastDue, loop.Now + loop.Random.Between(1, cluster.Options.LatencyMicroseconds * 2) * (via > to ? cluster.Options.SlownessBack : 1));
        loop.At(_lastDue, () =>
        {
            if (IsClosed) return;
            _arrived.Enqueue(transaction);
            Wake();
        });
    }

    /// <summary>No row that the node does not hold, and no key of which it has never held a row.</summary>
    private void CheckRow(Change change, ChangeTransaction transaction)
    {
        if (!cluster.Options.Values || change.Relation.Name.Name != SimulatedTables.Names[SimulatedTables.LastUpdateWins] || change.Kind == ChangeKind.Truncate) return;
        foreach (var row in new[] { change.NewRow, change.OldIsKeyOnly ? null : change.OldRow })
        {
            if (row is not null && !cluster.Options.HoldsRow(to, long.Parse(row[2].Text!, System.Globalization.CultureInfo.InvariantCulture))) cluster.Findings.Violation($"node {(char)('a' + via)} sent {(char)('a' + to)} a row of {change.Relation.Name}/{row[0].Text} with {row[2].Text} in {change.Kind} of {transaction}", (SimulatedTables.LastUpdateWins, row[0].Text!));
        }

        var key = (change.OldRow ?? change.NewRow!)[0].Text!;
        if (!cluster.History.Committed.Any(c => c.Any(t => t.Effects.Any(e => e is { Table: SimulatedTables.LastUpdateWins, IsDelete: false } && e.Key == key && (t.Node == to || cluster.Options.HoldsRow(to, e.Amount))))))
        {
            cluster.Findings.Violation($"node {(char)('a' + via)} named {change.Relation.Name}/{key} to {(char)('a' + to)}, which never had it, in {change.Kind} of {transaction}", (SimulatedTables.LastUpdateWins, key));
        }
    }

    public bool EndsWith(ChangeTransaction part) => reach != default && part.IsLastPart && part.Position >= reach;

    public void Stall(long until) => _lastDue = Math.Max(_lastDue, until);

    public async ValueTask<ChangeTransaction> ReceiveAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            cancellationToken.ThrowIfCancellationRequested();
            // What had arrived before the connection broke is lost with it.
            if (IsClosed) throw new ReplicationException(ReplicationErrorKind.Transient, $"The connection from {(char)('a' + via)} to {(char)('a' + to)} was cut.");
            if (_arrived.TryDequeue(out var transaction)) return transaction;
            _waiting = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            await _waiting.Task;
        }
    }

    public void Dispose()
    {
        _closed.Cancel();
        _left.TrySetResult();
        Wake();
    }

    private void Wake()
    {
        var waiting = _waiting;
        _waiting = null;
        waiting?.TrySetResult();
    }
}

/// <summary>The sending side: what <see cref="PeerFeed"/> does with the change log and the catch-up reader.</summary>
internal sealed class SimulatedFeed(SimulatedNode from, SimulatedNode to, NodeLife life, ChangeCapture capture, SimulatedConnection connection, SimulatedCluster cluster)
{
    public Task RunAsync(NpgsqlLogSequenceNumber resumeAfter) => GuardAsync(() => SendAsync(resumeAfter));

    /// <summary>What <see cref="RelayFeed"/> does with the relay reader.</summary>
    public Task RelayAsync(NodeName origin, NpgsqlLogSequenceNumber resumeAfter) => GuardAsync(async () =>
    {
        var reader = new RelayReader(life.Database, origin, to.Name, capture.Encoder);
        await foreach (var entry in reader.ReadAsync(capture.Checkpoint, resumeAfter, connection.Reach, connection.Closed)) Send(Safeguards.IsOff(Safeguard.RelayedVector) ? Overstate(entry) : entry);
        await connection.Left;
    });

    /// <summary>As if its writer had seen all that the relayer wrote.</summary>
    private EncodedTransaction Overstate(EncodedTransaction entry)
    {
        var relayed = ((CarriedTransaction)entry).Transaction;
        return capture.Encoder.Encode(relayed with { Dependencies = relayed.Dependencies.Advance(from.Name, capture.LastPublished) });
    }

    private async Task GuardAsync(Func<Task> send)
    {
        try
        {
            await send();
        }
        catch (Exception e)
        {
            // As the real feed: the connection ends, and the peer dials again.
            cluster.Trace.Say(TraceEvent.Fault, from.Index, () => $"! feed of {to.Name} ends: {e.Message}");
            if (!life.IsOver && e is not ReplicationException && !(e is OperationCanceledException && connection.IsClosed))
            {
                cluster.Findings.Violation($"the feed of node {from.Name} to {to.Name} failed: {e}");
            }
        }
        finally
        {
            connection.Dispose();
        }
    }

    private async Task SendAsync(NpgsqlLogSequenceNumber resumeAfter)
    {
        var floor = new NpgsqlLogSequenceNumber(Math.Max(1, (ulong)capture.Checkpoint.Position) - 1);
        var after = resumeAfter > floor ? resumeAfter : floor;
        if (!capture.Log.TryOpenCursor(after, out var cursor)) cursor = await CatchUpAsync(after);
        capture.Heartbeat(force: true);
        var entries = new List<EncodedTransaction>();
        while (!connection.IsClosed && !life.IsOver)
        {
            entries.Clear();
            if (!capture.Log.TryRead(ref cursor, 100, entries, out var appended)) return;
            foreach (var entry in entries) Send(entry.For(to.Name));
            if (entries.Count == 0) await appended;
        }
    }

    private async Task<LogCursor> CatchUpAsync(NpgsqlLogSequenceNumber after)
    {
        cluster.Trace.Say(TraceEvent.Fault, from.Index, () => $"! reads its log again for {to.Name} after {after}");
        var reader = new CatchUpReader(life.Database, from.Name, to.Name, capture.Encoder);
        await foreach (var entry in reader.ReadAsync(capture.Checkpoint, after, connection.Closed))
        {
            Send(entry);
            if (entry.IsLastPart && capture.Log.TryOpenCursor(entry.Position, out var cursor)) return cursor;
        }

        throw new ReplicationException(ReplicationErrorKind.Transient, $"The catch-up stream for {to.Name} ended.");
    }

    private void Send(EncodedTransaction entry) => connection.Send(((CarriedTransaction)entry).Transaction);
}
