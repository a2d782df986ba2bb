namespace ActiveActive;

/// <summary>
/// The policy of a node that is given no other: a peer that has a certificate or token of its own in the options must have shown one of them; any other peer must have shown
/// a shared token, or where none is set, be on loopback.
/// </summary>
public sealed class PeerCredentialPolicy : IPeerAuthorizationPolicy
{
    /// <inheritdoc/>
    public ValueTask<PeerAuthorization> AuthorizeAsync(PeerAuthorizationContext context, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(context);
        return new(Authorize(context));
    }

    private static PeerAuthorization Authorize(PeerAuthorizationContext context)
    {
        if (context.ProvenByCertificate.Contains(context.Peer) || context.ProvenByToken.Contains(context.Peer)) return PeerAuthorization.Allowed;
        if (!context.IsProofRequired && context.IsAdmitted) return PeerAuthorization.Allowed;
        var proven = context.ProvenByCertificate.Union(context.ProvenByToken).Order().ToList();
        var shown = proven.Count > 0 ? $"It has shown a credential of '{string.Join("', '", proven)}'."
            : context.IsAdmitted ? "It has shown none of its own."
            : "It has shown none that is known here.";
        return PeerAuthorization.Refused(context.IsProofRequired
            ? $"The dialler claims to be '{context.Peer}', for whom node '{context.Node}' lists a certificate or token. {shown} List what '{context.Peer}' shows in AddPeer(\"{context.Peer}\", …) on node '{context.Node}', or mend what it shows."
            : $"The dialler claims to be '{context.Peer}', for whom node '{context.Node}' lists no credential, and has not shown the shared token. {shown}");
    }
}
