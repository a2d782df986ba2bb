using System.Text.Json.Nodes;
using ActiveActive.Postgres.Tests.BadInput;
using ActiveActive.Postgres.Tests.Cluster;
using ActiveActive.Postgres.Tests.Programs;

namespace ActiveActive.Postgres.Tests.Tool;

/// <summary>Two nodes in the tests' process, a third one that may join, and the tool in processes of its own.</summary>
public sealed class ToolNodes(ClusterServers servers) : IAsyncLifetime
{
    private const string Tool = "tool/ActiveActive.Tool.dll";

    private const string Schema = "CREATE TABLE accounts (id int PRIMARY KEY, v text);";
    private const string Strict = "CREATE TABLE accounts (id int PRIMARY KEY, v text CONSTRAINT no_x CHECK (v <> 'x'));";

    private readonly int _port = TestCluster.FreePorts(1)[0];
    private NodePair _pair = null!;
    private bool _isThirdNamed;

    internal NodePair Pair => _pair;

    internal ClusterNode A => _pair.A;

    internal ClusterNode B => _pair.B;

    public async ValueTask InitializeAsync()
    {
        _pair = await NodePair.CreateAsync(servers, Schema, Strict, null, node => node.Replicate("public.*", table => table.OnApplyError(ApplyErrorPolicy.Quarantine)));
        await StartAsync(A);
        await StartAsync(B);
        await UntilStreamingAsync();
    }

    public ValueTask DisposeAsync() => _pair.DisposeAsync();

    /// <summary>Starts a node again, which has been stopped.</summary>
    internal Task StartAsync(ClusterNode node) => node.StartAsync(options =>
    {
        if (_isThirdNamed) options.AddPeer("c", new Uri($"http://localhost:{_port}"));
    });

    /// <summary>A node that joins.</summary>
    internal async Task<ClusterNode> AddThirdAsync()
    {
        _isThirdNamed = true;
        foreach (var node in new[] { A, B })
        {
            await node.StopAsync();
            await StartAsync(node);
        }

        await UntilStreamingAsync();
        var c = await _pair.AddAsync("c", _port, A.Server, [("a", A.Port), ("b", B.Port), ("c", _port)], Schema, node => node.JoinFrom("a"));
        await c.StartAsync();
        return c;
    }

    public Task UntilStreamingAsync() => _pair.UntilAsync("both stream", () => Task.FromResult(
        new[] { A, B }.All(n => n.Node.Status is { State: NodeState.Running, Peers: var peers } && peers.Where(p => p.Membership == PeerMembership.Joined).All(p => p is { Receiving: PeerLinkState.Streaming, Sending: PeerFeedState.Streaming, LibraryVersion: not null }))));

    /// <summary>Runs the tool for a node.</summary>
    internal static Task<(int ExitCode, string Output)> RunAsync(ClusterNode node, params string[] arguments) => RunAsync(["--connection", node.ConnectionString, .. arguments]);

    internal static Task<(int ExitCode, string Output)> RunAsync(params string[] arguments) => ProgramRun.RunAsync(Tool, TimeSpan.FromMinutes(2), arguments);

    /// <summary>The same, answered in JSON.</summary>
    internal static async Task<(int ExitCode, JsonNode Json)> AskAsync(ClusterNode node, params string[] arguments)
    {
        var (code, output) = await RunAsync(node, [.. arguments, "--json"]);
        return (code, JsonNode.Parse(output)!);
    }
}
