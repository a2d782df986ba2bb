using System.IO.Pipelines;
using System.Net;
using System.Net.Http.Headers;
using ActiveActive.Credentials;

namespace ActiveActive.Transport;

/// <summary>
/// Dials peers over HTTP/2: one POST, on a TCP connection of its own, per connection whose request and response bodies are the two directions. On <c>http://</c> addresses
/// HTTP/2 is spoken without asking (h2c, prior knowledge); on <c>https://</c> it is negotiated, and both sides show who they are. The receiver of changes dials, so the
/// receive window that matters is this side's and grows with the link.
/// </summary>
internal sealed class HttpPeerTransport : IPeerTransport
{
    private const int OutputBufferBytes = 64 << 10;

    private readonly CredentialStore _credentials;
    private readonly string _path;
    private readonly Action<SocketsHttpHandler>? _configure;

    /// <param name="credentials">What is shown to peers, and who their servers may be; as they are at each dial.</param>
    /// <param name="path">Where peers answer, see <see cref="ReplicationNodeOptions.Path"/>; added to a peer's address.</param>
    /// <param name="configure">Changes each connection's handler before its use.</param>
    public HttpPeerTransport(CredentialStore credentials, string path = PeerProtocol.DefaultPath, Action<SocketsHttpHandler>? configure = null)
    {
        _credentials = credentials;
        _path = path;
        _configure = configure;
    }

    /// <summary>With a shared token, or none.</summary>
    public HttpPeerTransport(string? sharedToken, string path = PeerProtocol.DefaultPath, Action<SocketsHttpHandler>? configure = null)
        : this(CredentialStore.Of(new ReplicationNodeOptions { SharedToken = sharedToken }, TimeProvider.System), path, configure)
    {
    }

    public async ValueTask<IPeerConnection> ConnectAsync(PeerAddress peer, CancellationToken cancellationToken)
    {
        var address = new Uri(peer.Address.GetLeftPart(UriPartial.Path).TrimEnd('/') + "/" + _path.TrimStart('/'));
        var token = TokenFor(peer);
        var client = CreateClient(peer);
        var pipe = new Pipe(new PipeOptions(pauseWriterThreshold: OutputBufferBytes, resumeWriterThreshold: OutputBufferBytes / 2));
        var aborted = new CancellationTokenSource();
        HttpResponseMessage? response = null;
        try
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, address)
            {
                Version = HttpVersion.Version20,
                VersionPolicy = HttpVersionPolicy.RequestVersionExact,
                Content = new DuplexContent(pipe.Reader, aborted.Token),
            };
            if (token is not null) request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", token);
            response = await client.SendAsync(request, cancellationToken);
            if (!response.IsSuccessStatusCode) throw await HttpPeerRefusal.FromAsync(peer, address, response, client.Shown(token), token, cancellationToken);
            return new HttpPeerConnection(response, await response.Content.ReadAsStreamAsync(cancellationToken), pipe.Writer, aborted, client);
        }
        catch (Exception e)
        {
            await aborted.CancelAsync();
            response?.Dispose();
            await pipe.Writer.CompleteAsync();
            aborted.Dispose();
            client.Dispose();

            // A cancellation that the caller has not asked for is the handler's own: the connect time-out.
            if (e is HttpRequestException or IOException || (e is OperationCanceledException && !cancellationToken.IsCancellationRequested)) throw HttpPeerRefusal.From(peer, address, e, client);
            throw;
        }
    }

    private string? TokenFor(PeerAddress peer)
    {
        string? token;
        try
        {
            token = _credentials.Current.TokenFor(peer.Name);
        }
        catch (Exception e)
        {
            throw new ReplicationException(ReplicationErrorKind.Misconfigured, $"AA3059: the callback that gives the token for peer '{peer.Name}' failed with a {e.GetType().Name}. Its own exception is within this one.", e);
        }

        return token is not null && PeerToken.Problem(token) is { } problem
            ? throw new ReplicationException(ReplicationErrorKind.Misconfigured, $"AA3059: the token that this node shows to peer '{peer.Name}' {problem}")
            : token;
    }

    /// <summary>
    /// One for each connection. A shared one would send every further request over the TCP connection that it has, and behind a load balancer that leads to the same instance
    /// for ever, also while another leads.
    /// </summary>
    private PeerHttpClient CreateClient(PeerAddress peer) =>
        new(peer, _credentials.Current, peer.Address.Scheme == Uri.UriSchemeHttps ? _credentials.ReadOwnCertificate() : null, _configure);
}
