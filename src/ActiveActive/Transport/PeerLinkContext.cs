using ActiveActive.Database;
using ActiveActive.Routes;

namespace ActiveActive.Transport;

/// <summary>What every <see cref="PeerLink"/> of a node shares.</summary>
internal sealed record PeerLinkContext
{
    public required ILocalDatabase Database { get; init; }

    /// <summary>All of them, in name order.</summary>
    public required IReadOnlyList<PeerAddresses> Peers { get; init; }

    /// <summary>See <see cref="ReplicationNodeOptions.RelayAfter"/>.</summary>
    public required TimeSpan RelayAfter { get; init; }

    /// <summary>Which nodes hold which tables.</summary>
    public required TableRoutes Routes { get; init; }

    public required IPeerTransport Transport { get; init; }

    public required NodeName Self { get; init; }

    public required TimeProvider TimeProvider { get; init; }

    public required Action<IReadOnlyList<ConflictRecord>> ConflictsRecorded { get; init; }

    /// <summary>What becomes of transactions that can't be applied, by table.</summary>
    public required Func<TableName, ApplyErrorPolicy> OnApplyError { get; init; }

    /// <summary>The unique keys of this node's tables, which peers are told; another list once they are others.</summary>
    public required Func<IReadOnlyList<UniqueKey>> UniqueKeys { get; init; }

    public required TimeSpan ReconnectDelay { get; init; }

    public required TimeSpan MaxReconnectDelay { get; init; }

    /// <summary>A connection that says nothing for so long is dead: heartbeats come far more often.</summary>
    public required TimeSpan ReadTimeout { get; init; }

    public required int MaxFrameBytes { get; init; }

    /// <summary>Whether a peer is asked to compress what it sends.</summary>
    public required Func<PeerAddress, bool> TakesCompressed { get; init; }
}
