using ActiveActive.AspNetCore;
using ActiveActive.Transport;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;

namespace Microsoft.AspNetCore.Builder;

/// <summary>Lets the peers of a replication node in on the application's own web server.</summary>
public static class ActiveActiveEndpointRouteBuilderExtensions
{
    /// <summary>
    /// Maps the endpoint that peers dial. It speaks HTTP/2 only: with TLS, Kestrel's default protocols will do; without TLS the endpoint
    /// needs <c>Protocols = Http2</c>. A peer shows the node's shared token; while none is set, only loopback may dial. Policies that
    /// the application puts on it (<c>RequireAuthorization</c>, <c>RequireHost</c>) hold in addition, and a fallback authorization
    /// policy does, too.
    /// </summary>
    /// <param name="endpoints">The application.</param>
    /// <param name="path">Where to answer; null for the node's <see cref="ActiveActive.ReplicationNodeOptions.Path"/>. Peers must dial the same path.</param>
    /// <param name="serviceKey">Which node, where the application runs several under service keys; null for the only one.</param>
    /// <returns>The endpoint, to put conventions on.</returns>
    /// <exception cref="InvalidOperationException">No node is registered (under that key): <c>AddActiveActive</c> was not called.</exception>
    public static IEndpointConventionBuilder MapActiveActive(this IEndpointRouteBuilder endpoints, string? path = null, object? serviceKey = null)
    {
        ArgumentNullException.ThrowIfNull(endpoints);
        var services = endpoints.ServiceProvider;
        var node = (serviceKey is null ? services.GetService<PeerEndpoint>() : services.GetKeyedService<PeerEndpoint>(serviceKey))
            ?? throw new InvalidOperationException(serviceKey is null
                ? "MapActiveActive needs a node: call builder.Services.AddActiveActive(...) first."
                : $"MapActiveActive finds no node under the service key '{serviceKey}': call builder.Services.AddActiveActive(...) with that key first.");
        var handler = new PeerRequestHandler(node, services);
        return endpoints.MapPost(path ?? node.Path, (RequestDelegate)handler.HandleAsync)
            .DisableRequestTimeout()
            .WithDisplayName($"ActiveActive peers {path ?? node.Path}");
    }
}
