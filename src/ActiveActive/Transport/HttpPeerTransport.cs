using System.IO.Pipelines;
using System.Net;
using System.Net.Http.Headers;

namespace ActiveActive.Transport;

/// <summary>
/// Dials peers over HTTP/2: one POST, on a TCP connection of its own, per connection whose request and response bodies are the two directions. On <c>http://</c> addresses
/// HTTP/2 is spoken without asking (h2c, prior knowledge); on <c>https://</c> it is negotiated. The receiver of changes dials, so the
/// receive window that matters is this side's and grows with the link.
/// </summary>
internal sealed class HttpPeerTransport : IPeerTransport
{
    // To begin with; from there the handler scales it to the bandwidth-delay product of the link (16 MiB at most).
    private const int InitialWindowBytes = 1 << 20;
    private const int OutputBufferBytes = 64 << 10;

    private readonly string? _sharedToken;
    private readonly string _path;
    private readonly Action<SocketsHttpHandler>? _configure;

    /// <param name="sharedToken">Shown to every peer; null where all of them are on loopback.</param>
    /// <param name="path">Where peers answer, see <see cref="ReplicationNodeOptions.Path"/>; added to a peer's address.</param>
    /// <param name="configure">Changes each connection's handler before its use, for example to add a client certificate.</param>
    /// <exception cref="ReplicationException">Misconfigured: the token can't be sent.</exception>
    public HttpPeerTransport(string? sharedToken, string path = PeerProtocol.DefaultPath, Action<SocketsHttpHandler>? configure = null)
    {
        if (sharedToken is not null && !sharedToken.All(c => c is > ' ' and < (char)0x7f))
            throw new ReplicationException(ReplicationErrorKind.Misconfigured, $"{nameof(ReplicationNodeOptions.SharedToken)} travels in a header: use ASCII letters, digits and signs, no spaces.");
        _sharedToken = sharedToken;
        _path = path;
        _configure = configure;
    }

    public async ValueTask<IPeerConnection> ConnectAsync(PeerAddress peer, CancellationToken cancellationToken)
    {
        var address = new Uri(peer.Address.GetLeftPart(UriPartial.Path).TrimEnd('/') + "/" + _path.TrimStart('/'));
        var pipe = new Pipe(new PipeOptions(pauseWriterThreshold: OutputBufferBytes, resumeWriterThreshold: OutputBufferBytes / 2));
        var aborted = new CancellationTokenSource();
        HttpResponseMessage? response = null;
        var client = CreateClient();
        try
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, address)
            {
                Version = HttpVersion.Version20,
                VersionPolicy = HttpVersionPolicy.RequestVersionExact,
                Content = new DuplexContent(pipe.Reader, aborted.Token),
            };
            if (_sharedToken is not null) request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", _sharedToken);
            response = await client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancellationToken);
            if (!response.IsSuccessStatusCode) throw await HttpPeerRefusal.FromAsync(peer, address, response, cancellationToken);
            return new HttpPeerConnection(response, await response.Content.ReadAsStreamAsync(cancellationToken), pipe.Writer, aborted, client);
        }
        catch (Exception e)
        {
            await aborted.CancelAsync();
            response?.Dispose();
            client.Dispose();
            await pipe.Writer.CompleteAsync();
            aborted.Dispose();

            // A cancellation that the caller has not asked for is the handler's own: the connect time-out.
            if (e is HttpRequestException or IOException || (e is OperationCanceledException && !cancellationToken.IsCancellationRequested)) throw HttpPeerRefusal.From(peer, address, e);
            throw;
        }
    }

    /// <summary>
    /// One for each connection. A shared one would send every further request over the TCP connection that it has, and behind a load balancer that leads to the same instance
    /// for ever, also while another leads.
    /// </summary>
    private HttpClient CreateClient()
    {
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
        _configure?.Invoke(handler);
        return new HttpClient(handler) { Timeout = Timeout.InfiniteTimeSpan };
    }
}
