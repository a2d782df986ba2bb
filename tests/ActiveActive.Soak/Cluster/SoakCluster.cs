using System.Diagnostics;
using System.Security.Cryptography;
using ActiveActive.Testing;
using QuickStart.Cluster;
using QuickStart.Progress;

namespace ActiveActive.Soak.Cluster;

/// <summary>Three nodes, and between each two of them, each way of dialling, a line with faults.</summary>
internal sealed class SoakCluster : IAsyncDisposable
{
    public const int Size = 3;

    private static readonly string[] s_names = ["eu", "us", "asia"];
    private static readonly TimeSpan s_joinTimeout = TimeSpan.FromSeconds(90);
    private static readonly TimeSpan s_pollInterval = TimeSpan.FromMilliseconds(100);

    private readonly FaultProxy?[,] _lines = new FaultProxy?[Size, Size];

    public List<SoakNode> Nodes { get; } = [];

    /// <summary>All lines, by who dials and who is dialled.</summary>
    public IEnumerable<FaultProxy> Lines => _lines.Cast<FaultProxy?>().OfType<FaultProxy>();

    public FaultProxy LineOf(int dialler, int target) => _lines[dialler, target]!;

    /// <summary>Both lines between two nodes.</summary>
    public FaultProxy[] Between(int one, int other) => [LineOf(one, other), LineOf(other, one)];

    public static async Task<SoakCluster> StartAsync(SoakOptions options, CancellationToken cancellationToken)
    {
        var cluster = new SoakCluster();
        try
        {
            for (var i = 0; i < Size; i++)
            {
                var bank = await BankNode.CreateAsync(i, s_names[i], options.Postgres[i % options.Postgres.Count], cancellationToken);
                cluster.Nodes.Add(new SoakNode(bank));
                await using var command = bank.App.CreateCommand(Schema());
                await command.ExecuteNonQueryAsync(cancellationToken);
            }

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
        new([.. Nodes.Select(n => n.Name)], await Task.WhenAll(Nodes.Select(node => node.Bank.ReadStatusAsync(cancellationToken))));

    public string DescribeHosts() => string.Join('\n', Nodes.Select(n => $"--- the end of what host '{n.Name}' printed:\n{n.Bank.Host?.Output}"));

    public async ValueTask DisposeAsync()
    {
        await Task.WhenAll(Nodes.Select(node => node.DisposeAsync().AsTask()));
        foreach (var line in Lines) await line.DisposeAsync();
    }

    private async Task UntilJoinedAsync(CancellationToken cancellationToken)
    {
        var waited = Stopwatch.StartNew();
        while (true)
        {
            var snapshot = await ReadStatusAsync(cancellationToken);
            if (snapshot.Statuses.All(s => s is { State: NodeState.Running } && s.Peers.All(p => p.Receiving == PeerLinkState.Streaming))) return;
            if (waited.Elapsed > s_joinTimeout) throw new SoakException($"The hosts did not join within {s_joinTimeout.TotalSeconds} s.\n{snapshot.Troubles()}\n{DescribeHosts()}");
            await Task.Delay(s_pollInterval, cancellationToken);
        }
    }

    private async Task StartHostsAsync(SoakOptions options)
    {
        var ports = FreePorts.Pick(Size * 2);
        for (var dialler = 0; dialler < Size; dialler++)
        {
            for (var target = 0; target < Size; target++)
            {
                if (dialler != target) _lines[dialler, target] = FaultProxy.Start(ports[target]);
            }
        }

        var token = RandomNumberGenerator.GetHexString(32);
        if (options.Logs is { } folder) Directory.CreateDirectory(folder);
        foreach (var node in Nodes)
        {
            var peers = Nodes.Where(n => n != node).ToDictionary(n => n.Name, n => LineOf(node.Index, n.Index).Address);
            await node.Bank.StartHostAsync(ports[node.Index], ports[Size + node.Index], token, peers, LogOf(options, node));
        }
    }

    private static Action<string>? LogOf(SoakOptions options, SoakNode node)
    {
        if (options.Logs is not { } folder) return null;
        var log = TextWriter.Synchronized(new StreamWriter(Path.Combine(folder, $"{node.Name}.log")) { AutoFlush = true });
        return log.WriteLine;
    }

    private static string Schema()
    {
        using var stream = typeof(SoakCluster).Assembly.GetManifestResourceStream("SoakSchema.sql")!;
        using var reader = new StreamReader(stream);
        return reader.ReadToEnd();
    }
}
