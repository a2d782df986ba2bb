using System.Runtime.CompilerServices;
using ActiveActive.Testing.Time;
using ActiveActive.Testing.Transport;

namespace ActiveActive.Testing;

/// <summary>
/// A whole cluster in one process, without a server: the real engine on every node, databases and network in memory, and faults at will. For
/// tests of an application's tables, resolvers and expectations.
/// </summary>
/// <remarks>
/// <para><b>Time.</b> The cluster has its own, from 2026-01-01 on. It passes only while the test waits for the cluster, and then it jumps from one
/// timer to the next, much faster than the real one (a minute in less than half a second). Nothing travels between two calls either, so writes on several nodes are
/// concurrent until the test waits, also without a <see cref="Partition"/>.</para>
/// <para><b>Threads.</b> The engine runs on one thread of the cluster's; call the cluster's methods from one place at a time.</para>
/// </remarks>
public sealed class InMemoryCluster : IAsyncDisposable
{
    private readonly ClusterLoop _loop = new();
    private readonly InMemoryClusterOptions _options;
    private readonly List<string> _names;
    private readonly List<InMemoryNode> _nodes;
    private bool _isOver;

    private InMemoryCluster(IReadOnlyList<string> names, InMemoryClusterOptions options)
    {
        _options = options;
        Faults = new LinkFaults(new NodeClock(_loop));
        Network = new InMemoryNetwork(new LoopPipeScheduler(_loop), Faults);
        _names = [.. names];
        _nodes = [.. names.Select((_, i) => new InMemoryNode(this, _loop, Network, options, _names, i))];
    }

    /// <summary>The nodes, in the order of their names' first mention; those that have joined, or are about to, behind them.</summary>
    public IReadOnlyList<InMemoryNode> Nodes => _nodes;

    /// <summary>A node by its place, from 0.</summary>
    public InMemoryNode this[int index] => Nodes[index];

    /// <summary>How much of the cluster's time has passed.</summary>
    public TimeSpan Elapsed => new(_loop.Now);

    internal InMemoryNetwork Network { get; }

    internal LinkFaults Faults { get; }

    internal ClusterLoop Loop => _loop;

    /// <summary>Starts nodes named <c>a</c>, <c>b</c>, <c>c</c> and so on, all of them peers of each other.</summary>
    /// <param name="nodes">How many, 1 to 26.</param>
    /// <param name="configure">Names the tables and their rules.</param>
    /// <exception cref="ArgumentException">A table or its rules do not fit.</exception>
    /// <exception cref="Microsoft.Extensions.Options.OptionsValidationException">Lists every problem of the nodes' options.</exception>
    public static Task<InMemoryCluster> StartAsync(int nodes, Action<InMemoryClusterOptions> configure)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(nodes, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(nodes, 26);
        return StartAsync([.. Enumerable.Range(0, nodes).Select(i => ((char)('a' + i)).ToString())], configure);
    }

    /// <summary>Starts a node for each name, all of them peers of each other.</summary>
    /// <param name="names">See <see cref="NodeName"/>; equal commit timestamps are ordered by them.</param>
    /// <param name="configure">Names the tables and their rules.</param>
    /// <param name="cancellationToken">Ends the wait for the nodes to connect.</param>
    /// <exception cref="ArgumentException">A table or its rules do not fit.</exception>
    /// <exception cref="Microsoft.Extensions.Options.OptionsValidationException">Lists every problem of the nodes' options.</exception>
    public static async Task<InMemoryCluster> StartAsync(IReadOnlyList<string> names, Action<InMemoryClusterOptions> configure, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(configure);
        var options = new InMemoryClusterOptions();
        configure(options);
        var cluster = new InMemoryCluster(names, options);
        try
        {
            await cluster.RunAsync("the nodes have started", () =>
            {
                foreach (var node in cluster.Nodes) node.Register();
                foreach (var node in cluster.Nodes) node.Start();
                return Task.FromResult(true);
            });
            await cluster.UntilAsync("all nodes stream from all peers",
                () => cluster.Nodes.All(n => n.Replication.Status.Peers.All(p => p is { Receiving: PeerLinkState.Streaming, Sending: PeerFeedState.Streaming })), cancellationToken);
            return cluster;
        }
        catch
        {
            await cluster.DisposeAsync();
            throw;
        }
    }

    /// <summary>
    /// Cuts the network between two nodes until <see cref="Heal"/>. What is under way between them is lost, and sent again later. A third node that reaches
    /// both relays between them after <see cref="ReplicationNodeOptions.RelayAfter"/>.
    /// </summary>
    public void Partition(InMemoryNode a, InMemoryNode b) => Network.Cut(NameOf(a), NameOf(b));

    /// <summary>Ends every partition, delay, duplication and pending loss. Nodes find each other again within their reconnect delay.</summary>
    public void Heal()
    {
        Network.HealAll();
        Faults.Clear();
    }

    /// <summary>Until <see cref="Heal"/>, all that one node sends to another arrives so much later, in order.</summary>
    public void Delay(InMemoryNode from, InMemoryNode to, TimeSpan delay)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(delay, TimeSpan.Zero);
        Faults.Delay(NameOf(from), NameOf(to), delay);
    }

    /// <summary>
    /// The next transaction that one node sends to another is lost under way, and with it the connection, since a stream has no holes: it
    /// is sent again over another one. Call it twice to lose two.
    /// </summary>
    public void Drop(InMemoryNode from, InMemoryNode to) => Faults.Drop(NameOf(from), NameOf(to));

    /// <summary>Until <see cref="Heal"/>, every transaction that one node sends to another is delivered twice.</summary>
    public void Duplicate(InMemoryNode from, InMemoryNode to) => Faults.Duplicate(NameOf(from), NameOf(to));

    /// <summary>
    /// A node's machine dies: application and database server at once, with what the server had not flushed, until <see cref="RestartAsync"/>.
    /// Commits of its own application are durable; transactions of peers that it had not acknowledged may be gone, and are sent again.
    /// </summary>
    /// <exception cref="InvalidOperationException">The node is down already.</exception>
    public void Crash(InMemoryNode node)
    {
        if (!Known(node).IsRunning) throw new InvalidOperationException($"Node '{node.Name}' is down already.");
        node.Crash();
        _loop.Post(_ => _ = node.EndAsync(), null);
    }

    /// <summary>A node's database server dies and is back at once; the application goes on. Connections break, what was not flushed is gone.</summary>
    /// <exception cref="InvalidOperationException">The node is down.</exception>
    public void CrashDatabase(InMemoryNode node)
    {
        if (!Known(node).IsRunning) throw new InvalidOperationException($"Node '{node.Name}' is down already.");
        node.Database.Crash();
    }

    /// <summary>Starts a node again after <see cref="Crash"/>, and returns when its engine runs.</summary>
    /// <exception cref="InvalidOperationException">The node is running.</exception>
    public Task RestartAsync(InMemoryNode node) => StartAgainAsync(node, isJoining: false);

    internal async Task StartAgainAsync(InMemoryNode node, bool isJoining)
    {
        if (Known(node).IsRunning) throw new InvalidOperationException($"Node '{node.Name}' is running.");
        await RunAsync($"node '{node.Name}' has ended and started again", async () =>
        {
            await node.RestartAsync();
            return true;
        });
        if (!isJoining) await UntilAsync($"the engine of node '{node.Name}' runs", () => node.Replication.Status.State == NodeState.Running);
    }

    /// <summary>
    /// Starts a new, empty node that gets its data from another one and becomes a member, while all others may go on writing. The engines of the others are started again, since their options name it then.
    /// Returns when its engine starts; wait for the node with <see cref="UntilAsync"/> or <see cref="ConvergeAsync"/>.
    /// </summary>
    /// <param name="name">Its name; one that no node of the cluster has had.</param>
    /// <param name="donor">The node that its data comes from.</param>
    public Task<InMemoryNode> JoinAsync(string name, InMemoryNode donor) => JoinAsync(name, donor, isFounding: false);

    internal async Task<InMemoryNode> JoinAsync(string name, InMemoryNode donor, bool isFounding)
    {
        var from = Known(donor).Name.Value;
        _names.Add(name);
        return await RunAsync($"node '{name}' has started", async () =>
        {
            foreach (var node in _nodes) await node.AddPeerAsync(name);
            var joining = new InMemoryNode(this, _loop, Network, _options, _names, _names.Count - 1, isFounding ? null : from);
            _nodes.Add(joining);
            joining.Register();
            joining.Start();
            return joining;
        });
    }

    /// <summary>Parts a node from the cluster, as <see cref="ReplicationNode.PartAsync"/> says; returns when the node that is asked is done with it.</summary>
    /// <param name="on">The node that is asked.</param>
    /// <param name="leaving">The node that is a member no more.</param>
    public Task PartAsync(InMemoryNode on, InMemoryNode leaving)
    {
        var node = Known(on).Replication;
        var name = Known(leaving).Name;
        return RunAsync($"node '{on}' has parted '{leaving}'", async () =>
        {
            await node.PartAsync(name);
            return true;
        });
    }

    /// <summary>Gets a node that was parted another one's data, as <see cref="ReplicationNode.ResyncAsync"/> says; returns when that has begun.</summary>
    /// <param name="node">The node that gives its data up.</param>
    /// <param name="donor">The node that its data comes from.</param>
    public Task ResyncAsync(InMemoryNode node, InMemoryNode donor)
    {
        var (resynced, name) = (Known(node).Replication, Known(donor).Name);
        return RunAsync($"node '{node}' has begun to get the data of '{donor}'", async () =>
        {
            await resynced.ResyncAsync(name);
            // What nobody has of it is not waited for.
            node.LastCommit = default;
            return true;
        });
    }

    /// <summary>Sets a node's clock so far ahead of the cluster's time (negative: behind); zero sets it right.</summary>
    public void SkewClock(InMemoryNode node, TimeSpan ahead) => Known(node).Clock.Offset = ahead;

    /// <summary>Waits until every running node has applied what the running nodes committed, and all of them hold the same rows.</summary>
    /// <param name="timeout">In the cluster's time; null for <see cref="InMemoryClusterOptions.Timeout"/>.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <exception cref="ConvergenceException">The time is over. The message shows what differs, and why.</exception>
    public async Task ConvergeAsync(TimeSpan? timeout = null, CancellationToken cancellationToken = default)
    {
        var limit = timeout ?? _options.Timeout;
        var report = new ConvergenceReport(this);
        if (!await DriveAsync(null, () => report.IsConverged, limit, cancellationToken)) throw new ConvergenceException(report.Describe(limit));
    }

    /// <summary>Waits until a condition holds. It is looked at whenever the cluster is at rest, on the cluster's thread, and must only look.</summary>
    /// <param name="what">The condition in words, for the message.</param>
    /// <param name="condition">The condition.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <exception cref="TimeoutException">It did not hold within <see cref="InMemoryClusterOptions.Timeout"/> of the cluster's time.</exception>
    public async Task UntilAsync(string what, Func<bool> condition, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(condition);
        if (await DriveAsync(null, condition, _options.Timeout, cancellationToken)) return;
        throw new TimeoutException($"Timed out after {_options.Timeout} of the cluster's time waiting until {what}.\n{new ConvergenceReport(this).DescribeNodes()}");
    }

    /// <summary>Lets a stretch of the cluster's time pass: everything that is due by then happens.</summary>
    public Task PassAsync(TimeSpan time, CancellationToken cancellationToken = default) => _loop.PassAsync(time, cancellationToken);

    /// <summary>Ends all nodes.</summary>
    public async ValueTask DisposeAsync()
    {
        if (_isOver) return;
        _isOver = true;
        try
        {
            await RunAsync("all nodes have ended", async () =>
            {
                foreach (var node in Nodes) await node.EndAsync();
                return true;
            });
        }
        finally
        {
            _loop.Dispose();
        }
    }

    /// <summary>Runs something on the loop, before anything else there, and lets the cluster go on until it has ended.</summary>
    internal async Task<T> RunAsync<T>(string what, Func<Task<T>> run)
    {
        Task<T>? running = null;
        if (await DriveAsync(() => running = run(), () => running is { IsCompleted: true }, _options.Timeout, CancellationToken.None)) return await running!;
        throw new TimeoutException($"Timed out after {_options.Timeout} of the cluster's time waiting until {what}.\n{new ConvergenceReport(this).DescribeNodes()}");
    }

    /// <summary>What is awaited here may be called on the loop, by a transaction; it must not need the loop to come back, which may have stopped.</summary>
    private ConfiguredTaskAwaitable<bool> DriveAsync(Action? start, Func<bool> isReached, TimeSpan timeout, CancellationToken cancellationToken) =>
        _loop.DriveAsync(start, isReached, timeout, cancellationToken).ConfigureAwait(false);

    private NodeName NameOf(InMemoryNode node) => Known(node).Name;

    private InMemoryNode Known(InMemoryNode node)
    {
        ArgumentNullException.ThrowIfNull(node);
        return Nodes.Contains(node) ? node : throw new ArgumentException($"Node '{node.Name}' belongs to another cluster.", nameof(node));
    }
}
