namespace ActiveActive;

/// <summary>
/// A peer: where it is dialled, and how it shows who it is. A peer with certificates or tokens of its own here can be spoken for by those alone; one
/// without is anybody who shows the <see cref="ReplicationNodeOptions.SharedToken"/>.
/// </summary>
public sealed class PeerOptions
{
    /// <summary>
    /// The address of its application: <c>https</c>, or <c>http</c> on loopback. Where that runs in several instances, one that leads to any of them (a load balancer's), or one for each:
    /// they are dialled in turn until the one that leads answers. No default.
    /// </summary>
    public IList<Uri> Addresses { get; } = [];

    /// <summary>
    /// The certificates that speak for the peer, any one of them: a SHA-256 thumbprint (64 hexadecimal digits, colons allowed), for which no issuer is needed, or
    /// a DNS name that the certificate carries, whose issuer must be trusted (<see cref="ReplicationNodeOptions.TrustedAuthorities"/>). An expired certificate
    /// is refused either way. Default: none.
    /// </summary>
    public IList<string> Certificates { get; } = [];

    /// <summary>
    /// The tokens that speak for the peer, any one of them, in place of a certificate; each of at least 16 visible ASCII characters, and no other peer's.
    /// Default: none.
    /// </summary>
    public IList<string> Tokens { get; } = [];

    /// <summary>
    /// The token that this node shows to the peer, called for each dial; null for <see cref="ReplicationNodeOptions.OwnToken"/>. Whoever is shown a token can show
    /// it to others, so that only a token for each peer proves something to peers which do not trust each other. Default: null.
    /// </summary>
    public Func<string>? OwnToken { get; set; }

    /// <summary>Whether the peer is dialled, and let in, without TLS beyond loopback: tokens and rows can then be read on the way. Default: false.</summary>
    public bool AllowPlaintext { get; set; }
}
