using System.Text;
using ActiveActive.Changes;
using ActiveActive.Database;
using ActiveActive.Testing.Database;
using ActiveActive.Testing.Transport;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace ActiveActive.Tests.Cluster;

/// <summary>Several nodes with the real engine in one process: databases in memory, a network whose links can be cut.</summary>
internal sealed class MemoryCluster : IAsyncDisposable
{
    private readonly FakeTimeProvider? _clock;

    private MemoryCluster(FakeTimeProvider? clock) => _clock = clock;

    public InMemoryNetwork Network { get; } = new();

    public List<MemoryNode> Nodes { get; } = [];

    public MemoryNode this[int index] => Nodes[index];

    /// <param name="names">One node each, all of them peers of each other.</param>
    /// <param name="configure">Changes the options of every node.</param>
    /// <param name="clock">Null for the real one; else waiting for a condition moves it on.</param>
    public static async Task<MemoryCluster> StartAsync(IReadOnlyList<string> names, Action<ReplicationNodeOptions>? configure = null, FakeTimeProvider? clock = null)
    {
        var cluster = new MemoryCluster(clock);
        for (var i = 0; i < names.Count; i++)
        {
            var options = new ReplicationNodeOptions
            {
                Name = names[i], HeartbeatInterval = TimeSpan.FromMilliseconds(50), ReconnectDelay = TimeSpan.FromMilliseconds(20), MaxReconnectDelay = TimeSpan.FromMilliseconds(200),
            };
            foreach (var peer in names.Where(p => p != names[i])) options.Peers.Add(peer, new Uri($"memory://{peer}"));
            options.Tables.Add(new TableRule { Pattern = "public.*" });
            configure?.Invoke(options);
            cluster.Nodes.Add(new MemoryNode(options, i, cluster.Network, (TimeProvider?)clock ?? TimeProvider.System));
        }

        foreach (var node in cluster.Nodes) node.Node.Start();
        await cluster.UntilAsync("all nodes stream from all peers", () => cluster.Nodes.All(n => n.Node.Status.Peers.All(p => p.Receiving == PeerLinkState.Streaming)));
        return cluster;
    }

    /// <summary>All nodes hold the same rows, and each has applied what all others have published.</summary>
    public async Task QuietAsync()
    {
        await UntilAsync("every node has applied what the others committed", () => Nodes.All(to => Nodes.All(from => from == to
            || (from.Commits == from.Node.Status.PublishedTransactions && to.StatusOf(from).AppliedPosition >= from.Node.Status.PublishedPosition))));
    }

    public void AssertIdentical()
    {
        foreach (var node in Nodes.Skip(1)) Assert.True(Nodes[0].Dump() == node.Dump(), $"{Nodes[0].Name}:\n{Nodes[0].Dump()}\n{node.Name}:\n{node.Dump()}\n{Describe()}");
    }

    public async Task UntilAsync(string what, Func<bool> condition)
    {
        var deadline = DateTime.UtcNow + TimeSpan.FromSeconds(60);
        while (!condition())
        {
            if (DateTime.UtcNow > deadline) Assert.Fail($"Timed out waiting until {what}.\n{Describe()}");
            await Task.Delay(TimeSpan.FromMilliseconds(5), TestContext.Current.CancellationToken);
            _clock?.Advance(TimeSpan.FromMilliseconds(100));
        }
    }

    public string Describe()
    {
        var text = new StringBuilder();
        foreach (var status in Nodes.Select(n => n.Node.Status))
        {
            text.AppendLine($"{status.Node} {status.State} {status.Message} published {status.PublishedPosition} ({status.PublishedTransactions}), {status.Conflicts} conflicts");
            foreach (var p in status.Peers) text.AppendLine($"   {p.Peer}: {p.Receiving}/{p.Sending} received {p.ReceivedPosition} applied {p.AppliedPosition} ({p.AppliedTransactions}) acked {p.AcknowledgedPosition} {p.Message}");
        }

        return text.ToString();
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var node in Nodes) await node.DisposeAsync();
        Assert.Empty(Network.AcceptorFaults);
    }
}

/// <summary>One node of a <see cref="MemoryCluster"/> with the tables <c>lww</c> (v), <c>delta</c> (v, n) and <c>merged</c> (v).</summary>
internal sealed class MemoryNode : IAsyncDisposable
{
    private readonly IDisposable _registration;
    private readonly LocalTable[] _tables =
    [
        Table("lww", TableSettings.Default, new LocalColumn("v", "text")),
        Table("delta", new TableSettings([new DeltaColumn("n")], null), new LocalColumn("v", "text"), new LocalColumn("n", "bigint")),
        Table("merged", new TableSettings([], new Chain()), new LocalColumn("v", "text")),
    ];

    public MemoryNode(ReplicationNodeOptions options, int number, InMemoryNetwork network, TimeProvider clock)
    {
        Name = options.Name!;
        Database = new InMemoryDatabase(new InMemoryDatabaseOptions
        {
            Node = new NodeName(Name), Clock = clock, SystemIdentifier = (ulong)number + 1, Incarnation = new Guid(number + 1, 0, 0, new byte[8]),
            Tables = [.. _tables.Select(t => new InMemoryTableDefinition(t) { Check = row => Refuses?.Invoke(t.Name.Name, row[1].Text) == true ? "refused" : null })],
            MaxChangesPerPart = options.MaxChangesPerPart,
        });
        Node = new ReplicationNode(options, Database, network.For(new NodeName(Name)), clock, NullLoggerFactory.Instance);
        _registration = network.Register(Node.Name, Node);
    }

    public string Name { get; }

    public InMemoryDatabase Database { get; }

    public ReplicationNode Node { get; }

    public long Commits { get; private set; }

    /// <summary>Whether the database refuses to hold a value of <c>v</c> in a table.</summary>
    public Func<string, string?, bool>? Refuses { get; set; }

    public PeerStatus StatusOf(MemoryNode peer) => Node.Status.Peers.Single(p => p.Peer == peer.Node.Name);

    public Task InsertAsync(string table, string key, params string?[] values) => RunAsync(Insert(table, key, values));

    public Task UpdateAsync(string table, string key, params string?[] values) => RunAsync(t => t.UpdateAsync(TableOf(table), KeyOf(table, key), Values(key, values)));

    public Task DeleteAsync(string table, string key) => RunAsync(Delete(table, key));

    public Func<InMemoryTransaction, ValueTask<bool>> Insert(string table, string key, params string?[] values) => t => t.InsertAsync(TableOf(table), Values(key, values));

    public Func<InMemoryTransaction, ValueTask<bool>> Delete(string table, string key) => t => t.DeleteAsync(TableOf(table), KeyOf(table, key));

    /// <summary>Adds to <c>delta.n</c> under the row's lock, as <c>SET n = n + …</c> does.</summary>
    public Task AddAsync(string key, long step) => RunAsync(async t =>
    {
        if (await t.ReadForUpdateAsync(TableOf("delta"), KeyOf("delta", key)) is not { } row) return false;
        row[2] = ColumnValue.Of($"{long.Parse(row[2].Text!, System.Globalization.CultureInfo.InvariantCulture) + step}");
        return await t.UpdateAsync(TableOf("delta"), KeyOf("delta", key), row);
    });

    /// <summary>The row's columns but the key, for example <c>x|5</c>; null where there is no row.</summary>
    public string? Row(string table, string key) =>
        Database.ReadRows(TableOf(table)).Where(r => r[0].Text == key).Select(r => string.Join("|", r.Skip(1))).SingleOrDefault();

    public string Dump() => string.Join("\n", _tables.SelectMany(t => Database.ReadRows(t).Select(r => $"{t.Name.Name} {string.Join("|", r)}").Order(StringComparer.Ordinal)));

    public async ValueTask DisposeAsync()
    {
        await Node.DisposeAsync();
        _registration.Dispose();
    }

    /// <summary>One transaction; rolled back where one of its writes finds nothing to do.</summary>
    public async Task RunAsync(params Func<InMemoryTransaction, ValueTask<bool>>[] writes)
    {
        using var transaction = Database.BeginLocal();
        foreach (var write in writes)
        {
            if (!await write(transaction)) return;
        }

        transaction.Commit();
        Commits++;
    }

    private LocalTable TableOf(string name) => _tables.Single(t => t.Name.Name == name);

    private RowKey KeyOf(string table, string key) => new(TableOf(table).Name, [key]);

    private static ColumnValue[] Values(string key, string?[] values) => [ColumnValue.Of(key), .. values.Select(v => v is null ? ColumnValue.Null : ColumnValue.Of(v))];

    private static LocalTable Table(string name, TableSettings settings, params LocalColumn[] columns) =>
        new(new TableName("public", name), [new("id", "integer"), .. columns], [0], settings);

    private sealed class Chain : IConflictResolver
    {
        public ConflictResolution Resolve(Conflict conflict) => ConflictResolution.Merge(conflict.Local.With("v", $"({conflict.Local["v"]}>{conflict.Remote["v"]})"));
    }
}
