using NpgsqlTypes;

namespace ActiveActive;

/// <summary>What a node is doing.</summary>
public enum NodeState
{
    /// <summary>Not started, or stopped.</summary>
    Stopped,

    /// <summary>Connecting to its database and setting it up; tried again until it works.</summary>
    Starting,

    /// <summary>Another instance of the application leads this node (<see cref="NodeStatus.Leader"/>); this one takes over when that one ends. All is well.</summary>
    Standby,

    /// <summary>Copying its data from another node before it becomes a member (<see cref="ReplicationNodeOptions.JoinFrom"/>); <see cref="NodeStatus.Join"/> says how far.</summary>
    Joining,

    /// <summary>Capturing, and applying what its peers send.</summary>
    Running,

    /// <summary>The database is not fit to replicate, or can't be reached: <see cref="NodeStatus.Message"/> says why; tried again regularly.</summary>
    Faulted,
}

/// <summary>A node as it is now.</summary>
public sealed record NodeStatus
{
    /// <summary>The node.</summary>
    public required NodeName Node { get; init; }

    /// <summary>What it is doing.</summary>
    public required NodeState State { get; init; }

    /// <summary>What went wrong last, and what to do; null while all is well.</summary>
    public string? Message { get; init; }

    /// <summary>While the node stands by: the machine, process and client address of the instance that leads, as the database server sees it. Null where that is not known, and in other states.</summary>
    public string? Leader { get; init; }

    /// <summary>The machine's name and the process id of this instance.</summary>
    public string? Instance { get; init; }

    /// <summary>The version of this library.</summary>
    public string? LibraryVersion { get; init; }

    /// <summary>The version of its PostgreSQL, as <c>server_version_num</c>; 0 while that is not known, and in memory.</summary>
    public int ServerVersion { get; init; }

    /// <summary>How far the copy of the data is while <see cref="State"/> is <see cref="NodeState.Joining"/>; null before and after.</summary>
    public JoinStatus? Join { get; init; }

    /// <summary>The last local transaction that was published to peers.</summary>
    public NpgsqlLogSequenceNumber PublishedPosition { get; init; }

    /// <summary>Local transactions published since the start.</summary>
    public long PublishedTransactions { get; init; }

    /// <summary>Where capture would begin again: the latest place in the log of which every member is known to have what lies before it.</summary>
    public NpgsqlLogSequenceNumber CheckpointPosition { get; init; }

    /// <summary>WAL that the node's slot holds back, in bytes; <see cref="PeerStatus.RetainedBytes"/> says for whom.</summary>
    public long RetainedBytes { get; init; }

    /// <summary>Conflicts recorded since the start.</summary>
    public long Conflicts { get; init; }

    /// <summary>Transactions in quarantine: see <see cref="ReplicationNode.Quarantine"/>.</summary>
    public int Quarantined { get; init; }

    /// <summary>
    /// The tables in which rows have lost a unique value to a later write: see <see cref="ReplicationNode.ReadHiddenRowsAsync"/>. A table can stay
    /// named for a moment after its last such row is back.
    /// </summary>
    public IReadOnlyList<TableName> TablesWithHiddenRows { get; init; } = [];

    /// <summary>The foreign keys of the replicated tables as the last check found them, by table and name; empty before the first (<see cref="ReplicationNodeOptions.OrphanCheckInterval"/>).</summary>
    public IReadOnlyList<ForeignKeyStatus> ForeignKeys { get; init; } = [];

    /// <summary>The peers, in name order.</summary>
    public required IReadOnlyList<PeerStatus> Peers { get; init; }
}

/// <summary>A peer as this node sees it.</summary>
public sealed record PeerStatus
{
    /// <summary>The peer.</summary>
    public required NodeName Peer { get; init; }

    /// <summary>Where its instances are dialled, as the options say.</summary>
    public IReadOnlyList<Uri> Addresses { get; init; } = [];

    /// <summary>Whether it belongs to the cluster.</summary>
    public PeerMembership Membership { get; init; }

    /// <summary>Whether its transactions are not to be applied until somebody resumes it; see <see cref="ReplicationNode.PausePeerAsync"/>.</summary>
    public bool IsPaused { get; init; }

    /// <summary>The protocol that both speak, as of when the peer dialled last; null before, and where they have none in common.</summary>
    public int? Protocol { get; init; }

    /// <summary>The version of its library, as it said when it dialled last; null before.</summary>
    public string? LibraryVersion { get; init; }

    /// <summary>The version of its PostgreSQL, as <c>server_version_num</c>, as it said when it dialled last; 0 before.</summary>
    public int ServerVersion { get; init; }

    /// <summary>The settings that must agree and did not when the peer dialled last, each by its name and with both values: it is refused until they do. Empty where they agree.</summary>
    public IReadOnlyList<string> SettingDifferences { get; init; } = [];

    /// <summary>Receiving from the peer.</summary>
    public required PeerLinkState Receiving { get; init; }

    /// <summary>Sending to the peer.</summary>
    public required PeerFeedState Sending { get; init; }

    /// <summary>What went wrong last with receiving, and what to do; null while all is well.</summary>
    public string? Message { get; init; }

    /// <summary>
    /// Unique keys of replicated tables that only one of this node and the peer has, as the peer told them last. Rows can differ until every node has
    /// the same. Looked at every 10 s; empty where they agree.
    /// </summary>
    public IReadOnlyList<string> UniqueKeyDifferences { get; init; } = [];

    /// <summary>The peer's last transaction (or heartbeat) that is applied here, in the peer's log.</summary>
    public NpgsqlLogSequenceNumber AppliedPosition { get; init; }

    /// <summary>The furthest position received from the peer.</summary>
    public NpgsqlLogSequenceNumber ReceivedPosition { get; init; }

    /// <summary>Received but not applied yet, in bytes of the peer's log.</summary>
    public long LagBytes { get; init; }

    /// <summary>How far the applied stamp is behind the newest received one; zero when all that was received is applied.</summary>
    public TimeSpan LagTime { get; init; }

    /// <summary>
    /// The peer that relays this one's transactions while it can't be reached; null while they come from the peer itself. It stays named until
    /// the peer is reached again.
    /// </summary>
    public NodeName? RelayedBy { get; init; }

    /// <summary>The peer's transactions received since the start, from whomever, repetitions after a lost connection included.</summary>
    public long ReceivedTransactions { get; init; }

    /// <summary>The peer's transactions applied (or put into quarantine) since the start.</summary>
    public long AppliedTransactions { get; init; }

    /// <summary>Transactions tried again after a transient fault.</summary>
    public long Retries { get; init; }

    /// <summary>How far the peer's clock was ahead of the local database server's at the last transaction that had to wait.</summary>
    public TimeSpan ClockAhead { get; init; }

    /// <summary>The last position of this node's log that was sent to the peer.</summary>
    public NpgsqlLogSequenceNumber SentPosition { get; init; }

    /// <summary>The last position of this node's log that the peer has durably applied.</summary>
    public NpgsqlLogSequenceNumber AcknowledgedPosition { get; init; }

    /// <summary>WAL of this node that is kept for the peer, in bytes, as of the last heartbeat: what lies behind the place up to which the peer has told that it has all.</summary>
    public long RetainedBytes { get; init; }

    /// <summary>When that reaches <see cref="ReplicationNodeOptions.WalBudget"/>, if WAL grows as in the last 5 minutes; null where there is no budget, or nothing grows.</summary>
    public TimeSpan? TimeToWalBudget { get; init; }
}
