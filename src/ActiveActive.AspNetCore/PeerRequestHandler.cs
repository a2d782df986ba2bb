using System.Net;
using System.Security.Cryptography;
using System.Text;
using ActiveActive.Transport;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Http.Timeouts;
using Microsoft.AspNetCore.Server.Kestrel.Core.Features;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace ActiveActive.AspNetCore;

/// <summary>Answers a peer that dials: looks at the protocol and the credential, then hands the stream to the node.</summary>
internal sealed class PeerRequestHandler
{
    private const string BearerPrefix = "Bearer ";

    private readonly PeerEndpoint _node;
    private readonly byte[]? _tokenHash;
    private readonly CancellationToken _stopping;

    public PeerRequestHandler(PeerEndpoint node, IServiceProvider services)
    {
        _node = node;
        _tokenHash = node.SharedToken is { } token ? SHA256.HashData(Encoding.UTF8.GetBytes(token)) : null;
        _stopping = node.Stopping ?? services.GetService<IHostApplicationLifetime>()?.ApplicationStopping ?? CancellationToken.None;
    }

    public async Task HandleAsync(HttpContext context)
    {
        if (Refusal(context) is var (status, reason))
        {
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
            await _node.Acceptor.AcceptAsync(connection, stop.Token);
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

    private (int Status, string Reason)? Refusal(HttpContext context)
    {
        if (!HttpProtocol.IsHttp2(context.Request.Protocol))
        {
            return (StatusCodes.Status505HttpVersionNotsupported,
                $"Peers speak HTTP/2 here, and this request came with {context.Request.Protocol}. Set the endpoint's Protocols to Http2 (without TLS) or Http1AndHttp2 (with TLS).");
        }

        if (_tokenHash is not null)
        {
            return ShowsToken(context.Request) ? null : (StatusCodes.Status401Unauthorized, "The shared token is missing or another one. Set the same SharedToken on every node.");
        }

        return context.Connection.RemoteIpAddress is { } address && IPAddress.IsLoopback(address)
            ? null
            : (StatusCodes.Status403Forbidden, "Without a shared token only loopback addresses may dial this node. Set SharedToken, the same on every node.");
    }

    /// <summary>Compares digests in constant time: how long it takes tells neither the token's length nor its beginning.</summary>
    private bool ShowsToken(HttpRequest request)
    {
        var header = request.Headers.Authorization;
        if (header.Count != 1 || header[0] is not { } value || !value.StartsWith(BearerPrefix, StringComparison.OrdinalIgnoreCase)) return false;
        Span<byte> shown = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(Encoding.UTF8.GetBytes(value[BearerPrefix.Length..]), shown);
        return CryptographicOperations.FixedTimeEquals(shown, _tokenHash);
    }

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
