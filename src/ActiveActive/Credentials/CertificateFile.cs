using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace ActiveActive.Credentials;

/// <summary>A certificate with its private key, and the intermediates to show with it.</summary>
internal sealed record OwnCertificate(X509Certificate2 Certificate, X509Certificate2Collection Intermediates);

/// <summary>Where the node's own certificate is kept: PEM or PKCS#12.</summary>
internal sealed class CertificateFile(string path, string? keyPath, string? password)
{
    public string Path => path;

    /// <summary>Changes when a file does; a link is followed, since Kubernetes and others swap links.</summary>
    public string Version => string.Join(' ', new[] { path, keyPath }.OfType<string>().Select(file =>
        (File.ResolveLinkTarget(file, returnFinalTarget: true) ?? new FileInfo(file)) is FileInfo info ? $"{info.FullName} {info.LastWriteTimeUtc.Ticks} {info.Length}" : file));

    /// <exception cref="IOException">A file can't be read.</exception>
    /// <exception cref="UnauthorizedAccessException">The same.</exception>
    /// <exception cref="CryptographicException">It is no certificate, the key is not its, or the password is wrong.</exception>
    public OwnCertificate Read()
    {
        var bytes = File.ReadAllBytes(path);
        var own = bytes.AsSpan().IndexOf("-----BEGIN "u8) >= 0 ? ReadPem() : ReadPkcs12(bytes);
        return own.Certificate.HasPrivateKey ? own : throw new CryptographicException("there is no private key for the certificate.");
    }

    private OwnCertificate ReadPem()
    {
        var certificate = password is null ? X509Certificate2.CreateFromPemFile(path, keyPath) : X509Certificate2.CreateFromEncryptedPemFile(path, password, keyPath);
        if (OperatingSystem.IsWindows())
        {
            // Its TLS can't use a key that lives in memory only.
            using var ephemeral = certificate;
            certificate = X509CertificateLoader.LoadPkcs12(ephemeral.Export(X509ContentType.Pkcs12), null);
        }

        X509Certificate2Collection all = [];
        all.ImportFromPemFile(path);
        return new(certificate, Others(all, certificate));
    }

    private OwnCertificate ReadPkcs12(byte[] bytes)
    {
        var all = X509CertificateLoader.LoadPkcs12Collection(bytes, password);
        var certificate = all.FirstOrDefault(c => c.HasPrivateKey) ?? throw new CryptographicException("there is no private key in it.");
        return new(certificate, Others(all, certificate));
    }

    private static X509Certificate2Collection Others(X509Certificate2Collection all, X509Certificate2 own) => [.. all.Where(c => !c.RawDataMemory.Span.SequenceEqual(own.RawDataMemory.Span))];

    // Without the password.
    public override string ToString() => path;
}
