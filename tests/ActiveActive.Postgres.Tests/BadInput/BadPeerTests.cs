using ActiveActive.Postgres.Tests.Cluster;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.Logging;

namespace ActiveActive.Postgres.Tests.BadInput;

/// <summary>Two nodes that do not fit each other refuse each other, and say what disagrees and where to mend it.</summary>
[Collection(nameof(ClusterServers))]
public sealed class BadPeerTests(ClusterServers servers)
{
    private const string Schema = "CREATE TABLE t (id int PRIMARY KEY, v text, n int NOT NULL DEFAULT 0);";
    private const string Token = "a-token-of-enough-letters";

    [Fact]
    public async Task Node_that_the_peer_does_not_know_is_told_what_to_add_there()
    {
        await using var pair = await NodePair.CreateAsync(servers, Schema, Schema, configureB: node => node.With(o => o.Peers.Clear()));
        await pair.A.StartAsync();
        await pair.B.StartAsync();
        await pair.PeerFaultAsync(pair.A, PeerLinkState.Refused, "AA3004", "Node 'b' knows no peer 'a'", "AddPeer(\"a\", …)");
        // Mended on b, with what was written meanwhile.
        await pair.A.ExecuteAsync("INSERT INTO t VALUES (1, 'x')");
        await pair.B.StopAsync();
        var port = pair.A.Port;
        await pair.B.StartAsync(node => node.AddPeer("a", new Uri($"http://localhost:{port}")));
        await pair.UntilStreamingAsync();
        await pair.UntilEqualAsync("t", "(1,x,0)");
    }

    [Theory]
    [InlineData("delta")]
    [InlineData("resolver")]
    public async Task Options_on_one_side_only_are_refused_by_both_and_nothing_is_applied(string setting)
    {
        await using var pair = await NodePair.CreateAsync(servers, Schema, Schema, configureA: node =>
        {
            if (setting == "delta") node.Replicate("public.t", table => table.DeltaColumn("n"));
            else node.Replicate("public.t", table => table.ResolveConflictsWith(new TagUnion()));
        });
        await pair.A.StartAsync();
        await pair.B.StartAsync();
        await pair.A.ExecuteAsync("INSERT INTO t VALUES (1, 'x', 1)");
        string[] said = ["AA3006", "table public.t", setting == "delta" ? "delta columns (n)" : nameof(TagUnion), "'not set' on 'b'", "Make them equal on every node"];
        await pair.PeerFaultAsync(pair.A, PeerLinkState.Refused, said);
        await pair.PeerFaultAsync(pair.B, PeerLinkState.Refused, said);
        Assert.Equal("", await pair.B.DumpAsync("t"));
        var difference = Assert.Single(pair.A.Node.Status.Peers[0].SettingDifferences);
        Assert.StartsWith("table public.t: ", difference, StringComparison.Ordinal);
        Assert.Contains(said[2], difference, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Address_that_answers_as_another_node_is_refused_by_name()
    {
        await using var pair = await NodePair.CreateAsync(servers, Schema, Schema);
        await pair.B.StartAsync();
        await pair.A.StartAsync(node => node.With(o =>
        {
            o.Peers["c"] = o.Peers["b"];
            o.Peers.Remove("b");
        }));
        await pair.PeerFaultAsync(pair.A, PeerLinkState.Refused, "AA3002", "dialled 'c' and reached 'b'", "AddPeer(\"c\", …) on node 'a'");
    }

    [Fact]
    [Trait("Story", "32")]
    public async Task Second_node_of_one_name_is_refused_while_the_first_goes_on()
    {
        await using var pair = await NodePair.StartAsync(servers, Schema);
        var port = TestCluster.FreePorts(1)[0];
        var twin = await pair.AddAsync("a", port, pair.A.Server, [("a", port), ("b", pair.B.Port)], Schema, null);
        await twin.StartAsync();
        await pair.PeerFaultAsync(twin, PeerLinkState.Refused, "AA3003", "Two nodes are named 'a'", "Named(…)");
        await twin.ExecuteAsync("INSERT INTO t VALUES (1, 'of the twin')");
        await pair.A.ExecuteAsync("INSERT INTO t VALUES (2, 'of a')");
        await pair.UntilEqualAsync("t", "(2,\"of a\",0)");
    }

    [Fact]
    public async Task Wrong_shared_token_is_refused_and_not_printed()
    {
        await using var pair = await NodePair.CreateAsync(servers, Schema, Schema, node => node.UseSharedToken(Token), node => node.UseSharedToken(Token + "2"));
        await pair.A.StartAsync();
        await pair.B.StartAsync();
        var fault = await pair.PeerFaultAsync(pair.A, PeerLinkState.Refused, "Peer b at", "401", "set the same SharedToken on every node");
        Assert.DoesNotContain(Token, fault.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Endpoint_that_speaks_only_http_1_is_told_apart()
    {
        await using var pair = await NodePair.CreateAsync(servers, Schema, Schema);
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.ListenLocalhost(pair.B.Port, listen => listen.Protocols = HttpProtocols.Http1));
        await using var old = builder.Build();
        await old.StartAsync();
        await pair.A.StartAsync();
        await pair.PeerFaultAsync(pair.A, PeerLinkState.Refused, "Peer b at http://localhost", "does not speak HTTP/2", "Protocols = Http2");
    }
}
