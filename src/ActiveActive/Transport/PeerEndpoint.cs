using ActiveActive.Credentials;

namespace ActiveActive.Transport;

/// <summary>
/// What an inbound transport needs of a node. Hosting registers one as a singleton per node (keyed by the node's service key where the
/// application runs several); <c>MapActiveActive</c> resolves it.
/// </summary>
/// <param name="Acceptor">Takes the connections.</param>
/// <param name="Path">The path to answer on, see <see cref="ReplicationNodeOptions.Path"/>.</param>
/// <param name="Credentials">What a dialler may show.</param>
internal sealed record PeerEndpoint(IPeerAcceptor Acceptor, string Path, CredentialStore Credentials)
{
    /// <summary>With a shared token, or none, and no peers.</summary>
    public PeerEndpoint(IPeerAcceptor acceptor, string? sharedToken, string path)
        : this(acceptor, path, CredentialStore.Of(new ReplicationNodeOptions { SharedToken = sharedToken }, TimeProvider.System))
    {
    }

    /// <summary>When open connections must end; null for as soon as the host begins to stop.</summary>
    public CancellationToken? Stopping { get; init; }

    /// <summary>
    /// Whether a dialler whose credential speaks for nobody is turned away before it can say a word. Not where the application has a policy of its own, which may
    /// know the dialler by other means.
    /// </summary>
    public bool TurnsStrangersAway { get; init; } = true;

    // No part of it is for a log.
    public override string ToString() => $"{nameof(PeerEndpoint)} {Path}";
}
