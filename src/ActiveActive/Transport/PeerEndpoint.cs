namespace ActiveActive.Transport;

/// <summary>
/// What an inbound transport needs of a node. Hosting registers one as a singleton per node (keyed by the node's service key where the
/// application runs several); <c>MapActiveActive</c> resolves it.
/// </summary>
/// <param name="Acceptor">Takes the connections.</param>
/// <param name="SharedToken">What a dialler must show; null where only loopback may dial.</param>
/// <param name="Path">The path to answer on, see <see cref="ReplicationNodeOptions.Path"/>.</param>
internal sealed record PeerEndpoint(IPeerAcceptor Acceptor, string? SharedToken, string Path)
{
    /// <summary>When open connections must end; null for as soon as the host begins to stop.</summary>
    public CancellationToken? Stopping { get; init; }

    // The record's own text would print the secret.
    public override string ToString() => $"{nameof(PeerEndpoint)} {Path}";
}
