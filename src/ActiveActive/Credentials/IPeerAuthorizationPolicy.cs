namespace ActiveActive;

/// <summary>
/// Decides whether a peer that dials may have what it asks for. Register one in dependency injection, as a singleton (under the node's service key where it has
/// one), to replace <see cref="PeerCredentialPolicy"/>; call that one from it to add to the rule.
/// </summary>
/// <remarks>
/// Asked once for each connection, after the peer has said who it is and before anything about this node is told to it, and again whenever the node's credentials change: a stream
/// that is refused then ends. Calls come concurrently. One that throws counts as a refusal.
/// With a policy of its own the application also hears of diallers that have shown no valid credential; with the default one those are turned away before they can speak.
/// </remarks>
public interface IPeerAuthorizationPolicy
{
    /// <summary>Allows or refuses. The reason of a refusal is sent to the peer and logged on both sides.</summary>
    ValueTask<PeerAuthorization> AuthorizeAsync(PeerAuthorizationContext context, CancellationToken cancellationToken);
}
