using System.Net;
using System.Security.Cryptography.X509Certificates;
using ActiveActive.Credentials;
using ActiveActive.Transport;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace ActiveActive.AspNetCore.Tests.Credentials;

/// <summary>
/// The node <c>eu</c> in a real application on a real Kestrel; its database is not there, so that a peer which is let in is told AA3000, and one that is not, why.
/// </summary>
internal sealed class NodeServer : IAsyncDisposable
{
    public const string LetIn = "AA3000";
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(60);

    private readonly WebApplication _application;
    private readonly X509Certificate2? _certificate;

    private NodeServer(WebApplication application, X509Certificate2? certificate, CapturedLog log)
    {
        (_application, _certificate, Log) = (application, certificate, log);
        Address = new Uri(application.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Single());
    }

    public Uri Address { get; }

    public CapturedLog Log { get; }

    public IServiceProvider Services => _application.Services;

    /// <param name="configure">The node's options beside its name, database and tables.</param>
    /// <param name="certificate">The server's; null for no TLS.</param>
    /// <param name="builder">Further services and endpoints' settings.</param>
    /// <param name="pipeline">What stands before the endpoint.</param>
    /// <param name="section">Configuration that <paramref name="configure"/> adds to.</param>
    /// <param name="asks">Whether the endpoint asks for certificates.</param>
    public static async Task<NodeServer> StartAsync(
        Action<ReplicationNodeBuilder> configure, X509Certificate2? certificate = null, Action<WebApplicationBuilder>? builder = null, Action<WebApplication>? pipeline = null, IConfiguration? section = null, bool asks = true)
    {
        var log = new CapturedLog();
        var host = WebApplication.CreateSlimBuilder();
        host.WebHost.UseKestrelHttpsConfiguration();
        host.Logging.ClearProviders().AddProvider(log).SetMinimumLevel(LogLevel.Trace);
        host.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0, listen =>
        {
            listen.Protocols = HttpProtocols.Http2;
            if (certificate is null) return;
            listen.UseHttps(certificate, https =>
            {
                if (asks) https.UseActiveActiveClientCertificates(kestrel.ApplicationServices);
            });
        }));
        builder?.Invoke(host);
        host.Services.AddActiveActive(section ?? new ConfigurationBuilder().Build(), node =>
        {
            node.Named("eu").UsePostgres("Host=127.0.0.1;Port=1;Database=app;Username=app;Timeout=5").Replicate("public.*");
            configure(node);
        });
        var application = host.Build();
        pipeline?.Invoke(application);
        application.MapActiveActive();
        await application.StartAsync();
        return new NodeServer(application, certificate, log);
    }

    /// <summary>What a node hears that dials this one and pins its certificate: the answer's kind and message.</summary>
    /// <param name="name">Who it says that it is.</param>
    /// <param name="configure">What it shows.</param>
    /// <param name="said">Where all that was thrown is noted, in full.</param>
    public async Task<string> DialAsync(string name, Action<ReplicationNodeBuilder>? configure = null, List<string>? said = null)
    {
        var builder = new ReplicationNodeBuilder(new ServiceCollection(), new ReplicationNodeOptions());
        builder.Named(name).AddPeer("eu", Address, peer =>
        {
            if (_certificate is not null) peer.Certificate(_certificate.Thumbprint());
        });
        configure?.Invoke(builder);
        using var credentials = CredentialStore.Of(builder.Options, TimeProvider.System);
        var transport = new HttpPeerTransport(credentials);
        return await DialAsync(transport, Address, name, said);
    }

    public static async Task<string> DialAsync(IPeerTransport transport, Uri address, string name, List<string>? said = null)
    {
        var eu = new NodeName("eu");
        using var patience = new CancellationTokenSource(s_patience);
        try
        {
            await using var connection = await transport.ConnectAsync(new(eu, address), patience.Token);
            await using var frames = new FrameConnection(connection, "Peer 'eu'", 1 << 20, Timeout.InfiniteTimeSpan, TimeProvider.System);
            var handshake = new Handshake(new(name), new(1, 1, 1, Guid.NewGuid(), 0), [eu], []);
            await PeerGreeting.GreetAsync(frames, handshake, handshake.Hello(eu, eu, default, HelloPurpose.Changes, takesCompressed: false), patience.Token);
            return "welcome";
        }
        catch (ReplicationException e)
        {
            said?.Add(e.ToString());
            return $"{e.Kind}: {e.Message}";
        }
    }

    public ValueTask DisposeAsync() => _application.DisposeAsync();
}
