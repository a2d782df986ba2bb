using ActiveActive.Apply;
using ActiveActive.Capture;
using ActiveActive.Changes;
using ActiveActive.Database;
using ActiveActive.Hosting;
using ActiveActive.Progress;
using ActiveActive.Simulation.Time;
using Microsoft.Extensions.Logging.Abstractions;
using NpgsqlTypes;

namespace ActiveActive.Simulation.Cluster;

/// <summary>
/// One life of a node's engine, as <see cref="ReplicationNode"/> wires it: capture, heartbeats, collection and one apply worker a peer.
/// The first fault of capture, heartbeat or collection ends it; the node starts another.
/// </summary>
internal sealed class NodeLife : IDisposable
{
    private readonly SimulatedNode _node;
    private readonly SimulatedCluster _cluster;
    private readonly EventLoop _loop;
    private readonly CancellationTokenSource _ended = new();

    public NodeLife(SimulatedNode node, SimulatedCluster cluster)
    {
        _node = node;
        _cluster = cluster;
        _loop = cluster.Loop;
        Database = new LifeDatabase(node, node.Database, cluster.Loop, cluster.Options.Slowness);
    }

    public LifeDatabase Database { get; }

    public bool IsOver { get; private set; }

    public ReplicationProgress? Progress { get; private set; }

    /// <summary>Null until set-up is done: peers that dial are told to come again.</summary>
    public ChangeCapture? Capture { get; private set; }

    /// <summary>The other members.</summary>
    public IReadOnlyList<NodeName> Members { get; private set; } = [];

    /// <summary>Those of the members that are being parted.</summary>
    public IReadOnlyDictionary<NodeName, SimulatedParting> Partings { get; private set; } = new Dictionary<NodeName, SimulatedParting>();

    /// <summary>Those that are members no more, and the last of their transactions.</summary>
    public IReadOnlyDictionary<NodeName, NpgsqlLogSequenceNumber> Parted { get; private set; } = new Dictionary<NodeName, NpgsqlLogSequenceNumber>();

    /// <summary>Whether a node is refused: what it says is not taken any more, and it is told nothing.</summary>
    public bool Refuses(NodeName node) => Partings.ContainsKey(node) || Parted.ContainsKey(node);

    public KeyGate? Keys { get; private set; }

    public QuarantineRegister? Quarantine { get; private set; }

    public UniqueLosers? Losers { get; private set; }

    public RowEvictions? Evictions { get; private set; }

    /// <summary>What the last check said; null before there was one.</summary>
    public ForeignKeyStatus? ForeignKey { get; private set; }

    public OriginPositions InOrder { get; } = new();

    public OriginPositions Looking { get; } = new();

    /// <summary>What the life's appliers share.</summary>
    public ApplyContext Context => new(Database, Progress!, Capture!.Index, Keys!, Quarantine!, Losers!, InOrder, Looking, _ => { }) { Evictions = Evictions! };

    public CancellationToken Ended => _ended.Token;

    public void Start() => _ = GuardAsync(RunAsync);

    public void End()
    {
        if (IsOver) return;
        IsOver = true;
        Database.IsCut = true;
        _node.Database.BreakConnections();
        _ended.Cancel();
        _cluster.Network.CloseAllOf(_node.Index);
    }

    public void Dispose() => _ended.Dispose();

    private async Task RunAsync()
    {
        await Database.SetUpAsync(isJoining: _node.IsLate, Ended);
        var checkpoint = (await Database.FindCheckpointAsync(Ended))!;
        var noted = (await Database.ReadMembersAsync(Ended)).ToDictionary(m => m.Name);
        var members = _cluster.Nodes.Where(n => n != _node && (!n.IsLate || noted.ContainsKey(n.Name))).Select(n => noted.GetValueOrDefault(n.Name) ?? new Member(n.Name, MemberState.Joined)).ToList();
        Parted = members.Where(m => m.State == MemberState.Parted).ToDictionary(m => m.Name, m => m.Reach);
        List<NodeName> peers = [.. members.Where(m => m.State != MemberState.Parted).Select(m => m.Name)];
        Members = peers;
        Partings = members.Where(m => m.State == MemberState.Parting).ToDictionary(m => m.Name, m => new SimulatedParting(m.Name, _node, this, _cluster));
        Progress = new ReplicationProgress(_node.Name, peers, parted: [.. Parted.Keys]);
        Keys = new KeyGate(peers);
        Quarantine = new QuarantineRegister(Progress);
        Quarantine.Load(await Database.ReadQuarantineAsync(null, Ended));
        Evictions = new RowEvictions(_node.Name, _cluster.Routes);
        Capture = new ChangeCapture(Database, Progress, checkpoint, new SimulatedEncoder(_node, _cluster), _cluster.Options.LogEntries * (long)SimulatedEncoder.EntryBytes, NullLogger.Instance) {
            Captured = part => Losers!.Note(part), HeldBack = () => Evictions.First,
            Capturing = part =>
            {
                foreach (var table in Evictions.Note(part)) Losers!.Touch(table);
            },
        };
        var losers = new UniqueLosers();
        foreach (var table in await Database.ReadTablesWithLosersAsync(Ended)) losers.Enter(table);
        Losers = losers;
        _ = GuardAsync(() => new LoserSettler(Context, _node.Clock, NullLogger.Instance).RunAsync(Ended));
        _ = GuardAsync(() => Capture.RunAsync(Ended));
        _ = GuardAsync(HeartbeatAsync);
        _ = GuardAsync(CollectAsync);
        if (_cluster.Options.Orphans is not null) _ = GuardAsync(WatchOrphansAsync);
        foreach (var peer in _cluster.Nodes)
        {
            if (peers.Contains(peer.Name)) _ = GuardAsync(() => new SimulatedLink(_node, peer, this, _cluster).RunAsync());
        }

        foreach (var parting in Partings.Values) _ = GuardAsync(parting.RunAsync);
    }

    private async Task HeartbeatAsync()
    {
        while (!IsOver)
        {
            await _loop.Delay(_loop.Random.Between(1, _cluster.Options.HeartbeatMicroseconds * 2));
            Database.ThrowIfCut();
            Capture!.Heartbeat(force: true);
            await Capture.SaveCheckpointAsync(Ended);
        }
    }

    private async Task CollectAsync()
    {
        while (!IsOver)
        {
            await _loop.Delay(_loop.Random.Between(1, _cluster.Options.HeartbeatMicroseconds * 4));
            var stable = Progress!.Stable(Capture!.Checkpoint);
            await Database.CollectAsync(stable, await Capture.ReadStableHorizonAsync(Ended), Ended);
        }
    }

    private Task WatchOrphansAsync() =>
        new OrphanWatch(Database, Progress!, Capture!, [.. _cluster.Nodes.Select(n => n.Name)], statuses => Report(statuses[0]), _node.Clock, NullLogger.Instance)
            .RunAsync(TimeSpan.FromMicroseconds(_cluster.Options.OrphanCheckMicroseconds), Ended);

    private void Report(ForeignKeyStatus status)
    {
        ForeignKey = status;
        _cluster.Treatments.Reports++;
    }

    private async Task GuardAsync(Func<Task> run)
    {
        try
        {
            await run();
        }
        catch (Exception e)
        {
            if (IsOver) return;
            if (e is not ReplicationException { Kind: ReplicationErrorKind.Transient or ReplicationErrorKind.InUse })
            {
                _cluster.Findings.Violation($"node {_node.Name} failed: {e}");
            }

            _cluster.Trace.Say(TraceEvent.Fault, _node.Index, () => $"! engine stops: {e.Message}");
            End();
            _node.StartLater();
        }
    }
}
