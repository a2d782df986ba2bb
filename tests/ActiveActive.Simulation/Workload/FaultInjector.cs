using ActiveActive.Simulation.Cluster;
using ActiveActive.Simulation.Time;

namespace ActiveActive.Simulation.Workload;

/// <summary>Breaks what the options allow while the workload runs; <see cref="Heal"/> ends it.</summary>
internal sealed class FaultInjector(SimulatedCluster cluster)
{
    private readonly EventLoop _loop = cluster.Loop;

    public async Task RunAsync()
    {
        var options = cluster.Options;
        while (!cluster.IsHealed)
        {
            await _loop.Delay(_loop.Random.Between(100, 20_000));
            if (cluster.IsHealed) return;
            if (options.NetworkFaults) BreakNetwork();
            if (options.SlowCapture && _loop.Random.Chance(50))
            {
                var node = _loop.Random.Pick(cluster.Nodes);
                node.CaptureStalledUntil = _loop.Now + _loop.Random.Between(100, 30_000);
                cluster.Trace.Say(TraceEvent.Fault, node.Index, () => $"! capture stalls until {node.CaptureStalledUntil}");
            }

            if (options.Deaths && cluster.History is { Dead.Count: 0, HaveAllWhatWasCopied: true } && cluster.Nodes.Count > 2 && _loop.Random.Chance(10))
            {
                var leaving = _loop.Random.Pick(cluster.Nodes);
                if (options.HasParting && _loop.Random.Chance(60)) leaving.Leave();
                else leaving.Die();
                if (options.HasParting) _ = PartAsync(leaving);
            }

            if (options.ClockStepMicroseconds > 0 && _loop.Random.Chance(30))
            {
                var node = _loop.Random.Pick(cluster.Nodes);
                var delta = _loop.Random.Between(-options.ClockStepMicroseconds, options.ClockStepMicroseconds) / options.GranuleMicroseconds * options.GranuleMicroseconds;
                node.Clock.Step(delta);
                cluster.Trace.Say(TraceEvent.Fault, node.Index, () => $"! clock is set by {delta}");
            }

            if (options.Crashes && _loop.Random.Chance(30))
            {
                var node = _loop.Random.Pick(cluster.Nodes);
                if (node.IsDead) continue;
                if (_loop.Random.Chance(50)) node.CrashHost();
                else if (node.Database.IsRunning && options.LateNotice && _loop.Random.Chance(70)) node.CrashDatabase(_loop.Random.Between(1, 1000), _loop.Random.Between(1, 60_000));
                else if (node.Database.IsRunning) node.CrashDatabase(_loop.Random.Between(1, 20_000));
            }
        }
    }

    /// <summary>One or more of the others part a node that died, or that they believe to be dead.</summary>
    private async Task PartAsync(SimulatedNode leaving)
    {
        var others = cluster.Nodes.Where(n => n != leaving).ToList();
        for (var times = _loop.Random.Between(1, others.Count); times > 0; times--)
        {
            await _loop.Delay(_loop.Random.Between(0, 40_000));
            while (!others.Exists(n => n.Life is { IsOver: false, Capture: not null })) await _loop.Delay(1000);
            await TryPartAsync(_loop.Random.Pick(others.Where(n => n.Life is { IsOver: false, Capture: not null }).ToList()), leaving);
        }

        // What was broken off by a crash is begun again.
        while (!others.Exists(n => n.HasBegunToPart(leaving)))
        {
            await _loop.Delay(1000);
            await TryPartAsync(_loop.Random.Pick(others), leaving);
        }

        while (!others.TrueForAll(n => n.Life?.Parted.ContainsKey(leaving.Name) == true)) await _loop.Delay(500);
        if (!leaving.IsDead) await new SimulatedJoin(leaving, cluster).RunAsync();
        else leaving.IsParted = true;
    }

    private async Task TryPartAsync(SimulatedNode node, SimulatedNode leaving)
    {
        try
        {
            await SimulatedParting.BeginAsync(node, leaving.Name, cluster);
        }
        catch (Exception e) when (e is ReplicationException or OperationCanceledException)
        {
            // It crashed meanwhile.
        }
    }

    public void Heal()
    {
        cluster.IsHealed = true;
        cluster.Network.Heal();
        foreach (var node in cluster.Nodes) node.CaptureStalledUntil = 0;
    }

    private void BreakNetwork()
    {
        var a = _loop.Random.Next(cluster.Nodes.Count);
        var b = (a + 1 + _loop.Random.Next(cluster.Nodes.Count - 1)) % cluster.Nodes.Count;
        var until = _loop.Now + _loop.Random.Between(100, 60_000);
        switch (_loop.Random.Next(3))
        {
            case 0:
                cluster.Trace.Say(TraceEvent.Fault, a, () => $"! connections with {cluster.Nodes[b].Name} are cut");
                cluster.Network.Cut(a, b);
                break;
            case 1:
                cluster.Trace.Say(TraceEvent.Fault, a, () => $"! partition from {cluster.Nodes[b].Name} until {until}");
                cluster.Network.Partition(a, b, until, cut: _loop.Random.Chance(50));
                break;
            default:
                cluster.Trace.Say(TraceEvent.Fault, a, () => $"! stream to {cluster.Nodes[b].Name} stalls until {until}");
                cluster.Network.Stall(a, b, until);
                break;
        }
    }
}
