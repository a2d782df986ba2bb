using System.Diagnostics;
using System.Security.Cryptography;
using ActiveActive;
using ActiveActive.Testing;
using QuickStart.Progress;

namespace QuickStart.Cluster;

/// <summary>All nodes: started together, stopped together.</summary>
internal sealed class BankCluster : IAsyncDisposable
{
    private static readonly string[] s_names = ["eu", "us", "asia", "africa", "oceania"];
    private static readonly TimeSpan s_joinTimeout = TimeSpan.FromSeconds(90);
    private static readonly TimeSpan s_pollInterval = TimeSpan.FromMilliseconds(100);

    public List<BankNode> Nodes { get; } = [];

    /// <summary>Starts the servers, then the hosts, and waits until every host receives from every other.</summary>
    public static async Task<BankCluster> StartAsync(QuickStartOptions options, CancellationToken cancellationToken)
    {
        var cluster = new BankCluster();
        try
        {
            await cluster.StartServersAsync(options, cancellationToken);
            await cluster.StartHostsAsync(options);
            await cluster.UntilJoinedAsync(cancellationToken);
            return cluster;
        }
        catch
        {
            await cluster.DisposeAsync();
            throw;
        }
    }

    /// <summary>Every node's status, in node order; null for a host that does not answer.</summary>
    public async Task<ClusterSnapshot> ReadStatusAsync(CancellationToken cancellationToken) =>
        new([.. Nodes.Select(n => n.Name)], await Task.WhenAll(Nodes.Select(node => node.ReadStatusAsync(cancellationToken))));

    /// <summary>Waits until every host receives from every other.</summary>
    public async Task UntilJoinedAsync(CancellationToken cancellationToken)
    {
        var waited = Stopwatch.StartNew();
        while (true)
        {
            var snapshot = await ReadStatusAsync(cancellationToken);
            if (snapshot.Statuses.All(s => s is { State: NodeState.Running } && s.Peers.All(p => p.Receiving == PeerLinkState.Streaming))) return;
            if (Nodes.FirstOrDefault(n => n.Host is { HasExited: true }) is { } ended)
            {
                throw new QuickStartException($"The host of node '{ended.Name}' ended by itself. The end of its output:\n{ended.Host!.Output}");
            }

            if (waited.Elapsed > s_joinTimeout)
            {
                throw new QuickStartException($"The hosts did not join within {s_joinTimeout.TotalSeconds} s.\n{snapshot.Troubles()}\n{DescribeHosts()}");
            }

            await Task.Delay(s_pollInterval, cancellationToken);
        }
    }

    /// <summary>The end of what each host printed.</summary>
    public string DescribeHosts() => string.Join('\n', Nodes.Select(n => $"--- output of host '{n.Name}':\n{n.Host?.Output}"));

    public async ValueTask DisposeAsync() => await Task.WhenAll(Nodes.Select(node => node.DisposeAsync().AsTask()));

    private async Task StartServersAsync(QuickStartOptions options, CancellationToken cancellationToken)
    {
        var starting = Enumerable.Range(0, options.Nodes).Select(i => BankNode.CreateAsync(i, s_names[i], options.PostgresOf(i), cancellationToken)).ToList();
        try
        {
            await Task.WhenAll(starting);
        }
        catch (PostgresServerException e)
        {
            throw new QuickStartException(e.Message, e);
        }
        finally
        {
            // Those that started are stopped with the cluster, also where another one did not start.
            Nodes.AddRange(starting.Where(s => s.IsCompletedSuccessfully).Select(s => s.Result));
        }
    }

    private async Task StartHostsAsync(QuickStartOptions options)
    {
        var ports = FreePorts.Pick(Nodes.Count * 2);
        var token = RandomNumberGenerator.GetHexString(32);
        foreach (var node in Nodes)
        {
            var peers = Nodes.Where(n => n != node).ToDictionary(n => n.Name, n => new Uri($"http://127.0.0.1:{ports[n.Index]}"));
            await node.StartHostAsync(ports[node.Index], ports[Nodes.Count + node.Index], token, peers, options.Verbose ? line => Console.WriteLine($"{node.Name}: {line}") : null);
        }
    }
}
