using System.Net.Security;
using System.Security.Cryptography.X509Certificates;
using ActiveActive.Credentials;

namespace ActiveActive.Transport;

/// <summary>The connections to one peer's server under one set of credentials. They end when it is disposed and its last stream has ended.</summary>
internal sealed class PeerHttpClient : IDisposable
{
    // To begin with; from there the handler scales it to the bandwidth-delay product of the link (16 MiB at most).
    private const int InitialWindowBytes = 1 << 20;

    private readonly PeerAddress _peer;
    private readonly NodeCredentials _credentials;
    private readonly OwnCertificate? _own;
    private readonly HttpClient _client;
    private readonly Lock _gate = new();
    private int _leases;
    private bool _retired;

    public PeerHttpClient(PeerAddress peer, NodeCredentials credentials, OwnCertificate? own, Action<SocketsHttpHandler>? configure)
    {
        (_peer, _credentials, _own) = (peer, credentials, own);
        var handler = new SocketsHttpHandler
        {
            EnableMultipleHttp2Connections = true,
            InitialHttp2StreamWindowSize = InitialWindowBytes,
            ConnectTimeout = TimeSpan.FromSeconds(10),
            KeepAlivePingDelay = TimeSpan.FromSeconds(10),
            KeepAlivePingTimeout = TimeSpan.FromSeconds(10),
            KeepAlivePingPolicy = HttpKeepAlivePingPolicy.WithActiveRequests,
            AllowAutoRedirect = false,
            UseCookies = false,

            // A stream lives for days; a trace of it would never end.
            ActivityHeadersPropagator = null,
        };
        handler.SslOptions.RemoteCertificateValidationCallback = IsServerOfPeer;
        // A resumed session would speak for the certificate that was shown when it began.
        handler.SslOptions.AllowTlsResume = false;
        if (own is not null) handler.SslOptions.ClientCertificateContext = SslStreamCertificateContext.Create(own.Certificate, own.Intermediates, offline: true);
        configure?.Invoke(handler);
        _client = new HttpClient(handler) { Timeout = Timeout.InfiniteTimeSpan };
    }

    /// <summary>Why the server's certificate was not taken for the peer's, at the last connection; null where it was.</summary>
    public string? ServerProblem { get; private set; }

    public bool ShowsCertificate => _own is not null;

    public bool IsOf(NodeCredentials credentials, OwnCertificate? own) =>
        credentials == _credentials && (own is null ? _own is null : _own is not null && own.Certificate.RawDataMemory.Span.SequenceEqual(_own.Certificate.RawDataMemory.Span));

    /// <summary>What a message says of what was shown.</summary>
    public string Shown(string? token) => (_own, token) switch
    {
        (null, null) => "no certificate and no token",
        (null, _) => "a token",
        ({ } own, null) => $"the certificate {CertificateTrust.Describe(own.Certificate)}",
        ({ } own, _) => $"a token, and the certificate {CertificateTrust.Describe(own.Certificate)}",
    };

    public Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken) =>
        _client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancellationToken);

    public void Lease()
    {
        lock (_gate) _leases++;
    }

    public void Release()
    {
        lock (_gate)
        {
            if (--_leases > 0 || !_retired) return;
        }

        _client.Dispose();
    }

    /// <summary>No stream is begun any more; those under way go on.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            if (_retired) return;
            _retired = true;
            if (_leases > 0) return;
        }

        _client.Dispose();
    }

    private bool IsServerOfPeer(object sender, X509Certificate? certificate, X509Chain? chain, SslPolicyErrors errors)
    {
        var shown = certificate as X509Certificate2;
        var problem = _credentials.Of(_peer.Name).ServerProblem(shown, chain?.ChainPolicy.ExtraStore, errors, _peer.Address.IdnHost, _credentials.Trust);
        ServerProblem = problem is null ? null : shown is null ? problem : $"{CertificateTrust.Describe(shown)}: {problem}";
        return problem is null;
    }
}
