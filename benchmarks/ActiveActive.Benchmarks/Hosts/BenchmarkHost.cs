using System.Net;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace ActiveActive.Benchmarks.Hosts;

/// <summary>One node as applications run it: an ASP.NET host with <c>AddActiveActive</c>, and endpoints by which the benchmark drives it.</summary>
internal static class BenchmarkHost
{
    public static async Task RunAsync(HostSettings settings, CancellationToken cancellationToken)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.SetMinimumLevel(LogLevel.Warning).AddSimpleConsole(console => console.SingleLine = true);
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.Listen(IPAddress.Loopback, settings.PeerPort, endpoint => endpoint.Protocols = HttpProtocols.Http2);
            kestrel.Listen(IPAddress.Loopback, settings.ControlPort, endpoint => endpoint.Protocols = HttpProtocols.Http1);
        });
        builder.Services.AddActiveActive(node =>
        {
            node.Named(settings.Name).UsePostgres(settings.ConnectionString).UseSharedToken(settings.SharedToken).Replicate("public.*");
            foreach (var (table, column) in settings.DeltaColumns) node.Replicate(table, rule => rule.DeltaColumn(column));
            foreach (var (name, addresses) in settings.Peers) node.AddPeer(name, addresses);
        });

        await using var app = builder.Build();
        app.MapActiveActive();
        app.MapGet("/status", (ReplicationNode node) => Describe(node.Status));
        app.MapPost("/pause", (ReplicationNode node) => ForEachPeerAsync(node, node.PausePeerAsync));
        app.MapPost("/resume", (ReplicationNode node) => ForEachPeerAsync(node, node.ResumePeerAsync));
        await app.RunAsync(cancellationToken);
    }

    private static HostStatus Describe(NodeStatus status) => new(
        status.State,
        status.Message,
        status.Peers.ToDictionary(p => p.Peer.ToString(), p => p.Receiving),
        [.. status.Peers.Where(p => p.Message is not null).Select(p => $"{p.Peer}: {p.Message}")]);

    private static async Task ForEachPeerAsync(ReplicationNode node, Func<NodeName, CancellationToken, Task> act)
    {
        foreach (var peer in node.Status.Peers) await act(peer.Peer, CancellationToken.None);
    }
}
