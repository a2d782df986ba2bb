using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace ActiveActive.Diagnostics;

/// <summary>
/// Healthy while the node runs and hears every peer, or stands by for another instance that does; degraded where a peer is away, holds, is refused or paused, a
/// transaction is in quarantine, or unique keys differ from a peer's (local writes go on
/// and nothing is lost); unhealthy where the node itself does not replicate.
/// </summary>
internal sealed class ReplicationHealthCheck(ReplicationNode node) : IHealthCheck
{
    public Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default)
    {
        var status = node.Status;
        if (status.State == NodeState.Standby)
        {
            var leader = status.Leader ?? "another instance";
            return Task.FromResult(HealthCheckResult.Healthy($"Node '{status.Node}' stands by: {leader} leads.", new Dictionary<string, object> { ["leader"] = leader }));
        }

        var data = status.Peers.ToDictionary(p => p.Peer.Value, p => (object)$"{p.Receiving}, lag {p.LagBytes} bytes, {p.LagTime.TotalSeconds:0.0} s");
        foreach (var key in status.ForeignKeys.Where(k => k.Orphans > 0 || k.Quarantined > 0 || k.Message is not null))
        {
            data[$"{key.Table} {key.Constraint}"] = $"{key.Orphans} orphans ({key.Policy}), {key.Quarantined} out of sight{(key.Message is null ? "" : $". {key.Message}")}";
        }

        if (status.State != NodeState.Running)
        {
            return Task.FromResult(HealthCheckResult.Unhealthy($"Node '{status.Node}' is {status.State}. {status.Message}", data: data));
        }

        var troubles = status.Peers.Where(p => p.Receiving is not (PeerLinkState.Streaming or PeerLinkState.Expected) || p.Message is not null).Select(p => $"Peer '{p.Peer}' is {p.Receiving}. {p.Message}").ToList();
        troubles.AddRange(status.Peers.Where(p => p.UniqueKeyDifferences.Count > 0).Select(p => $"Unique keys differ from peer '{p.Peer}': {string.Join("; ", p.UniqueKeyDifferences.Take(5))}{(p.UniqueKeyDifferences.Count > 5 ? "; …" : "")}."));
        if (status.Quarantined > 0) troubles.Add($"{status.Quarantined} transactions are in quarantine: read active_active.quarantine, mend the causes, retry.");
        return Task.FromResult(troubles.Count == 0
            ? HealthCheckResult.Healthy($"Node '{status.Node}' replicates with {status.Peers.Count} peers.", data)
            : HealthCheckResult.Degraded(string.Join(" ", troubles), data: data));
    }
}
