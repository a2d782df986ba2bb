using System.Net;
using ActiveActive;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace QuickStart.Bank;

/// <summary>The application: an ordinary ASP.NET host whose database is one node of the cluster.</summary>
internal static class BankHost
{
    /// <summary>Runs until the token is cancelled or the process is asked to stop.</summary>
    public static async Task RunAsync(HostSettings settings, CancellationToken cancellationToken)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.SetMinimumLevel(LogLevel.Warning).AddFilter("ActiveActive", LogLevel.Information)
            .AddSimpleConsole(console => (console.SingleLine, console.TimestampFormat) = (true, "HH:mm:ss.fff "));
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            // Peers speak HTTP/2. Without TLS that needs an endpoint of its own; with TLS one endpoint serves both.
            kestrel.Listen(IPAddress.Loopback, settings.PeerPort, endpoint => endpoint.Protocols = HttpProtocols.Http2);
            kestrel.Listen(IPAddress.Loopback, settings.AppPort, endpoint => endpoint.Protocols = HttpProtocols.Http1);
        });

        builder.Services.AddActiveActive(node =>
        {
            node.Named(settings.Name)
                .UsePostgres(settings.ConnectionString)
                .UseSharedToken(settings.SharedToken)
                .Replicate("public.*")
                .Replicate("public.accounts", table => table.DeltaColumn("balance"))
                .ResolveConflictsWith<TagUnion>("public.documents")
                // All hosts are on one machine: one that comes back is dialled again soon.
                .With(options => options.MaxReconnectDelay = TimeSpan.FromSeconds(2));
            foreach (var (name, address) in settings.Peers) node.AddPeer(name, address);
        });

        await using var app = builder.Build();
        app.MapActiveActive();
        app.MapHealthChecks("/health");
        app.MapGet("/status", (ReplicationNode node) => HostStatus.Of(node.Status));
        app.MapGet("/conflicts", (ReplicationNode node, CancellationToken aborted) => node.Conflicts.QueryAsync(new ConflictQuery { Limit = 20 }, aborted).Select(ConflictView.Of));
        await app.RunAsync(cancellationToken);
    }
}
