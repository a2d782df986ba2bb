using ActiveActive.Apply;
using ActiveActive.Changes;
using NpgsqlTypes;

namespace ActiveActive.Transport;

/// <summary>Counters and positions of a <see cref="PeerLink"/>; written by its loops, read by anyone.</summary>
internal sealed class PeerLinkStatus
{
    private readonly Lock _lock = new();
    private string? _reported;

    public PeerLinkState State { get; private set; }

    public string? Message { get; private set; }

    public NpgsqlLogSequenceNumber ReceivedPosition { get; private set; }

    public NpgsqlLogSequenceNumber AppliedPosition { get; private set; }

    public CommitTimestamp AppliedStamp { get; private set; } = CommitTimestamp.Unknown;

    public CommitTimestamp ReceivedStamp { get; private set; } = CommitTimestamp.Unknown;

    /// <summary>The node that the peer's transactions come from instead of the peer; null while they come from itself.</summary>
    public NodeName? RelayedBy { get; set; }

    public long ReceivedTransactions { get; private set; }

    public long AppliedTransactions { get; private set; }

    public long Retries { get; private set; }

    /// <summary>The worker of the connection under way.</summary>
    public ApplyWorker? Worker { get; set; }

    public void Enter(PeerLinkState state, string? message)
    {
        lock (_lock)
        {
            State = state;
            Message = message;
            if (state == PeerLinkState.Streaming) _reported = null;
        }
    }

    /// <summary>Whether a fault differs from the last one reported: a fault that goes on is logged once.</summary>
    public bool IsNews(string message)
    {
        lock (_lock)
        {
            if (_reported == message) return false;
            _reported = message;
            return true;
        }
    }

    public void Received(ChangeTransaction transaction)
    {
        lock (_lock)
        {
            if (transaction.Position > ReceivedPosition) ReceivedPosition = transaction.Position;
            if (transaction is { IsHeartbeat: false, IsLastPart: true }) ReceivedTransactions++;
            if (transaction.Stamp > ReceivedStamp) ReceivedStamp = transaction.Stamp;
        }
    }

    public void Applied(NpgsqlLogSequenceNumber position)
    {
        lock (_lock) AppliedPosition = position;
    }

    public void Applied(NpgsqlLogSequenceNumber position, CommitTimestamp stamp, int transactions = 1)
    {
        lock (_lock)
        {
            AppliedPosition = position;
            AppliedStamp = stamp;
            AppliedTransactions += transactions;
        }
    }

    /// <summary>A heartbeat was reached: everything before it is applied.</summary>
    public void CaughtUp(NpgsqlLogSequenceNumber position, CommitTimestamp stamp)
    {
        lock (_lock)
        {
            if (position > AppliedPosition) AppliedPosition = position;
            if (stamp > AppliedStamp) AppliedStamp = stamp;
        }
    }

    public void Retried()
    {
        lock (_lock) Retries++;
    }
}
