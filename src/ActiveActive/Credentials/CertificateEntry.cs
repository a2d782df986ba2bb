using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace ActiveActive.Credentials;

/// <summary>One entry of <see cref="PeerOptions.Certificates"/>: a thumbprint, which pins one certificate, or a name, which any of a trusted issuer may carry.</summary>
internal sealed class CertificateEntry
{
    private readonly byte[]? _thumbprint;
    private readonly string _name;

    private CertificateEntry(string name, byte[]? thumbprint) => (_name, _thumbprint) = (name, thumbprint);

    public bool IsPin => _thumbprint is not null;

    public static bool TryParse(string? text, [NotNullWhen(true)] out CertificateEntry? entry, [NotNullWhen(false)] out string? problem)
    {
        var name = text?.Trim() ?? "";
        var digits = name.Replace(":", "", StringComparison.Ordinal).Replace(" ", "", StringComparison.Ordinal);
        entry = null;
        problem = null;
        if (digits.Length is 32 or 40 or 64 or 96 or 128 && digits.All(char.IsAsciiHexDigit))
        {
            if (digits.Length == 64) entry = new(digits, Convert.FromHexString(digits));
            else problem = $"'{name}' is a thumbprint of {digits.Length * 4} bits. Name the SHA-256 one, 64 digits: openssl x509 -noout -fingerprint -sha256 -in certificate.pem";
        }
        else if (Uri.CheckHostName(name) == UriHostNameType.Dns)
        {
            entry = new(name, null);
        }
        else
        {
            problem = $"'{name}' is neither a SHA-256 thumbprint (64 hexadecimal digits) nor a DNS name.";
        }

        return entry is not null;
    }

    /// <summary>A certificate for <c>*.example.com</c> speaks for no node: it would speak for all.</summary>
    public bool Matches(X509Certificate2 certificate) => _thumbprint is null
        ? certificate.MatchesHostname(_name, allowWildcards: false, allowCommonName: true)
        : certificate.GetCertHash(HashAlgorithmName.SHA256).AsSpan().SequenceEqual(_thumbprint);

    public override string ToString() => _name;
}
