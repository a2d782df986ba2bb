namespace ActiveActive.Credentials;

/// <summary>For whom a credential speaks, by the allow-lists of one moment.</summary>
/// <param name="ByCertificate">The peers whose certificate was shown.</param>
/// <param name="ByToken">The peers whose token was shown.</param>
/// <param name="IsAdmitted">Whether a shared token was shown, or none is set, the dialler is on loopback and some peer has no credential of its own: it may be any such peer.</param>
/// <param name="CertificateProblem">Why a certificate that was shown speaks for nobody.</param>
internal sealed record PeerEvidence(IReadOnlyCollection<NodeName> ByCertificate, IReadOnlyCollection<NodeName> ByToken, bool IsAdmitted, string? CertificateProblem)
{
    /// <summary>Whether it can be any peer at all.</summary>
    public bool IsAnybody => IsAdmitted || ByCertificate.Count > 0 || ByToken.Count > 0;
}
