using ActiveActive.Postgres.Tests.Cluster;
using ActiveActive.Transport;

namespace ActiveActive.Postgres.Tests.BadInput;

/// <summary>A peer that speaks garbage, over HTTP to nodes on real servers: it loses its connection, and nobody else anything.</summary>
[Collection(nameof(ClusterServers))]
public sealed class GarbagePeerTests(ClusterServers servers)
{
    private const string Schema = "CREATE TABLE t (id int PRIMARY KEY, v text, n int NOT NULL DEFAULT 0);";

    [Fact]
    [Trait("Story", "32")]
    public async Task Garbage_costs_its_sender_the_connection_and_is_logged_while_the_other_stream_goes_on()
    {
        var port = TestCluster.FreePorts(1)[0];
        await using var garbage = await GarbagePeer.StartAsync(port);
        void WithGarbage(ReplicationNodeBuilder node) => node.AddPeer(GarbagePeer.Name, new Uri($"http://localhost:{port}")).With(o =>
        {
            o.MaxReconnectDelay = TimeSpan.FromMilliseconds(50);
            // The garbage peer's links are asked to compress, too.
            o.Compression = FrameCompression.Always;
        });
        await using var pair = await NodePair.CreateAsync(servers, Schema, Schema, WithGarbage, WithGarbage);
        await pair.A.StartAsync();
        await pair.B.StartAsync();
        await pair.UntilAsync("a and b stream to each other", () => Task.FromResult(StreamsTo(pair.A, "b") && StreamsTo(pair.B, "a")));
        var connected = Connected(pair);

        // As the one that is dialled, in answer to both nodes.
        await pair.UntilAsync("every kind of garbage was answered", () => Task.FromResult(garbage.IsExhausted));
        // As the one that dials.
        var transport = new HttpPeerTransport(sharedToken: null);
        var id = 0;
        var kinds = GarbagePeer.BeforeTheHandshake().Select(bytes => (IsWelcome: false, bytes)).Concat(GarbagePeer.AfterTheWelcome().Select(bytes => (IsWelcome: true, bytes)));
        foreach (var (isWelcome, bytes) in kinds)
        {
            await DialAsync(transport, pair.A.Port, isWelcome, bytes);
            await pair.A.ExecuteAsync($"INSERT INTO t VALUES ({++id}, 'of a')");
            await pair.B.ExecuteAsync($"INSERT INTO t VALUES ({-id}, 'of b')");
        }

        await pair.UntilAsync("both nodes have all rows", async () => await CountAsync(pair.A) == 2 * id && await CountAsync(pair.B) == 2 * id);
        Assert.Equal(await pair.A.DumpAsync("t"), await pair.B.DumpAsync("t"));
        Assert.Equal("", await pair.A.ScalarAsync<string>("SELECT coalesce(string_agg(v, ','), '') FROM t WHERE id = 666"));
        Assert.True(connected.SequenceEqual(Connected(pair)), $"A stream of a and b was interrupted:\n{string.Join("\n", Connected(pair))}");
        string[] lines;
        lock (pair.Log) lines = [.. pair.Log];
        string[] said =
        [
            // Dialled, before and after the handshake; and dialling.
            "AA0004: an inbound connection to node 'a' ended: A dialling peer sent what is no frame",
            "AA3012: the connection of peer 'c' to node 'a' ended: A dialling peer sent what is no frame",
            "AA3012: the connection of peer 'c' to node 'a' ended: Peer 'c' sent a HelloFrame where only acknowledgements belong",
            "AA3021: node 'a', peer 'c': Corrupt:",
            "AA3021: node 'b', peer 'c': Corrupt:",
        ];
        Assert.All(said, part => Assert.True(Array.Exists(lines, line => line.Contains(part, StringComparison.Ordinal)), $"Nobody says: {part}\n{string.Join("\n", lines.Where(l => l.Contains("AA", StringComparison.Ordinal)).TakeLast(60))}"));
    }

    private static bool StreamsTo(ClusterNode node, string peer) =>
        node.Node.Status is { State: NodeState.Running } status && status.Peers.Any(p => p is { Receiving: PeerLinkState.Streaming, Sending: PeerFeedState.Streaming } && p.Peer.Value == peer);

    private static Task<long> CountAsync(ClusterNode node) => node.ScalarAsync<long>("SELECT count(*) FROM t");

    /// <summary>What the log says of connections between a and b.</summary>
    private static List<string> Connected(NodePair pair)
    {
        lock (pair.Log)
        {
            return [.. pair.Log.Where(line => line.Contains("AA3020: node 'a' is connected to peer 'b'", StringComparison.Ordinal) || line.Contains("AA3020: node 'b' is connected to peer 'a'", StringComparison.Ordinal))];
        }
    }

    private static async Task DialAsync(HttpPeerTransport transport, int port, bool isWelcome, byte[] garbage)
    {
        await using var connection = await transport.ConnectAsync(new PeerAddress(new NodeName("a"), new Uri($"http://localhost:{port}")), TestContext.Current.CancellationToken);
        if (isWelcome)
        {
            await connection.Output.WriteAsync(FrameCodec.Encode(GarbagePeer.Hello(GarbagePeer.Name, "a")));
            // The answer.
            connection.Input.AdvanceTo((await connection.Input.ReadAsync()).Buffer.End);
        }

        await connection.Output.WriteAsync(garbage);
        await connection.Output.CompleteAsync();
        // Until the node has ended it.
        try
        {
            while (await connection.Input.ReadAsync() is { IsCompleted: false } result) connection.Input.AdvanceTo(result.Buffer.End);
        }
        catch (Exception e) when (e is IOException or HttpRequestException)
        {
        }
    }
}
