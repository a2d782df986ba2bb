using System.Net;
using ActiveActive.Credentials;
using ActiveActive.Transport;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Http.Timeouts;
using Microsoft.AspNetCore.Server.Kestrel.Core.Features;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace ActiveActive.AspNetCore;

/// <summary>Answers a peer that dials: looks at the protocol and the credential, then hands the stream to the node.</summary>
internal sealed class PeerRequestHandler
{
    private const string BearerPrefix = "Bearer ";

    private readonly PeerEndpoint _node;
    private readonly RefusalLog _refusals;
    private readonly CancellationToken _stopping;

    public PeerRequestHandler(PeerEndpoint node, IServiceProvider services)
    {
        _node = node;
        _refusals = new RefusalLog((services.GetService<ILoggerFactory>() ?? NullLoggerFactory.Instance).CreateLogger("ActiveActive.Node"), services.GetService<TimeProvider>() ?? TimeProvider.System);
        _stopping = node.Stopping ?? services.GetService<IHostApplicationLifetime>()?.ApplicationStopping ?? CancellationToken.None;
    }

    public async Task HandleAsync(HttpContext context)
    {
        var credential = CredentialOf(context);
        if (Refusal(context, credential) is var (status, reason))
        {
            _refusals.Note(context.Connection.RemoteIpAddress, reason);
            context.Response.StatusCode = status;
            context.Response.ContentType = "text/plain; charset=utf-8";
            await context.Response.WriteAsync(reason, context.RequestAborted);
            return;
        }

        LiftRequestLimits(context);
        context.Response.StatusCode = StatusCodes.Status200OK;
        context.Response.ContentType = PeerProtocol.ContentType;

        // A stopping server waits for its open requests; a peer's would never end by itself.
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted, _stopping);
        await using var connection = new KestrelPeerConnection(context);
        try
        {
            // The dialler waits for the headers before it speaks.
            await context.Response.BodyWriter.FlushAsync(stop.Token);
            await _node.Acceptor.AcceptAsync(connection, credential, stop.Token);
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            connection.Abort();
        }
        catch
        {
            connection.Abort();
            throw;
        }
    }

    private static PresentedCredential CredentialOf(HttpContext context)
    {
        var connection = context.Connection;
        var header = context.Request.Headers.Authorization;
        var isBearer = header is [{ } value] && value.StartsWith(BearerPrefix, StringComparison.OrdinalIgnoreCase);
        return new PresentedCredential
        {
            Certificate = connection.ClientCertificate,
            TokenHash = isBearer ? PeerToken.Hash(header[0]![BearerPrefix.Length..]) : null,
            RemoteAddress = connection.RemoteIpAddress,
            IsLocal = connection.RemoteIpAddress is { } address && IPAddress.IsLoopback(address) && !IsForwarded(context.Request),
            IsEncrypted = context.Request.IsHttps,
            User = context.User,
        };
    }

    /// <summary>A proxy on this machine makes everybody look local. Where the application trusts it, UseForwardedHeaders has put the real address in place by now.</summary>
    private static bool IsForwarded(HttpRequest request) =>
        request.Headers.ContainsKey("X-Forwarded-For") || request.Headers.ContainsKey("Forwarded") || request.Headers.ContainsKey("Via");

    private (int Status, string Reason)? Refusal(HttpContext context, PresentedCredential credential)
    {
        if (!HttpProtocol.IsHttp2(context.Request.Protocol))
        {
            return (StatusCodes.Status505HttpVersionNotsupported,
                $"Peers speak HTTP/2 here, and this request came with {context.Request.Protocol}. Set the endpoint's Protocols to Http2 (without TLS) or Http1AndHttp2 (with TLS).");
        }

        var known = _node.Credentials.Current;
        if (!credential.IsEncrypted && !credential.IsLocal && !known.AllowsPlaintextFromAny)
        {
            return (StatusCodes.Status403Forbidden,
                "AA3053: this connection is not encrypted. Dial an https address. Where a proxy ends TLS, call app.UseForwardedHeaders() so that X-Forwarded-Proto counts; where the network itself is encrypted, set AllowPlaintext.");
        }

        if (!_node.TurnsStrangersAway) return null;
        var evidence = known.Evaluate(credential);
        if (evidence.IsAnybody) return null;
        return known.HasAny
            ? (StatusCodes.Status401Unauthorized, $"AA3052: {evidence.CertificateProblem ?? NothingShown(known, credential)}")
            : (StatusCodes.Status403Forbidden, "AA3052: Without a shared token or credentials of peers, only loopback addresses may dial this node. Set SharedToken, the same on every node, or name the peers' certificates or tokens.");
    }

    private static string NothingShown(NodeCredentials known, PresentedCredential credential) => (credential.TokenHash, known.HasPeerCertificates) switch
    {
        (not null, _) => "The token that was shown is no peer's and not the shared one.",
        (null, false) => "No token was shown.",
        (null, true) => "This connection shows no client certificate, and no token. A server has to ask for certificates: call https.UseActiveActiveClientCertificates(…) on its endpoint; a proxy that ends TLS has to pass them on. Or the dialler has none: UseCertificate(…) there.",
    };

    /// <summary>
    /// A stream lasts for days and may be silent or endless. Kestrel's minimum response rate can't be lifted per HTTP/2 request; it only
    /// counts while the socket itself takes nothing, which is a dead peer.
    /// </summary>
    private static void LiftRequestLimits(HttpContext context)
    {
        var features = context.Features;
        features.Get<IHttpRequestTimeoutFeature>()?.DisableTimeout();
        if (features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } size) size.MaxRequestBodySize = null;
        if (features.Get<IHttpMinRequestBodyDataRateFeature>() is { } requestRate) requestRate.MinDataRate = null;
        if (features.Get<IHttpMinResponseDataRateFeature>() is { } responseRate) responseRate.MinDataRate = null;
        features.Get<IHttpResponseBodyFeature>()?.DisableBuffering();
    }
}
