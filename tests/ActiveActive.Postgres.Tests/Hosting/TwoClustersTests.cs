using ActiveActive.Postgres.Tests.BadInput;
using ActiveActive.Postgres.Tests.Cluster;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace ActiveActive.Postgres.Tests.Hosting;

[Collection(nameof(ClusterServers))]
public sealed class TwoClustersTests(ClusterServers servers)
{
    private const string Schema = "CREATE TABLE t (id int PRIMARY KEY, v text);";

    [Fact]
    public async Task Keyed_nodes_of_two_clusters_share_a_process_and_a_port_and_keep_apart()
    {
        // The databases only: their nodes run under keys, each cluster on a path of its own.
        await using var orders = await NodePair.CreateAsync(servers, Schema, Schema);
        await using var stock = await NodePair.CreateAsync(servers, Schema, Schema);
        await using var left = Build(orders.A, stock.A, orders.B.Port, orders.Log);
        await using var right = Build(orders.B, stock.B, orders.A.Port, orders.Log);
        await left.StartAsync();
        await right.StartAsync();
        // What is written before a node's first set-up made its slot is not captured.
        string[] keys = ["orders", "stock"];
        await orders.UntilAsync("all four nodes stream", () => Task.FromResult(keys.All(key => new[] { left, right }.All(host =>
            host.Services.GetRequiredKeyedService<ReplicationNode>(key).Status.Peers is [{ Receiving: PeerLinkState.Streaming }]))));
        await orders.A.ExecuteAsync("INSERT INTO t VALUES (1, 'order')");
        await stock.B.ExecuteAsync("INSERT INTO t VALUES (1, 'stock')");
        await orders.UntilEqualAsync("t", "(1,order)");
        await stock.UntilEqualAsync("t", "(1,stock)");
        foreach (var key in keys) Assert.Equal(0, left.Services.GetRequiredKeyedService<ReplicationNode>(key).Status.Conflicts);
        await left.StopAsync();
        await right.StopAsync();
    }

    [Fact]
    public async Task Host_that_stops_after_a_burst_lets_its_peer_take_all_of_it()
    {
        await using var pair = await NodePair.StartAsync(servers, Schema);
        await pair.A.ExecuteAsync("DO $$ BEGIN FOR i IN 1..60 LOOP INSERT INTO t VALUES (i, 'x'); COMMIT; END LOOP; END $$");
        await pair.A.StopAsync();
        Assert.Equal(60, await pair.B.ScalarAsync<long>("SELECT count(*) FROM t"));
    }

    private static WebApplication Build(ClusterNode orders, ClusterNode stock, int otherPort, List<string> log)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders().AddProvider(new ClusterLog(orders.Name, log));
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.ListenLocalhost(orders.Port, listen => listen.Protocols = HttpProtocols.Http2));
        foreach (var (key, node) in new[] { ("orders", orders), ("stock", stock) })
        {
            builder.Services.AddKeyedActiveActive(key, options => options.Named(node.Name).UsePostgres(node.ConnectionString)
                .AddPeer(node.Name == "a" ? "b" : "a", new Uri($"http://localhost:{otherPort}")).Replicate("public.*").With(o => o.Path = $"/{key}"));
        }

        var application = builder.Build();
        application.MapActiveActive(serviceKey: "orders");
        application.MapActiveActive(serviceKey: "stock");
        return application;
    }
}
