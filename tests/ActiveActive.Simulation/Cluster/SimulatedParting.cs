using ActiveActive.Changes;
using ActiveActive.Database;
using ActiveActive.Diagnostics;
using ActiveActive.Membership;
using NpgsqlTypes;

namespace ActiveActive.Simulation.Cluster;

/// <summary>How one node sees a member out: what <see cref="Parting"/> does, without the frames between them.</summary>
internal sealed class SimulatedParting(NodeName leaving, SimulatedNode node, NodeLife life, SimulatedCluster cluster)
{
    private readonly TaskCompletionSource _fenced = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public void Fence() => _fenced.TrySetResult();

    /// <summary>A node begins to part another.</summary>
    public static async Task BeginAsync(SimulatedNode node, NodeName leaving, SimulatedCluster cluster)
    {
        if (node.Life is not { IsOver: false, Capture: not null } life || life.Refuses(leaving)) return;
        await life.Database.SaveMembersAsync([new Member(leaving, MemberState.Parting) { Reason = "the simulation" }], life.Ended);
        cluster.Trace.Say(TraceEvent.Fault, node.Index, () => $"! parts {leaving}");
        life.End();
        node.StartLater();
    }

    public async Task RunAsync()
    {
        await UnlessOver(_fenced.Task);
        var reach = await life.Capture!.ReadReachAsync(leaving, life.Ended);
        foreach (var other in cluster.Nodes.Where(n => n != node && n.Name != leaving && !Safeguards.IsOff(Safeguard.SettleBeforeParted)))
        {
            var has = await AskAsync(other);
            if (has > reach) reach = has;
        }

        await life.Progress!.WaitForDependenciesAsync(DependencyVector.Of([new(leaving, reach)]), life.Ended);
        await life.Capture.ReadReachAsync(leaving, life.Ended);
        while ((await life.Database.ReadQuarantineAsync(leaving, life.Ended)).Count > 0) await cluster.Loop.Delay(cluster.Loop.Random.Between(100, 5000));
        life.Ended.ThrowIfCancellationRequested();
        await life.Database.SaveMembersAsync([new Member(leaving, MemberState.Parted) { Reason = "the simulation", Reach = reach }], life.Ended);
        cluster.Trace.Say(TraceEvent.Fault, node.Index, () => $"! has parted {leaving}, whose transactions end with {reach}");
        life.End();
        node.StartLater();
    }

    private async Task<NpgsqlLogSequenceNumber> AskAsync(SimulatedNode other)
    {
        while (true)
        {
            life.Ended.ThrowIfCancellationRequested();
            try
            {
                await cluster.Loop.Delay(cluster.Loop.Random.Between(1, cluster.Options.LatencyMicroseconds * 2));
                var asked = cluster.Network.Reach(other, node);
                if (asked.Parted.TryGetValue(leaving, out var end)) return end;
                if (asked.Partings.TryGetValue(leaving, out var parting))
                {
                    var reach = await parting.ReadReachAsync();
                    await cluster.Loop.Delay(cluster.Loop.Random.Between(1, cluster.Options.LatencyMicroseconds * 2));
                    return reach;
                }

                await BeginAsync(other, leaving, cluster);
            }
            catch (Exception e) when (e is ReplicationException or OperationCanceledException)
            {
                // Not there, or its life has ended meanwhile.
            }

            await cluster.Loop.Delay(cluster.Loop.Random.Between(100, 5000));
        }
    }

    private async Task<NpgsqlLogSequenceNumber> ReadReachAsync()
    {
        await UnlessOver(_fenced.Task);
        return await life.Capture!.ReadReachAsync(leaving, life.Ended);
    }

    private async Task UnlessOver(Task task)
    {
        // Not WaitAsync: its continuation would run on another thread.
        while (!task.IsCompleted)
        {
            life.Ended.ThrowIfCancellationRequested();
            await cluster.Loop.Delay(cluster.Loop.Random.Between(10, 500));
        }
    }
}
