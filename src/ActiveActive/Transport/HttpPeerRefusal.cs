using System.Net;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Text;

namespace ActiveActive.Transport;

/// <summary>Turns what HTTP says when a dial fails into what happened and what to do. The token is in none of it.</summary>
internal static class HttpPeerRefusal
{
    private const int MaxQuotedBytes = 1024;
    private const string NeedsHttp2 =
        "the endpoint does not speak HTTP/2. Without TLS, Kestrel speaks it only where the endpoint is set to Protocols = Http2 (HttpProtocols.Http2); with TLS, Http1AndHttp2 will do. "
        + "A proxy in between must pass HTTP/2 on to the application";

    /// <param name="peer">Who was dialled.</param>
    /// <param name="address">Where.</param>
    /// <param name="response">What it answered.</param>
    /// <param name="shown">What was shown to it, in words.</param>
    /// <param name="token">What must not be in the message, should the server repeat it.</param>
    /// <param name="cancellationToken">Ends the wait for the rest of the answer.</param>
    public static async Task<ReplicationException> FromAsync(PeerAddress peer, Uri address, HttpResponseMessage response, string shown, string? token, CancellationToken cancellationToken)
    {
        var status = (int)response.StatusCode;
        var advice = response.StatusCode switch
        {
            HttpStatusCode.Unauthorized => $"it was shown {shown}, and lets nobody in for that: set the same SharedToken on every node, or name there in AddPeer what this node shows",
            HttpStatusCode.Forbidden => "it does not let this node in",
            HttpStatusCode.NotFound or HttpStatusCode.MethodNotAllowed => "nothing answers at that path: call app.MapActiveActive() there, and use the same path on every node",
            HttpStatusCode.UpgradeRequired or HttpStatusCode.HttpVersionNotSupported => NeedsHttp2,
            >= HttpStatusCode.InternalServerError => "the application there, or a proxy before it, is not ready",
            _ => "this is no answer of ActiveActive: check the address",
        };
        var kind = response.StatusCode is HttpStatusCode.TooManyRequests or HttpStatusCode.RequestTimeout
            || (status >= 500 && response.StatusCode != HttpStatusCode.HttpVersionNotSupported)
            ? ReplicationErrorKind.Transient
            : ReplicationErrorKind.PeerRefused;
        var quoted = await QuoteAsync(response, token, cancellationToken);
        return new ReplicationException(kind, $"Peer {peer.Name} at {address} answered {status} ({response.StatusCode}): {advice}.{quoted}");
    }

    public static ReplicationException From(PeerAddress peer, Uri address, Exception fault, PeerHttpClient client)
    {
        if (client.ServerProblem is { } problem && HasTlsFault(fault))
        {
            return new(ReplicationErrorKind.PeerRefused,
                $"The certificate of peer {peer.Name} at {address} is not trusted: {problem}. Give that server a certificate from an issuer that this machine trusts, or pin this one in AddPeer(\"{peer.Name}\", …, peer => peer.Certificate(\"<SHA-256>\")).", fault);
        }

        // A server that does not take a certificate ends the connection once the handshake is over on this side: HTTP/2 then begins and gets no answer.
        var mayBeRefused = client.ShowsCertificate && fault is HttpRequestException { HttpRequestError: HttpRequestError.InvalidResponse };
        if (!mayBeRefused && SaysOtherProtocol(fault)) return new(ReplicationErrorKind.PeerRefused, $"Peer {peer.Name} at {address} can't be spoken to: {NeedsHttp2}.", fault);
        var advice = (fault as HttpRequestException)?.HttpRequestError switch
        {
            HttpRequestError.NameResolutionError => "its host name is not known; check the address and DNS",
            HttpRequestError.SecureConnectionError => "TLS failed; check its certificate, that the endpoint offers HTTP/2 (Protocols = Http1AndHttp2), and that the address is https only where the endpoint is",
            HttpRequestError.ConnectionError => "nothing accepts connections there; it is down, or the address, port or firewall is wrong",
            _ => "the connection failed",
        };

        if (client.ShowsCertificate && (fault as HttpRequestException)?.HttpRequestError is not (HttpRequestError.NameResolutionError or HttpRequestError.ConnectionError))
            advice += $". It was shown {client.Shown(null)}; if it does not trust that, its own log says so (AA3054)";

        // A handshake that one side refuses fails again until somebody changes something; one that is torn off may not.
        var kind = fault.InnerException is AuthenticationException ? ReplicationErrorKind.PeerRefused : ReplicationErrorKind.Transient;
        return new(kind, $"Peer {peer.Name} at {address} can't be reached: {advice}. It is dialled again.", fault);
    }

    private static bool HasTlsFault(Exception? fault)
    {
        for (var e = fault; e is not null; e = e.InnerException)
        {
            if (e is AuthenticationException) return true;
        }

        return false;
    }

    private static bool SaysOtherProtocol(Exception fault)
    {
        for (var e = fault; e is not null; e = e.InnerException)
        {
            // 0xd is HTTP_1_1_REQUIRED (RFC 9113, section 7), Kestrel's answer on an endpoint that speaks HTTP/1.1 only.
            if (e is HttpProtocolException { ErrorCode: 0xd }) return true;
            // A line that was cut, or ended without an answer, says nothing of what the endpoint speaks.
            if (e is HttpRequestException { HttpRequestError: HttpRequestError.VersionNegotiationError or HttpRequestError.InvalidResponse } && !WasCut(e)) return true;
        }

        return false;
    }

    private static bool WasCut(Exception fault)
    {
        for (var e = fault.InnerException; e is not null; e = e.InnerException)
        {
            if (e is SocketException or HttpIOException { HttpRequestError: HttpRequestError.ResponseEnded }) return true;
        }

        return false;
    }

    /// <summary>The beginning of what the server says, on one line; an answer that does not come is not waited for.</summary>
    private static async Task<string> QuoteAsync(HttpResponseMessage response, string? token, CancellationToken cancellationToken)
    {
        if (response.Content.Headers.ContentType?.MediaType != "text/plain") return "";
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        patience.CancelAfter(TimeSpan.FromSeconds(5));
        var bytes = new byte[MaxQuotedBytes];
        try
        {
            await using var body = await response.Content.ReadAsStreamAsync(patience.Token);
            var count = await body.ReadAtLeastAsync(bytes, bytes.Length, throwOnEndOfStream: false, patience.Token);
            var text = new StringBuilder();
            var said = Encoding.UTF8.GetString(bytes, 0, count);
            if (token is not null) said = said.Replace(token, "[token]", StringComparison.Ordinal);
            foreach (var c in said) text.Append(char.IsControl(c) ? ' ' : c);
            return count == 0 ? "" : $" It says: {text.ToString().Trim()}";
        }
        catch (Exception e) when (e is IOException or HttpRequestException || (e is OperationCanceledException && !cancellationToken.IsCancellationRequested))
        {
            return "";
        }
    }
}
