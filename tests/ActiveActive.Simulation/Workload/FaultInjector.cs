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

            if (options.Deaths && cluster.History.Dead.Count == 0 && cluster.Nodes.Count > 2 && _loop.Random.Chance(10))
            {
                _loop.Random.Pick(cluster.Nodes).Die();
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
