using System.Net;
using System.Security.Claims;
using System.Security.Cryptography.X509Certificates;

namespace ActiveActive;

/// <summary>Who dials, what it has shown, and what it asks for.</summary>
public sealed class PeerAuthorizationContext
{
    /// <summary>The node that is dialled.</summary>
    public required NodeName Node { get; init; }

    /// <summary>The name that the dialler claims. Only <see cref="ProvenByCertificate"/> and <see cref="ProvenByToken"/> say whether it is true.</summary>
    public required NodeName Peer { get; init; }

    /// <summary>The peers for whom the certificate that was shown speaks, by the node's options: listed, within its period, and from a trusted issuer or pinned.</summary>
    public required IReadOnlyCollection<NodeName> ProvenByCertificate { get; init; }

    /// <summary>The peers for whom the token that was shown speaks, by the node's options.</summary>
    public required IReadOnlyCollection<NodeName> ProvenByToken { get; init; }

    /// <summary>Whether the options give the claimed peer a certificate or token of its own.</summary>
    public required bool IsProofRequired { get; init; }

    /// <summary>Whether it may be any peer that has no credential of its own: a shared token was shown, or none is set and the dialler is on loopback. Never where every peer has one, unless a shared token was shown.</summary>
    public required bool IsAdmitted { get; init; }

    /// <summary>The certificate that the dialler has shown, whatever it is worth; null for none. Valid during the call.</summary>
    public X509Certificate2? Certificate { get; init; }

    /// <summary>As whom the application's own authentication knows the dialler; null where it has none.</summary>
    public ClaimsPrincipal? User { get; init; }

    /// <summary>Where the dialler is, or the proxy before it; null where that is not known.</summary>
    public IPAddress? RemoteAddress { get; init; }

    /// <summary>Whose transactions it asks for: this node's, or another's that it can't reach.</summary>
    public required NodeName Origin { get; init; }

    /// <summary>What it dials for.</summary>
    public required PeerPurpose Purpose { get; init; }
}
