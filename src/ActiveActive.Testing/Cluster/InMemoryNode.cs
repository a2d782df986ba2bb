using ActiveActive.Changes;
using ActiveActive.Database;
using ActiveActive.Hosting;
using ActiveActive.Testing.Database;
using ActiveActive.Testing.Time;
using ActiveActive.Testing.Transport;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using NpgsqlTypes;

namespace ActiveActive.Testing;

/// <summary>
/// One node of an <see cref="InMemoryCluster"/>: the real engine over a database in memory. Its writes stay here until the test waits for the
/// cluster, for example in <see cref="InMemoryCluster.ConvergeAsync"/>.
/// </summary>
public sealed class InMemoryNode
{
    private readonly InMemoryCluster _cluster;
    private readonly InMemoryNetwork _network;
    private readonly ReplicationNodeOptions _options;
    private readonly ILoggerFactory _loggers;
    private IDisposable? _registration;
    private Task? _ending;

    internal InMemoryNode(InMemoryCluster cluster, ClusterLoop loop, InMemoryNetwork network, InMemoryClusterOptions options, IReadOnlyList<string> names, int number, string? donor = null)
    {
        _cluster = cluster;
        _network = network;
        _loggers = options.Loggers;
        _options = Configure(options, names, names[number], donor);
        Name = new NodeName(names[number]);
        Clock = new NodeClock(loop);
        var rules = new ReplicatedTables(_options.Tables, _options.DefaultResolver, Name);
        var tables = options.Tables.Where(t => !rules.IsElsewhere(t.FullName)).ToList();
        Database = new InMemoryDatabase(new InMemoryDatabaseOptions
        {
            Node = Name,
            Clock = Clock,
            SystemIdentifier = (ulong)number + 1,
            Incarnation = new Guid(number + 1, 0, 0, new byte[8]),
            MaxChangesPerPart = _options.MaxChangesPerPart,
            CommitInterrupt = () => CommitStep?.Invoke() ?? default,
            Tables = [.. tables.Select(t => t.Build(rules, options.Tables) with { Check = row => Refuses?.Invoke(t.FullName, row) })],
        });
        Tables = [.. tables.Select(t => Database.Table(t.FullName.ToString()))];
        if (Database.OrphanTable is { } orphans) Tables = [.. Tables, orphans];
        Replication = Create(Database);
    }

    /// <summary>The node's name.</summary>
    public NodeName Name { get; }

    /// <summary>The engine, as an application gets it injected: status, pausing of peers, conflict history. After a restart it is another.</summary>
    public ReplicationNode Replication { get; private set; }

    /// <summary>False between <see cref="InMemoryCluster.Crash"/> and <see cref="InMemoryCluster.RestartAsync"/>.</summary>
    public bool IsRunning => _registration is not null;

    /// <summary>The conflicts recorded on this node, oldest first.</summary>
    public IReadOnlyList<ConflictRecord> Conflicts => Database.ReadConflicts();

    internal InMemoryDatabase Database { get; }

    internal NodeClock Clock { get; }

    /// <summary>Names the check constraint of a table that a row violates here, or returns null; null for none.</summary>
    internal Func<TableName, ColumnValue[], string?>? Refuses { get; set; }

    /// <summary>Awaited between the steps of a commit that is made in steps; null for nothing.</summary>
    internal Func<ValueTask>? CommitStep { get; set; }

    internal IReadOnlyList<LocalTable> Tables { get; }

    /// <summary>The last transaction committed here that changed something.</summary>
    internal NpgsqlLogSequenceNumber LastCommit { get; set; }

    /// <summary>
    /// Runs a transaction of the application and commits it, durably; an exception rolls it back. Nothing else goes on in the cluster
    /// meanwhile, unless the transaction has to wait for a lock. The delegate awaits nothing but the transaction (or another node's).
    /// </summary>
    /// <exception cref="ReplicationException">Transient: the database is down, or the transaction was a deadlock's victim.</exception>
    /// <exception cref="TimeoutException">It did not end within the cluster's time-out.</exception>
    public Task<T> TransactAsync<T>(Func<LocalTransaction, Task<T>> work)
    {
        ArgumentNullException.ThrowIfNull(work);
        return _cluster.RunAsync($"a transaction of node '{Name}' has ended", async () =>
        {
            using var transaction = Database.BeginLocal();
            var result = await work(new LocalTransaction(Database, transaction));
            var commit = transaction.Commit();
            if (commit.Position != default) LastCommit = commit.Position;
            return result;
        });
    }

    /// <inheritdoc cref="TransactAsync{T}(Func{LocalTransaction, Task{T}})"/>
    public Task TransactAsync(Func<LocalTransaction, Task> work)
    {
        ArgumentNullException.ThrowIfNull(work);
        return TransactAsync(async transaction =>
        {
            await work(transaction);
            return true;
        });
    }

    /// <summary>Inserts a row in a transaction of its own; see <see cref="LocalTransaction.InsertAsync(string, Row)"/>.</summary>
    public Task<bool> InsertAsync(string table, params ReadOnlySpan<(string Column, string? Text)> columns)
    {
        var row = Row.Of(columns);
        return TransactAsync(t => t.InsertAsync(table, row));
    }

    /// <summary>Updates a row in a transaction of its own; the key columns say which. See <see cref="LocalTransaction.UpdateAsync(string, Row)"/>.</summary>
    public Task<bool> UpdateAsync(string table, params ReadOnlySpan<(string Column, string? Text)> columns)
    {
        var row = Row.Of(columns);
        return TransactAsync(t => t.UpdateAsync(table, row));
    }

    /// <summary>Adds to a number in a transaction of its own; see <see cref="LocalTransaction.AddAsync"/>.</summary>
    public Task<bool> AddAsync(string table, string column, decimal amount, params string[] key) => TransactAsync(t => t.AddAsync(table, column, amount, key));

    /// <summary>Deletes a row in a transaction of its own.</summary>
    /// <returns>False where there is none.</returns>
    public Task<bool> DeleteAsync(string table, params string[] key) => TransactAsync(t => t.DeleteAsync(table, key));

    /// <summary>Truncates a table in a transaction of its own.</summary>
    public Task TruncateAsync(string table) => TransactAsync(t => t.TruncateAsync(table));

    /// <summary>The committed row under a key; null where there is none.</summary>
    public Row? Read(string table, params string[] key)
    {
        var target = Database.Table(table);
        var wanted = LocalTransaction.KeyOf(target, key);
        return LocalTransaction.RowOf(target, Database.ReadRows(target).SingleOrDefault(row => target.KeyOrdinals.Select(i => row[i].Text).SequenceEqual(wanted.Values)));
    }

    /// <summary>All committed rows of a table, ordered by their keys' texts.</summary>
    public IReadOnlyList<Row> ReadAll(string table)
    {
        var target = Database.Table(table);
        return [.. Database.ReadRows(target)
            .OrderBy(row => new RowKey(target.Name, [.. target.KeyOrdinals.Select(i => row[i].Text!)]).ToText(), StringComparer.Ordinal)
            .Select(row => LocalTransaction.RowOf(target, row)!)];
    }

    /// <summary>The node's name.</summary>
    public override string ToString() => Name.Value;

    internal PeerStatus StatusOf(InMemoryNode peer) => Replication.Status.Peers.Single(p => p.Peer == peer.Name);

    /// <summary>Lets the node be dialled. All do it before one starts, so that the first try succeeds.</summary>
    internal void Register() => _registration = _network.Register(Name, Replication);

    internal void Start() => Replication.Start();

    /// <summary>The machine loses its power: connections break, what the database had not flushed is gone, the engine reaches nothing any more.</summary>
    internal void Crash()
    {
        _registration!.Dispose();
        _registration = null;
        Database.Crash(stayDown: true);
    }

    /// <summary>Ends the engine; on the loop.</summary>
    internal Task EndAsync()
    {
        _registration?.Dispose();
        _registration = null;
        return _ending ??= Replication.DisposeAsync().AsTask();
    }

    /// <summary>Starts another engine on what the database kept; on the loop.</summary>
    internal async Task RestartAsync()
    {
        await EndAsync();
        _ending = null;
        Database.Start();
        Replication = Create(Database);
        Register();
        Start();
    }

    /// <summary>Another instance of the application on the same database, as two hosts of one application are.</summary>
    internal ReplicationNode CreateTwin() => Create(Database.ForInstance());

    /// <summary>Lets peers that dial the node reach either instance, in turn.</summary>
    internal IDisposable Register(ReplicationNode twin) => _network.Register(Name, twin, isFurther: true);

    /// <summary>Names another node as a peer, which takes another engine; on the loop.</summary>
    internal async Task AddPeerAsync(string name)
    {
        _options.Peers[name] = new PeerOptions { Addresses = { new Uri("http://localhost") } };
        if (!IsRunning) return;
        await EndAsync();
        _ending = null;
        Database.Start();
        Replication = Create(Database);
        Register();
        Start();
    }

    /// <summary>Ends the instance that peers reach, and lets them reach the other from now on; on the loop.</summary>
    internal async Task TakeOverAsync(ReplicationNode twin)
    {
        _registration?.Dispose();
        await Replication.StopAsync(new CancellationToken(canceled: true));
        Replication = twin;
        Register();
    }

    private ReplicationNode Create(InMemoryDatabase database) => new(_options, database, _network.For(Name), Clock, _loggers);

    private static ReplicationNodeOptions Configure(InMemoryClusterOptions cluster, IReadOnlyList<string> names, string name, string? donor)
    {
        var services = new ServiceCollection();
        var builder = new ReplicationNodeBuilder(services, new ReplicationNodeOptions());
        foreach (var table in cluster.Tables) builder.Replicate(table.FullName.ToString());
        foreach (var configure in cluster.Configurations) configure(builder);
        // Last: these are the cluster's. Neither is dialled.
        builder.Named(name).UsePostgres("Host=memory;Database=memory");
        if (donor is not null) builder.JoinFrom(donor);
        builder.Options.Peers.Clear();
        foreach (var peer in names.Where(n => n != name)) builder.AddPeer(peer, new Uri("http://localhost"));
        var options = builder.Build(new NodeServices(services));
        var problems = ReplicationNodeOptionsValidator.Validate(options);
        return problems.Count == 0 ? options : throw new OptionsValidationException(name, typeof(ReplicationNodeOptions), problems);
    }
}
