using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace ActiveActive.Credentials;

/// <summary>All that a node knows of credentials, as of one moment: its own, and which speak for whom.</summary>
internal sealed class NodeCredentials
{
    private readonly byte[][] _sharedTokenHashes;
    private readonly Dictionary<NodeName, PeerCredentials> _peers;
    private readonly Func<string>? _ownToken;
    private readonly string? _sharedToken;

    /// <param name="options">Valid ones.</param>
    /// <param name="time">The clock of certificates' periods.</param>
    public NodeCredentials(ReplicationNodeOptions options, TimeProvider time)
    {
        _peers = options.Peers.ToDictionary(p => new NodeName(p.Key), p => new PeerCredentials(p.Value));
        _sharedToken = options.SharedToken;
        _sharedTokenHashes = [.. options.AcceptedSharedTokens.Prepend(options.SharedToken).OfType<string>().Select(PeerToken.Hash)];
        _ownToken = options.OwnToken;
        OwnCertificate = options.OwnCertificate;
        OwnCertificateFile = options.OwnCertificateFile;
        AllowPlaintext = options.AllowPlaintext;
        Trust = new CertificateTrust([.. options.TrustedAuthorities], time);
    }

    public Func<X509Certificate2>? OwnCertificate { get; }

    public CertificateFile? OwnCertificateFile { get; }

    public CertificateTrust Trust { get; }

    public bool AllowPlaintext { get; }

    /// <summary>Whether any peer may come without TLS; which one it is, only its hello says.</summary>
    public bool AllowsPlaintextFromAny => AllowPlaintext || _peers.Values.Any(p => p.AllowPlaintext);

    public bool HasSharedToken => _sharedTokenHashes.Length > 0;

    public bool HasPeerCertificates => _peers.Values.Any(p => p.HasCertificates);

    private bool IsProofRequiredOfAll => _peers.Count > 0 && _peers.Values.All(p => p.IsProofRequired);

    /// <summary>Whether anybody beyond loopback can be let in.</summary>
    public bool HasAny => HasSharedToken || _peers.Values.Any(p => p.IsProofRequired);

    public PeerCredentials Of(NodeName peer) => _peers.GetValueOrDefault(peer, PeerCredentials.None);

    /// <summary>The token to show to a peer; null for none.</summary>
    public string? TokenFor(NodeName peer) => (Of(peer).OwnToken ?? _ownToken)?.Invoke() ?? _sharedToken;

    public PeerEvidence Evaluate(PresentedCredential shown)
    {
        if (shown.IsInProcess) return new([.. _peers.Keys], [], true, null);
        NodeName[] byToken = shown.TokenHash is { } hash ? [.. _peers.Where(p => p.Value.ListsToken(hash)).Select(p => p.Key)] : [];
        var byCertificate = ByCertificate(shown.Certificate, out var problem);
        return new(byCertificate, byToken, ShowsSharedToken(shown.TokenHash) || (!HasSharedToken && shown.IsLocal && !IsProofRequiredOfAll), problem);
    }

    private bool ShowsSharedToken(byte[]? hash)
    {
        var found = false;
        if (hash is null) return found;
        foreach (var known in _sharedTokenHashes) found |= CryptographicOperations.FixedTimeEquals(known, hash);
        return found;
    }

    private List<NodeName> ByCertificate(X509Certificate2? certificate, out string? problem)
    {
        problem = null;
        var names = new List<NodeName>();
        if (certificate is null) return names;
        var listed = false;
        foreach (var (name, peer) in _peers)
        {
            if (!peer.Lists(certificate, out var isPinned)) continue;
            listed = true;
            problem = Trust.PeriodProblem(certificate) ?? (isPinned ? null : Trust.ChainProblem(certificate, CertificateTrust.ClientUsage));
            if (problem is null) names.Add(name);
        }

        if (names.Count > 0) problem = null;
        else problem = $"The certificate {CertificateTrust.Describe(certificate)} speaks for no peer: {(listed ? problem : "no peer's Certificates list its thumbprint or a name that it carries")}.";
        return names;
    }
}
