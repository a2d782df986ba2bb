using System.IO.Pipelines;
using System.Net;
using System.Net.Http.Headers;
using ActiveActive.Credentials;

namespace ActiveActive.Transport;

/// <summary>
/// Dials peers over HTTP/2: one POST per connection whose request and response bodies are the two directions. On <c>http://</c> addresses
/// HTTP/2 is spoken without asking (h2c, prior knowledge); on <c>https://</c> it is negotiated, and both sides show who they are. The receiver of changes dials, so the
/// receive window that matters is this side's and grows with the link.
/// </summary>
internal sealed class HttpPeerTransport : IPeerTransport, IDisposable
{
    private const int OutputBufferBytes = 64 << 10;

    private readonly CredentialStore _credentials;
    private readonly Action<SocketsHttpHandler>? _configure;
    private readonly string _path;
    private readonly Lock _gate = new();
    private readonly Dictionary<PeerAddress, PeerHttpClient> _clients = [];

    /// <param name="credentials">What is shown to peers, and who their servers may be; as they are at each dial.</param>
    /// <param name="path">Where peers answer, see <see cref="ReplicationNodeOptions.Path"/>; added to a peer's address.</param>
    /// <param name="configure">Changes each handler before its first use.</param>
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
        var client = LeaseClient(peer);
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
            return new HttpPeerConnection(response, await response.Content.ReadAsStreamAsync(cancellationToken), pipe.Writer, aborted, client.Release);
        }
        catch (Exception e)
        {
            await aborted.CancelAsync();
            response?.Dispose();
            await pipe.Writer.CompleteAsync();
            aborted.Dispose();
            client.Release();

            // A cancellation that the caller has not asked for is the handler's own: the connect time-out.
            if (e is HttpRequestException or IOException || (e is OperationCanceledException && !cancellationToken.IsCancellationRequested)) throw HttpPeerRefusal.From(peer, address, e, client);
            throw;
        }
    }

    public void Dispose()
    {
        lock (_gate)
        {
            foreach (var client in _clients.Values) client.Dispose();
            _clients.Clear();
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

    /// <summary>Connections are shared by the streams to one peer, and made anew for those that come after a change of what either side shows.</summary>
    private PeerHttpClient LeaseClient(PeerAddress peer)
    {
        var credentials = _credentials.Current;
        var own = peer.Address.Scheme == Uri.UriSchemeHttps ? _credentials.ReadOwnCertificate() : null;
        lock (_gate)
        {
            if (!_clients.TryGetValue(peer, out var client) || !client.IsOf(credentials, own))
            {
                client?.Dispose();
                _clients[peer] = client = new PeerHttpClient(peer, credentials, own, _configure);
            }

            client.Lease();
            return client;
        }
    }
}
