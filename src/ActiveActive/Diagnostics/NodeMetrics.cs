using System.Diagnostics;
using System.Diagnostics.Metrics;

namespace ActiveActive.Diagnostics;

/// <summary>
/// The meter <c>ActiveActive</c>. Units: transactions and conflicts by count, lag in bytes and seconds, retained WAL in bytes.
/// Tags: <c>node</c>, <c>peer</c>, <c>type</c>, <c>table</c>, <c>constraint</c>.
/// </summary>
internal sealed class NodeMetrics : IDisposable
{
    public const string Name = "ActiveActive";

    public static readonly ActivitySource Activities = new(Name);

    private readonly Meter _meter = new(Name);
    private readonly Counter<long> _conflicts;
    private readonly KeyValuePair<string, object?> _node;

    public NodeMetrics(ReplicationNode node)
    {
        _node = new("node", node.Name.Value);
        _conflicts = _meter.CreateCounter<long>("active_active.conflicts", "{conflict}", "Conflicts recorded on this node");
        _meter.CreateObservableCounter("active_active.transactions.published", () => new Measurement<long>(node.Status.PublishedTransactions, _node), "{transaction}", "Local transactions published to peers");
        _meter.CreateObservableCounter("active_active.transactions.applied", () => PerPeer(node, p => p.AppliedTransactions), "{transaction}", "Transactions of a peer applied here");
        _meter.CreateObservableCounter("active_active.transactions.retried", () => PerPeer(node, p => p.Retries), "{transaction}", "Transactions applied again after a transient fault");
        _meter.CreateObservableGauge("active_active.leads", () => new Measurement<int>(node.Status.State == NodeState.Running ? 1 : 0, _node), "{instance}", "1 where this instance replicates, 0 where it stands by or can't");
        _meter.CreateObservableGauge("active_active.lag.bytes", () => PerPeer(node, p => p.LagBytes), "By", "Received from a peer but not applied");
        _meter.CreateObservableGauge("active_active.lag.time", () => node.Status.Peers.Select(p => new Measurement<double>(p.LagTime.TotalSeconds, _node, new("peer", p.Peer.Value))), "s", "How far the applied stamp is behind the newest received one");
        _meter.CreateObservableGauge("active_active.quarantined", () => new Measurement<int>(node.Status.Quarantined, _node), "{transaction}", "Transactions in quarantine");
        _meter.CreateObservableGauge("active_active.orphans", () => PerForeignKey(node, k => k.Orphans), "{row}", "Rows whose foreign key names a missing row");
        _meter.CreateObservableGauge("active_active.orphans.quarantined", () => PerForeignKey(node, k => k.Quarantined), "{row}", "Rows out of sight because their foreign key names a missing row");
        _meter.CreateObservableGauge("active_active.wal.retained", () => new Measurement<long>(node.Status.RetainedBytes, _node), "By", "WAL held back by the node's slot");
        _meter.CreateObservableGauge("active_active.wal.retained.peer", () => PerPeer(node, p => p.RetainedBytes), "By", "WAL kept for a peer");
        _meter.CreateObservableGauge("active_active.wal.time_to_budget", () => node.Status.Peers.Where(p => p.TimeToWalBudget is not null).Select(p => new Measurement<double>(p.TimeToWalBudget!.Value.TotalSeconds, _node, new("peer", p.Peer.Value))), "s", "When the WAL kept for a peer reaches the budget, as it grows now");
    }

    public void ConflictRecorded(ConflictRecord record) =>
        _conflicts.Add(1, _node, new("peer", record.RemoteVersion.Origin.Value), new("type", record.Type.ToString()));

    public void Dispose() => _meter.Dispose();

    private IEnumerable<Measurement<int>> PerForeignKey(ReplicationNode node, Func<ForeignKeyStatus, int> value) =>
        [.. node.Status.ForeignKeys.Select(k => new Measurement<int>(value(k), _node, new("table", k.Table.ToString()), new("constraint", k.Constraint)))];

    private IEnumerable<Measurement<long>> PerPeer(ReplicationNode node, Func<PeerStatus, long> value) =>
        [.. node.Status.Peers.Select(p => new Measurement<long>(value(p), _node, new("peer", p.Peer.Value)))];
}
