using ActiveActive.Database;
using ActiveActive.Testing;
using ActiveActive.Testing.Time;
using ActiveActive.Testing.Transport;
using ActiveActive.Transport;

namespace ActiveActive.Tests.Cluster;

/// <summary>Who is not what a node expects gets nothing, is written into the log, and is in nobody's way.</summary>
public sealed class StrangerTests
{
    private static readonly Uri s_address = new("http://localhost");
    private readonly LogLines _log = new();

    [Fact]
    [Trait("Story", "32")]
    public async Task Bytes_that_are_no_hello_are_logged_and_change_nothing()
    {
        await using var cluster = await TestTables.StartAsync(["a", "b"], static _ => { }, _log);
        var random = new Random(32);
        var noise = new byte[5_000];
        random.NextBytes(noise);
        byte[][] sent = [[], [0], noise, "GET / HTTP/1.1\r\n\r\n"u8.ToArray(), [.. Enumerable.Repeat((byte)0xff, 64)]];
        foreach (var bytes in sent) await DialAsync(cluster, async connection =>
        {
            await connection.Output.WriteAsync(bytes);
            await connection.Output.CompleteAsync();
            var answer = await connection.Input.ReadAsync();
            Assert.True(answer.IsCompleted && answer.Buffer.IsEmpty, "It was answered.");
        });

        await AssertUnharmedAsync(cluster);
        Assert.Equal(sent.Length - 1, _log.Lines.Count(line => line.StartsWith("AA0004: an inbound connection to node 'a' ended:", StringComparison.Ordinal)));
    }

    [Fact]
    [Trait("Story", "32")]
    public async Task Wrong_version_a_claimed_name_and_a_frame_out_of_place_are_refused_by_name_and_logged()
    {
        await using var cluster = await TestTables.StartAsync(["a", "b"], static _ => { }, _log);
        var (a, b) = (cluster[0].Name, cluster[1].Name);
        var hello = new HelloFrame(Handshake.MinProtocol, Handshake.MaxProtocol, b, a, a, new DatabaseIdentity(99, 1, 1, Guid.NewGuid(), 0), [], default, Features: []);
        var refused = new List<string>();
        foreach (var frame in (HelloFrame[])[hello with { MinProtocol = 70, MaxProtocol = 71 }, hello with { From = a }, hello with { From = new("stranger") }, hello with { To = new("stranger") }, hello])
        {
            await DialAsync(cluster, async connection =>
            {
                await using var frames = new FrameConnection(connection, "a", 1 << 20, Timeout.InfiniteTimeSpan, TimeProvider.System);
                await frames.WriteAsync(frame, CancellationToken.None);
                await frames.FlushAsync(CancellationToken.None);
                refused.Add(Assert.IsType<RefuseFrame>(await frames.ReadAsync(CancellationToken.None)).Code);
                Assert.Null(await frames.ReadAsync(CancellationToken.None));
            });
        }

        // The last one has the name of a peer whose database is another: its settings differ, too.
        Assert.Equal(["AA3001", "AA3003", "AA3004", "AA3002"], refused.Take(4));
        Assert.Contains(refused[4], (string[])["AA3003", "AA3006"]);
        await DialAsync(cluster, async connection =>
        {
            await using var frames = new FrameConnection(connection, "a", 1 << 20, Timeout.InfiniteTimeSpan, TimeProvider.System);
            await frames.WriteAsync(new AckFrame(new(1)), CancellationToken.None);
            await frames.FlushAsync(CancellationToken.None);
            Assert.Null(await frames.ReadAsync(CancellationToken.None));
        });

        await AssertUnharmedAsync(cluster);
        Assert.Equal(refused, _log.Lines.Where(line => line.StartsWith("AA0003: node 'a' refused peer", StringComparison.Ordinal)).Select(line => line[(line.IndexOf('(', StringComparison.Ordinal) + 1)..line.IndexOf(')', StringComparison.Ordinal)]));
    }

    /// <summary>Dials the first node over a network of its own, whose lines carry any bytes.</summary>
    private static async Task DialAsync(InMemoryCluster cluster, Func<IPeerConnection, Task> speak)
    {
        var network = new InMemoryNetwork(new LoopPipeScheduler(cluster.Loop));
        var node = cluster[0];
        using var registered = network.Register(node.Name, node.Replication);
        await cluster.RunAsync("the stranger has been answered", async () =>
        {
            await using var connection = await network.For(new NodeName("dialler")).ConnectAsync(new PeerAddress(node.Name, s_address), CancellationToken.None);
            await speak(connection);
            return true;
        });
        Assert.Empty(network.AcceptorFaults);
    }

    private static async Task AssertUnharmedAsync(InMemoryCluster cluster)
    {
        foreach (var node in cluster.Nodes) await node.PutAsync("lww", node.Name.Value, "unharmed");
        await cluster.ConvergeAsync();
        Assert.All(cluster.Nodes, node => Assert.Equal(2, node.ReadAll("lww").Count));
        Assert.All(cluster.Nodes, node => Assert.Equal((NodeState.Running, PeerLinkState.Streaming), (node.Replication.Status.State, node.Replication.Status.Peers[0].Receiving)));
    }
}
