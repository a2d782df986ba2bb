using System.Net;
using ActiveActive.Postgres.Tests.Cluster;
using ActiveActive.Testing;

namespace ActiveActive.Postgres.Tests.BadInput;

/// <summary>
/// Two nodes, <c>a</c> and <c>b</c>, that need not fit: each has its own schema and options. What goes wrong must be said in one
/// message, change nothing, leave the host up, and go away by itself once it is mended.
/// </summary>
internal sealed class NodePair : IAsyncDisposable
{
    private readonly List<string> _log = [];
    private readonly List<ClusterNode> _nodes = [];

    /// <summary>What the hosts log; a test's own hosts may add to it.</summary>
    public List<string> Log => _log;

    public ClusterNode A => _nodes[0];

    public ClusterNode B => _nodes[1];

    public static async Task<NodePair> CreateAsync(
        ClusterServers servers, string schemaA, string schemaB, Action<ReplicationNodeBuilder>? configureA = null, Action<ReplicationNodeBuilder>? configureB = null, int version = 18)
    {
        var pair = new NodePair();
        var server = (await servers.GetAsync([version]))[0];
        var ports = TestCluster.FreePorts(2);
        (string, int)[] members = [("a", ports[0]), ("b", ports[1])];
        await pair.AddAsync("a", ports[0], server, members, schemaA, configureA);
        await pair.AddAsync("b", ports[1], server, members, schemaB, configureB);
        return pair;
    }

    /// <summary>The same schema and options, both running.</summary>
    public static async Task<NodePair> StartAsync(
        ClusterServers servers, string schemaA, string? schemaB = null, Action<ReplicationNodeBuilder>? configure = null, int version = 18)
    {
        var pair = await CreateAsync(servers, schemaA, schemaB ?? schemaA, configure, configure, version);
        await pair.A.StartAsync();
        await pair.B.StartAsync();
        await pair.UntilStreamingAsync();
        return pair;
    }

    public async Task<ClusterNode> AddAsync(
        string name, int port, PostgresServer server, IReadOnlyList<(string, int)> members, string schema, Action<ReplicationNodeBuilder>? configure)
    {
        var node = await ClusterNode.CreateAsync(name, port, server, members, schema, builder =>
        {
            builder.Replicate("public.*");
            configure?.Invoke(builder);
        }, _log);
        _nodes.Add(node);
        return node;
    }

    public Task UntilStreamingAsync() => UntilAsync("both nodes stream", () =>
        Task.FromResult(_nodes.Take(2).All(n => n.Node.Status is { State: NodeState.Running } status && status.Peers.All(p => p is { Receiving: PeerLinkState.Streaming, Message: null }))));

    public Task UntilEqualAsync(string table, string expected) => UntilAsync($"{table} is [{expected}] on both nodes", async () =>
        await A.DumpAsync(table) == expected && await B.DumpAsync(table) == expected);

    /// <summary>Waits for a node's own message.</summary>
    public async Task<string> FaultAsync(ClusterNode node, params string[] said)
    {
        await UntilAsync($"node {node.Name} says [{string.Join("] [", said)}]", () => Task.FromResult(Says(node.Node.Status.Message, said)));
        await AssertAnswersAsync(node);
        return node.Node.Status.Message!;
    }

    /// <summary>Waits for a node's message about its only peer.</summary>
    public async Task<PeerStatus> PeerFaultAsync(ClusterNode node, PeerLinkState state, params string[] said)
    {
        await UntilAsync($"node {node.Name} is {state} and says [{string.Join("] [", said)}]", () =>
            Task.FromResult(node.Node.Status.Peers is [var peer] && peer.Receiving == state && Says(peer.Message, said)));
        await AssertAnswersAsync(node);
        return node.Node.Status.Peers[0];
    }

    public async Task UntilAsync(string what, Func<Task<bool>> condition)
    {
        var deadline = DateTime.UtcNow + TimeSpan.FromSeconds(40);
        while (!await condition())
        {
            if (DateTime.UtcNow > deadline) Assert.Fail($"Timed out waiting until {what}.\n{Describe()}");
            await Task.Delay(TimeSpan.FromMilliseconds(20), TestContext.Current.CancellationToken);
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var node in _nodes) await node.StopAsync();
        foreach (var node in _nodes) await node.DisposeAsync();
    }

    private static bool Says(string? message, string[] said) => message is not null && said.All(part => message.Contains(part, StringComparison.Ordinal));

    /// <summary>The application goes on: its web server answers, if only that there is no such page.</summary>
    private static async Task AssertAnswersAsync(ClusterNode node)
    {
        using var client = new HttpClient { DefaultRequestVersion = HttpVersion.Version20, DefaultVersionPolicy = HttpVersionPolicy.RequestVersionExact };
        using var answer = await client.GetAsync(new Uri($"http://localhost:{node.Port}/"));
        Assert.Equal(HttpStatusCode.NotFound, answer.StatusCode);
    }

    private string Describe()
    {
        var states = _nodes.Where(n => n.Host is not null).Select(n => n.Node.Status).Select(s =>
            $"{s.Node} {s.State}: {s.Message}\n{string.Join("\n", s.Peers.Select(p => $"   {p.Peer} {p.Receiving}/{p.Sending}: {p.Message}"))}");
        lock (_log) return string.Join("\n", states.Concat(_log.TakeLast(40)));
    }
}
