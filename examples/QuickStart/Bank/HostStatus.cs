using ActiveActive;

namespace QuickStart.Bank;

/// <summary>A node's status as JSON.</summary>
internal sealed record HostStatus(string Node, NodeState State, string? Message, ulong PublishedPosition, long PublishedTransactions, long Conflicts, IReadOnlyList<HostPeerStatus> Peers)
{
    public static HostStatus Of(NodeStatus status) => new(
        status.Node.Value, status.State, status.Message, (ulong)status.PublishedPosition, status.PublishedTransactions, status.Conflicts,
        [.. status.Peers.Select(HostPeerStatus.Of)]);
}

/// <summary>A peer's status as JSON.</summary>
internal sealed record HostPeerStatus(string Peer, PeerLinkState Receiving, string? Message, ulong AppliedPosition, long AppliedTransactions, double LagSeconds)
{
    public static HostPeerStatus Of(PeerStatus status) => new(
        status.Peer.Value, status.Receiving, status.Message, (ulong)status.AppliedPosition, status.AppliedTransactions, status.LagTime.TotalSeconds);
}

/// <summary>An entry of the conflict history as JSON.</summary>
internal sealed record ConflictView(DateTimeOffset RecordedAt, string Table, IReadOnlyList<string> Key, ConflictType Type, Row? Local, Row? Remote, ConflictOutcome Outcome, string Winner, string Reason)
{
    public static ConflictView Of(ConflictRecord record) => new(
        record.RecordedAt, record.Table.ToString(), record.Key, record.Type, record.LocalRow, record.RemoteRow, record.Outcome, record.Winner.Value, record.Reason);
}
