using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace ActiveActive.Credentials;

/// <summary>What speaks for one peer, and what it is shown.</summary>
internal sealed class PeerCredentials
{
    private readonly CertificateEntry[] _certificates;
    private readonly byte[][] _tokenHashes;

    /// <param name="options">Valid ones.</param>
    public PeerCredentials(PeerOptions options)
    {
        _certificates = [.. options.Certificates.Select(text => CertificateEntry.TryParse(text, out var entry, out var problem) ? entry : throw new ArgumentException(problem, nameof(options)))];
        _tokenHashes = [.. options.Tokens.Select(PeerToken.Hash)];
        OwnToken = options.OwnToken;
        AllowPlaintext = options.AllowPlaintext;
    }

    public static PeerCredentials None { get; } = new(new PeerOptions());

    public Func<string>? OwnToken { get; }

    public bool AllowPlaintext { get; }

    public bool HasCertificates => _certificates.Length > 0;

    /// <summary>Whether the peer has a credential of its own: nothing else speaks for it then.</summary>
    public bool IsProofRequired => HasCertificates || _tokenHashes.Length > 0;

    /// <summary>Every token is compared, each in constant time: how long that takes tells nothing of any.</summary>
    public bool ListsToken(byte[] hash)
    {
        var found = false;
        foreach (var known in _tokenHashes) found |= CryptographicOperations.FixedTimeEquals(known, hash);
        return found;
    }

    /// <summary>Whether a certificate speaks for the peer, its period and issuer aside.</summary>
    /// <param name="certificate">The certificate.</param>
    /// <param name="isPinned">Whether its issuer does not matter.</param>
    public bool Lists(X509Certificate2 certificate, out bool isPinned)
    {
        isPinned = _certificates.Any(entry => entry.IsPin && entry.Matches(certificate));
        return isPinned || _certificates.Any(entry => entry.Matches(certificate));
    }

    /// <summary>Why the web server that was reached is not the peer's; null where it is.</summary>
    /// <param name="certificate">The server's.</param>
    /// <param name="chain">The intermediates that it sent.</param>
    /// <param name="errors">What the machine's own check found, host name included.</param>
    /// <param name="host">The host that was dialled.</param>
    /// <param name="trust">Further issuers.</param>
    public string? ServerProblem(X509Certificate2? certificate, X509Certificate2Collection? chain, SslPolicyErrors errors, string host, CertificateTrust trust)
    {
        if (certificate is null) return "it shows no certificate";
        if (errors == SslPolicyErrors.None) return null;
        if (_certificates.Any(entry => entry.IsPin && entry.Matches(certificate))) return trust.PeriodProblem(certificate);
        var chainProblem = (errors & SslPolicyErrors.RemoteCertificateChainErrors) == 0 ? null : trust.ChainProblem(certificate, CertificateTrust.ServerUsage, chain);
        return chainProblem
            ?? (certificate.MatchesHostname(host) || _certificates.Any(entry => entry.Matches(certificate)) ? null : $"it is not for the host '{host}'");
    }
}
