using System.Net;
using System.Security.Cryptography.X509Certificates;
using ActiveActive.Transport;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace ActiveActive.AspNetCore.Tests;

/// <summary>A real Kestrel on a free loopback port.</summary>
internal sealed class PeerServer : IAsyncDisposable
{
    private readonly WebApplication _application;

    private PeerServer(WebApplication application)
    {
        _application = application;
        Address = new Uri(application.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Single());
    }

    public Uri Address { get; }

    /// <param name="node">What is registered; null for nothing.</param>
    /// <param name="protocols">What the endpoint speaks.</param>
    /// <param name="configure">The pipeline; null maps the node on its path.</param>
    /// <param name="certificate">Null for no TLS.</param>
    public static async Task<PeerServer> StartAsync(PeerEndpoint? node, HttpProtocols protocols = HttpProtocols.Http2, Action<WebApplication>? configure = null, X509Certificate2? certificate = null)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.WebHost.UseKestrelHttpsConfiguration();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0, listen =>
        {
            listen.Protocols = protocols;
            if (certificate is not null) listen.UseHttps(certificate);
        }));
        if (node is not null) builder.Services.AddSingleton(node);
        builder.Services.AddRequestTimeouts(timeouts => timeouts.DefaultPolicy = new() { Timeout = TimeSpan.FromSeconds(1) });
        var application = builder.Build();
        application.UseRequestTimeouts();
        if (configure is null) application.MapActiveActive();
        else configure(application);
        await application.StartAsync();
        return new PeerServer(application);
    }

    public Task StopAsync() => _application.StopAsync();

    public ValueTask DisposeAsync() => _application.DisposeAsync();
}
