using System.Net.Security;
using System.Security.Cryptography.X509Certificates;
using ActiveActive.Credentials;

namespace ActiveActive.Transport;

/// <summary>One connection to a peer's server, and what is shown on it.</summary>
internal sealed class PeerHttpClient : IDisposable
{
    // To begin with; from there the handler scales it to the bandwidth-delay product of the link (16 MiB at most). Enough for 40 MB/s at 100 ms at once; what is not applied yet waits in it.
    private const int InitialWindowBytes = 4 << 20;

    private readonly PeerAddress _peer;
    private readonly NodeCredentials _credentials;
    private readonly OwnCertificate? _own;
    private readonly HttpClient _client;

    public PeerHttpClient(PeerAddress peer, NodeCredentials credentials, OwnCertificate? own, Action<SocketsHttpHandler>? configure)
    {
        (_peer, _credentials, _own) = (peer, credentials, own);
        var handler = new SocketsHttpHandler
        {
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

    public void Dispose() => _client.Dispose();

    private bool IsServerOfPeer(object sender, X509Certificate? certificate, X509Chain? chain, SslPolicyErrors errors)
    {
        var shown = certificate as X509Certificate2;
        var problem = _credentials.Of(_peer.Name).ServerProblem(shown, chain?.ChainPolicy.ExtraStore, errors, _peer.Address.IdnHost, _credentials.Trust);
        ServerProblem = problem is null ? null : shown is null ? problem : $"{CertificateTrust.Describe(shown)}: {problem}";
        return problem is null;
    }
}
