using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace ActiveActive.Credentials;

/// <summary>A node's credentials as they are now. They change while the node runs; what was let in by the old ones is then looked at again.</summary>
internal sealed partial class CredentialStore(NodeCredentials initial, ILogger? logger = null) : IDisposable
{
    private readonly ILogger _logger = logger ?? NullLogger.Instance;
    private readonly Lock _gate = new();
    private volatile NodeCredentials _current = initial;
    private IDisposable? _source;
    private (CertificateFile File, string Version, OwnCertificate Certificate)? _read;

    /// <summary>Raised after <see cref="Current"/> has changed.</summary>
    public event Action? Changed;

    public NodeCredentials Current => _current;

    public static CredentialStore Of(ReplicationNodeOptions options, TimeProvider time, ILogger? logger = null) => new(new NodeCredentials(options, time), logger);

    public void Replace(NodeCredentials next)
    {
        _current = next;
        Changed?.Invoke();
    }

    /// <summary>Owns what keeps this up to date.</summary>
    public void KeepUpToDateBy(IDisposable source) => _source = source;

    /// <summary>The certificate to show now; null for none.</summary>
    /// <exception cref="ReplicationException">Misconfigured: there should be one, and it can't be read or used.</exception>
    public OwnCertificate? ReadOwnCertificate()
    {
        var current = _current;
        var own = current.OwnCertificateFile is { } file ? ReadFile(file) : current.OwnCertificate is { } get ? Call(get) : null;
        if (own is null) return null;
        if (!own.Certificate.HasPrivateKey) throw Unusable("it has no private key. Load it together with its key");
        return current.Trust.PeriodProblem(own.Certificate) is { } problem ? throw Unusable($"{problem}. Renew it; a certificate file is read again by itself") : own;

        ReplicationException Unusable(string reason) =>
            new(ReplicationErrorKind.Misconfigured, $"AA3059: this node's own certificate {CertificateTrust.Describe(own.Certificate)} can't be shown to peers: {reason}.");
    }

    public void Dispose() => _source?.Dispose();

    private static OwnCertificate Call(Func<X509Certificate2> get)
    {
        try
        {
            return new(get() ?? throw new InvalidOperationException("it answers null"), []);
        }
        catch (Exception e)
        {
            throw new ReplicationException(ReplicationErrorKind.Misconfigured, $"AA3059: the callback given to UseCertificate failed with a {e.GetType().Name}, so that no certificate can be shown to peers. Its own exception is within this one.", e);
        }
    }

    private OwnCertificate ReadFile(CertificateFile file)
    {
        lock (_gate)
        {
            try
            {
                var version = file.Version;
                if (_read is { } known && known.File == file && known.Version == version) return known.Certificate;
                var certificate = file.Read();
                _read = (file, version, certificate);
                return certificate;
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException or CryptographicException or ArgumentException)
            {
                // Certificate and key may be replaced one after the other, and are looked at in between.
                if (_read is { } known && known.File.Path == file.Path)
                {
                    LogNotRead(file.Path, e.Message);
                    return known.Certificate;
                }

                throw new ReplicationException(ReplicationErrorKind.Misconfigured, $"AA3059: this node's own certificate can't be read from '{file.Path}', so that none can be shown to peers: {e.Message}", e);
            }
        }
    }

    [LoggerMessage(EventId = 3058, Level = LogLevel.Warning, Message = "AA3058: the certificate file '{Path}' has changed and can't be read; the certificate read before is shown to peers until it can: {Reason}")]
    private partial void LogNotRead(string path, string reason);
}
