using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace ActiveActive.AspNetCore.Tests.Credentials;

/// <summary>Certificates with their keys, made for a test.</summary>
internal static class TestCertificates
{
    private static readonly DateTimeOffset s_now = DateTimeOffset.UtcNow;

    /// <summary>For loopback's name and addresses and the given name; by the authority, or by itself.</summary>
    public static X509Certificate2 Create(string name, X509Certificate2? authority = null, int fromDays = -1, int toDays = 1, bool forLoopback = true)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest($"CN={name}", key, HashAlgorithmName.SHA256);
        var names = new SubjectAlternativeNameBuilder();
        names.AddDnsName(name);
        if (forLoopback) names.AddIpAddress(IPAddress.Loopback);
        request.CertificateExtensions.Add(names.Build());
        var (from, to) = (s_now.AddDays(fromDays), s_now.AddDays(toDays));
        if (authority is null)
        {
            using var selfSigned = request.CreateSelfSigned(from, to);
            return WithUsableKey(selfSigned);
        }

        using var issued = request.Create(authority, from, to, RandomNumberGenerator.GetBytes(8));
        using var complete = issued.CopyWithPrivateKey(key);
        return WithUsableKey(complete);
    }

    public static X509Certificate2 CreateAuthority(string name)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest($"CN={name}", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        using var authority = request.CreateSelfSigned(s_now.AddDays(-10), s_now.AddDays(10));
        return WithUsableKey(authority);
    }

    public static string Thumbprint(this X509Certificate2 certificate) => certificate.GetCertHashString(HashAlgorithmName.SHA256);

    /// <summary>Through PKCS#12, since some platforms do not serve with a key that lives in memory only.</summary>
    private static X509Certificate2 WithUsableKey(X509Certificate2 certificate) =>
        X509CertificateLoader.LoadPkcs12(certificate.Export(X509ContentType.Pkcs12), null, X509KeyStorageFlags.Exportable);
}
