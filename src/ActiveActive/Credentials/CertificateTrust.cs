using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace ActiveActive.Credentials;

/// <summary>Whether a certificate's issuer is trusted: one of the given authorities, or where none are given, one that the machine trusts.</summary>
internal sealed class CertificateTrust(X509Certificate2Collection authorities, TimeProvider time)
{
    // RFC 5280, section 4.2.1.12. A certificate that names no usages is good for all.
    public const string ServerUsage = "1.3.6.1.5.5.7.3.1";
    public const string ClientUsage = "1.3.6.1.5.5.7.3.2";

    private const int MaxSubject = 100;

    public bool HasAuthorities => authorities.Count > 0;

    /// <summary>How messages name a certificate. All of it is public, and the subject is whatever its maker wanted.</summary>
    public static string Describe(X509Certificate2 certificate)
    {
        var subject = string.Concat(certificate.Subject.Take(MaxSubject).Select(c => char.IsControl(c) ? ' ' : c));
        return $"'{subject}' (SHA-256 {certificate.GetCertHashString(HashAlgorithmName.SHA256)})";
    }

    /// <summary>Holds for pinned certificates, too.</summary>
    public string? PeriodProblem(X509Certificate2 certificate)
    {
        var now = time.GetUtcNow().UtcDateTime;
        return now > certificate.NotAfter.ToUniversalTime() ? $"it expired on {certificate.NotAfter.ToUniversalTime():u}"
            : now < certificate.NotBefore.ToUniversalTime() ? $"it is not valid before {certificate.NotBefore.ToUniversalTime():u}"
            : null;
    }

    /// <param name="certificate">Whose issuer is in question.</param>
    /// <param name="usage">What it is used for.</param>
    /// <param name="shown">Intermediate certificates that came with it.</param>
    public string? ChainProblem(X509Certificate2 certificate, string usage, X509Certificate2Collection? shown = null)
    {
        using var chain = new X509Chain();
        var policy = chain.ChainPolicy;
        // A list of revoked certificates would be fetched while a peer waits; what is revoked is taken out of the allow-list.
        policy.RevocationMode = X509RevocationMode.NoCheck;
        policy.DisableCertificateDownloads = true;
        policy.ApplicationPolicy.Add(new Oid(usage));
        policy.VerificationTimeIgnored = false;
        policy.VerificationTime = time.GetUtcNow().LocalDateTime;
        if (shown is not null) policy.ExtraStore.AddRange(shown);
        if (HasAuthorities)
        {
            policy.TrustMode = X509ChainTrustMode.CustomRootTrust;
            policy.CustomTrustStore.AddRange(authorities);
        }

        return chain.Build(certificate) ? null : string.Join(", ", chain.ChainStatus.Select(s => s.StatusInformation.Trim().TrimEnd('.')).Distinct());
    }
}
