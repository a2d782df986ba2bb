using ActiveActive.Apply;
using ActiveActive.Changes;
using ActiveActive.Progress;
using ActiveActive.Simulation.Time;
using ActiveActive.Transport;
using NpgsqlTypes;

namespace ActiveActive.Simulation.Cluster;

/// <summary>The receiving side of one peer: what <see cref="Transport.PeerLink"/> does around the <see cref="ApplyWorker"/>, over the modelled network.</summary>
internal sealed class SimulatedLink(SimulatedNode node, SimulatedNode peer, NodeLife life, SimulatedCluster cluster)
{
    private const int CommitsPerFlush = 20;

    private static readonly ReplicationException s_refusal = new(ReplicationErrorKind.ApplyRefused, "The simulation refuses it.");

    private readonly EventLoop _loop = cluster.Loop;
    private readonly ApplyClock _clock = new(node.Clock);
    private NpgsqlLogSequenceNumber _putAside;
    private readonly PeerAbsence _absence = new(node.Clock, TimeSpan.FromMicroseconds(cluster.Options.RelayAfterMicroseconds));

    public async Task RunAsync()
    {
        // As with the real link: who is away longer is dialled less often.
        var failures = 0;
        while (!life.IsOver)
        {
            try
            {
                await StreamAsync(() => failures = 0);
                await _loop.Delay(_loop.Random.Between(100, 3000));
            }
            catch (ReplicationException e) when (e.Kind is ReplicationErrorKind.Transient or ReplicationErrorKind.InUse)
            {
                if (life.IsOver) return;
                cluster.Trace.Say(TraceEvent.Fault, node.Index, () => $"! link from {peer.Name} ends: {e.Message}");
                await _loop.Delay(_loop.Random.Between(100, 3000 << Math.Min(failures++, 4)));
            }
        }
    }

    private async Task StreamAsync(Action connected)
    {
        await using var session = await life.Database.OpenApplySessionAsync(peer.Name, life.Ended);
        var fetched = new FetchedRows((transaction, rows, _) => cluster.Network.FetchAsync(peer, node, transaction, rows));
        var worker = new ApplyWorker(peer.Name, life.Context, session, _clock, fetched);
        life.Quarantine!.Load(await life.Database.ReadQuarantineAsync(peer.Name, life.Ended), peer.Name);
        await life.Capture!.SettleProgressAsync(peer.Name, session, life.Ended);
        if (session.AppliedPosition < life.Progress!.AppliedOf(peer.Name).Current) throw new ReplicationException(ReplicationErrorKind.Transient, $"The database has lost commits of {peer.Name}.");
        life.Partings.GetValueOrDefault(peer.Name)?.Fence();
        life.Progress.AppliedOf(peer.Name).Advance(session.AppliedPosition);
        var durable = await session.FlushAsync(life.Ended);
        if (life.Quarantine!.Count > 0 && cluster.IsHealed) await RetryAsync(worker);
        using var connection = Open(durable);
        connected();
        var commits = 0;
        var isBusy = _loop.Random.Chance(50);
        PreparedPart? next = null;
        while (true)
        {
            if (commits > 0 && (commits >= CommitsPerFlush || (next is null && !connection.HasMore)))
            {
                await AcknowledgeAsync(worker);
                commits = 0;
            }

            var current = next;
            if (current is null)
            {
                var part = await connection.ReceiveAsync(life.Ended);
                // Where more arrives while something is applied, the next commit takes several.
                if (isBusy && !part.IsHeartbeat) await _loop.Delay(_loop.Random.Between(1, cluster.Options.LatencyMicroseconds * 4));
                current = worker.Prepare(await GatherAsync(worker, part, connection));
            }

            var applying = ApplyAsync(worker, current);
            try
            {
                // As in PeerLink: what is there already is made ready meanwhile.
                var isThere = !applying.IsCompleted && connection.Next is not null && !connection.EndsWith(current.Members[^1]);
                next = isThere ? worker.Prepare(await GatherAsync(worker, await connection.ReceiveAsync(life.Ended), connection)) : null;
            }
            finally
            {
                if (await applying) commits++;
            }

            var last = current.Members[^1];
            if (last.IsHeartbeat && life.Quarantine!.Count > 0 && (cluster.IsHealed || _loop.Random.Chance(20))) await RetryAsync(worker);
            if (connection.EndsWith(last)) break;
        }

        await AcknowledgeAsync(worker);
    }

    private async Task<bool> ApplyAsync(ApplyWorker worker, PreparedPart prepared)
    {
        if (prepared.Members is [var part]) return await ApplyAsync(worker, part, prepared);
        await ApplyGroupAsync(worker, prepared);
        return true;
    }

    private async ValueTask AcknowledgeAsync(ApplyWorker worker)
    {
        var position = await worker.FlushAsync(life.Ended);
        if (!life.IsOver) cluster.History.Acknowledge(node.Index, peer.Index, (ulong)position);
    }

    private async ValueTask<List<ChangeTransaction>> GatherAsync(ApplyWorker worker, ChangeTransaction first, SimulatedConnection connection)
    {
        var group = new List<ChangeTransaction> { first };
        if (cluster.Options.QuarantinePercent > 0 && _putAside == first.Position || !worker.CanJoin(first, null, 0, 0)) return group;
        for (var changes = first.Changes.Count; connection.Next is { } next && !connection.EndsWith(group[^1]) && worker.CanJoin(next, group[^1], group.Count, changes); changes += next.Changes.Count)
        {
            group.Add(await connection.ReceiveAsync(life.Ended));
        }

        return group;
    }

    private async ValueTask ApplyGroupAsync(ApplyWorker worker, PreparedPart prepared)
    {
        var group = prepared.Members;
        try
        {
            await worker.ApplyGroupAsync(prepared, life.Ended);
            cluster.Groups++;
        }
        catch (ReplicationException e) when (!life.IsOver)
        {
            cluster.Trace.Say(TraceEvent.Fault, node.Index, () => $"! applies {group.Count} transactions of {peer.Name} one by one: {e.Message}");
            foreach (var part in group) await ApplyAsync(worker, part, new PreparedPart([part]));
        }
    }

    /// <summary>As <see cref="PeerDialler"/>: the peer, or while that is away, the node that has most of its transactions.</summary>
    private SimulatedConnection Open(NpgsqlLogSequenceNumber durable)
    {
        if (life.Partings.ContainsKey(peer.Name))
        {
            return cluster.Network.FindRelay(peer, node, durable) ?? throw new ReplicationException(ReplicationErrorKind.Transient, $"{peer.Name} is being parted, and nobody has more of it.");
        }

        _absence.Begin();
        try
        {
            var connection = cluster.Network.Connect(peer, node, durable);
            _absence.End();
            return connection;
        }
        catch (ReplicationException) when (_absence.IsDue(life.Progress!.AppliedOf(peer.Name).IsAwaited))
        {
            if (cluster.Network.FindRelay(peer, node, durable) is not { } relay) throw;
            cluster.Trace.Say(TraceEvent.Fault, node.Index, () => $"! takes transactions of {peer.Name} from {cluster.Nodes[relay.Via].Name}, after {durable} up to {relay.Reach}");
            return relay;
        }
    }

    private async ValueTask<bool> ApplyAsync(ApplyWorker worker, ChangeTransaction part, PreparedPart prepared)
    {
        for (var attempt = 1; ; attempt++, prepared = new PreparedPart([part]))
        {
            try
            {
                return IsPutAside(part)
                    ? await worker.QuarantineAsync(part, Refusal.After(null, part, s_refusal, DateTimeOffset.UnixEpoch), life.Ended) is not null
                    : await worker.ApplyAsync(prepared, life.Ended);
            }
            catch (BehindQuarantineException)
            {
                _putAside = part.Position;
                if (part is not { Part: 0, IsLastPart: true }) throw new ReplicationException(ReplicationErrorKind.Transient, "It comes again, to be put into quarantine.");
            }
            catch (ReplicationException e) when (e.Kind == ReplicationErrorKind.Transient && part is { Part: 0, IsLastPart: true } && attempt < 20 && !life.IsOver)
            {
                cluster.Trace.Say(TraceEvent.Fault, node.Index, () => $"! applies {peer.Name} {part.Position} again: {e.Message}");
                await _loop.Delay(_loop.Random.Between(1, 1 << Math.Min(attempt + 4, 14)));
            }
        }
    }

    private bool IsPutAside(ChangeTransaction part)
    {
        if (part.IsHeartbeat) return false;
        if (part.Part == 0 && cluster.Options.QuarantinePercent > 0 && !cluster.IsHealed && _loop.Random.Chance(cluster.Options.QuarantinePercent)) _putAside = part.Position;
        return _putAside == part.Position;
    }

    /// <summary>What somebody does now and then, entry by entry, and for all once the faults are over.</summary>
    private async Task RetryAsync(ApplyWorker worker)
    {
        foreach (var entry in await life.Database.ReadQuarantineAsync(peer.Name, life.Ended))
        {
            if ((!cluster.IsHealed && !_loop.Random.Chance(20)) || !life.Quarantine!.IsFree(entry)) continue;
            cluster.Trace.Say(TraceEvent.Fault, node.Index, () => $"! retries {peer.Name} {entry.Position}");
            await worker.RetryAsync(entry, life.Ended);
        }
    }
}
