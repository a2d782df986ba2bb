using System.Net;
using System.Net.Sockets;
using System.Text;
using ActiveActive.Testing;

namespace ActiveActive.Postgres.Tests.Cluster;

/// <summary>Several nodes on real servers, joined over HTTP/2 on loopback.</summary>
internal sealed class TestCluster : IAsyncDisposable
{
    private const string ProbeSchema = "CREATE TABLE quiet_probe (node text PRIMARY KEY, round uuid NOT NULL);";
    private static readonly string[] s_names = ["a", "b", "c", "d", "e"];
    private readonly List<string> _log = [];
    private List<(string Name, int Port)> _members = [];
    private string _schema = "";
    private Action<ReplicationNodeBuilder> _configure = static _ => { };

    public List<ClusterNode> Nodes { get; } = [];

    /// <summary>What all hosts have logged.</summary>
    public string Log
    {
        get
        {
            lock (_log) return string.Join('\n', _log);
        }
    }

    public ClusterNode this[int index] => Nodes[index];

    /// <summary>
    /// One node for each server given; a server given twice holds two databases. <paramref name="beforeSchema"/> is for
    /// what only a superuser may do, <paramref name="prepare"/> runs once all databases are there.
    /// </summary>
    public static async Task<TestCluster> StartAsync(IEnumerable<PostgresServer> servers, string schema, Action<ReplicationNodeBuilder> configure, IReadOnlyList<string>? databaseOptions = null, Func<ClusterNode, Task>? prepare = null, Func<ClusterNode, Task>? beforeSchema = null)
    {
        var cluster = new TestCluster { _schema = ProbeSchema + schema, _configure = configure };
        var all = servers.ToList();
        var members = cluster._members = [.. FreePorts(all.Count).Select((port, i) => (s_names[i], port))];
        for (var i = 0; i < all.Count; i++)
        {
            cluster.Nodes.Add(await ClusterNode.CreateAsync(s_names[i], members[i].Item2, all[i], members, ProbeSchema + schema, configure, cluster._log, databaseOptions?[i] ?? "", beforeSchema));
        }

        if (prepare is not null) await Task.WhenAll(cluster.Nodes.Select(prepare));
        foreach (var node in cluster.Nodes) await node.StartAsync();
        await cluster.UntilAsync("all nodes stream from all peers", () => Task.FromResult(cluster.Nodes.All(n => n.Node.Status.Peers.All(p => p.Receiving == PeerLinkState.Streaming))));
        return cluster;
    }

    /// <summary>Creates a node with empty tables, and starts all hosts again one after the other, since their options name it then. The new node is not started.</summary>
    public async Task<ClusterNode> AddNodeAsync(PostgresServer server)
    {
        var (name, port) = (s_names[_members.Count], FreePorts(1)[0]);
        _members.Add((name, port));
        foreach (var node in Nodes)
        {
            await node.StopAsync();
            await node.StartAsync();
        }

        var added = await ClusterNode.CreateAsync(name, port, server, _members, _schema, _configure, _log);
        Nodes.Add(added);
        return added;
    }

    /// <summary>
    /// Waits until every node has applied what every other has committed before this call: each writes a row of its own, and streams
    /// keep their order.
    /// </summary>
    public async Task QuietAsync(TimeSpan? timeout = null)
    {
        var round = Guid.NewGuid();
        foreach (var node in Nodes) await node.ExecuteAsync($"INSERT INTO quiet_probe VALUES ('{node.Name}', '{round}') ON CONFLICT (node) DO UPDATE SET round = excluded.round");
        foreach (var node in Nodes)
        {
            await UntilAsync($"node {node.Name} has applied what all others committed", async () =>
                await node.ScalarAsync<long>($"SELECT count(*) FROM quiet_probe WHERE round = '{round}'") == Nodes.Count, timeout);
        }
    }

    public async Task AssertIdenticalAsync(params string[] tables)
    {
        foreach (var table in tables)
        {
            var first = await Nodes[0].DumpAsync(table);
            foreach (var node in Nodes.Skip(1))
            {
                var other = await node.DumpAsync(table);
                if (first == other) continue;
                var left = first.Split('\n');
                var right = other.Split('\n');
                Assert.Fail($"{table} differs: only on {Nodes[0].Name}: [{string.Join("; ", left.Except(right).Take(5))}], only on {node.Name}: [{string.Join("; ", right.Except(left).Take(5))}]\n{Describe()}");
            }
        }
    }

    /// <summary>Polls a condition of running hosts; fails with the nodes' status and log.</summary>
    public async Task UntilAsync(string what, Func<Task<bool>> condition, TimeSpan? timeout = null)
    {
        var deadline = DateTime.UtcNow + (timeout ?? TimeSpan.FromSeconds(30));
        while (!await condition())
        {
            if (DateTime.UtcNow > deadline) Assert.Fail($"Timed out waiting until {what}.\n{Describe()}");
            await Task.Yield();
            await Task.Delay(TimeSpan.FromMilliseconds(20), TestContext.Current.CancellationToken);
        }
    }

    public string Describe()
    {
        var text = new StringBuilder();
        foreach (var node in Nodes)
        {
            if (node.Host is null) continue;
            var status = node.Node.Status;
            text.AppendLine($"{status.Node} {status.State} {status.Message} published {status.PublishedPosition} ({status.PublishedTransactions})");
            if (status.Join is { } join) text.AppendLine($"   joins: {join}");
            foreach (var p in status.Peers) text.AppendLine($"   {p.Peer}: {p.Receiving}/{p.Sending} received {p.ReceivedPosition} applied {p.AppliedPosition} ({p.AppliedTransactions}, retries {p.Retries}) sent {p.SentPosition} acked {p.AcknowledgedPosition} {p.Message}");
        }

        lock (_log) text.AppendLine(string.Join('\n', _log.TakeLast(60)));
        return text.ToString();
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var node in Nodes) await node.StopAsync();
        foreach (var node in Nodes) await node.DisposeAsync();
    }

    internal static List<int> FreePorts(int count)
    {
        var listeners = Enumerable.Range(0, count).Select(_ => new TcpListener(IPAddress.Loopback, 0)).ToList();
        foreach (var listener in listeners) listener.Start();
        var ports = listeners.Select(l => ((IPEndPoint)l.LocalEndpoint).Port).ToList();
        foreach (var listener in listeners) listener.Stop();
        return ports;
    }
}
