using ActiveActive.Apply;
using ActiveActive.Changes;
using ActiveActive.Progress;
using ActiveActive.Simulation.Time;
using NpgsqlTypes;

namespace ActiveActive.Simulation.Cluster;

/// <summary>The receiving side of one peer: what <see cref="Transport.PeerLink"/> does around the <see cref="ApplyWorker"/>, over the modelled network.</summary>
internal sealed class SimulatedLink(SimulatedNode node, SimulatedNode peer, NodeLife life, SimulatedCluster cluster)
{
    private const int CommitsPerFlush = 20;

    private readonly EventLoop _loop = cluster.Loop;
    private readonly ApplyClock _clock = new(node.Clock);

    public async Task RunAsync()
    {
        while (!life.IsOver)
        {
            try
            {
                await StreamAsync();
            }
            catch (ReplicationException e) when (e.Kind is ReplicationErrorKind.Transient or ReplicationErrorKind.InUse)
            {
                if (life.IsOver) return;
                cluster.Trace.Say(TraceEvent.Fault, node.Index, () => $"! link from {peer.Name} ends: {e.Message}");
                await _loop.Delay(_loop.Random.Between(100, 3000));
            }
        }
    }

    private async Task StreamAsync()
    {
        await using var session = await life.Database.OpenApplySessionAsync(peer.Name, life.Ended);
        var worker = new ApplyWorker(peer.Name, new ApplyContext(life.Database, life.Progress!, life.Capture!.Index, life.Keys!, new QuarantineRegister(life.Progress!), _ => { }), session, _clock);
        life.Progress!.AppliedOf(peer.Name).Advance(session.AppliedPosition);
        var durable = await session.FlushAsync(life.Ended);
        using var connection = cluster.Network.Connect(peer, node, durable);
        var commits = 0;
        while (true)
        {
            if (commits > 0 && (commits >= CommitsPerFlush || !connection.HasMore))
            {
                await worker.FlushAsync(life.Ended);
                commits = 0;
            }

            var part = await connection.ReceiveAsync(life.Ended);
            if (await ApplyAsync(worker, part)) commits++;
        }
    }

    private async ValueTask<bool> ApplyAsync(ApplyWorker worker, ChangeTransaction part)
    {
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                return await worker.ApplyAsync(part, life.Ended);
            }
            catch (ReplicationException e) when (e.Kind == ReplicationErrorKind.Transient && part is { Part: 0, IsLastPart: true } && attempt < 20 && !life.IsOver)
            {
                cluster.Trace.Say(TraceEvent.Fault, node.Index, () => $"! applies {peer.Name} {part.Position} again: {e.Message}");
                await _loop.Delay(_loop.Random.Between(1, 1 << Math.Min(attempt + 4, 14)));
            }
        }
    }
}
