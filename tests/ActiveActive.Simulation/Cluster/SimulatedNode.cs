using ActiveActive.Changes;
using ActiveActive.Database;
using ActiveActive.Simulation.Checks;
using ActiveActive.Simulation.Time;
using ActiveActive.Simulation.Workload;
using ActiveActive.Testing.Database;
using NpgsqlTypes;

namespace ActiveActive.Simulation.Cluster;

/// <summary>A node: a database that stays, and lives of an engine that come and go.</summary>
internal sealed class SimulatedNode
{
    private readonly SimulatedCluster _cluster;

    public SimulatedNode(int index, SimulatedCluster cluster)
    {
        _cluster = cluster;
        Index = index;
        Name = new NodeName(((char)('a' + index)).ToString());
        var options = cluster.Options;
        var random = cluster.Loop.Random;
        var granule = options.GranuleMicroseconds;
        Clock = new NodeClock(cluster.Loop, granule, random.Between(-options.SkewMicroseconds, options.SkewMicroseconds) / granule * granule, options.TiesWithinNode);
        Tables = SimulatedTables.Create(options);
        Database = new InMemoryDatabase(new InMemoryDatabaseOptions
        {
            Node = Name,
            Clock = Clock,
            Tables = [.. SimulatedTables.Define(Tables, options).Where((_, table) => options.Holds(index, table))],
            MaxChangesPerPart = options.ChangesPerPart,
            SystemIdentifier = (ulong)index + 1,
            LogWriterDelay = random.Pick([TimeSpan.FromMicroseconds(300), TimeSpan.FromMilliseconds(10), Timeout.InfiniteTimeSpan]),
            CommitInterrupt = () => random.Chance(50) ? cluster.Loop.Delay(random.Between(1, options.CommitMicroseconds)) : Interruption.PauseAsync(cluster.Loop, 100),
            OrphanLocked = options.Orphans is null ? null : key => cluster.Treatments.Locked(this, key.Values[0]),
            OrphanTreated = options.Orphans is null ? null : transaction => cluster.Treatments.Commit(this, transaction),
            Interrupt = () => Interruption.PauseAsync(cluster.Loop, 100 * options.Slowness),
        });
    }

    public int Index { get; }

    public NodeName Name { get; }

    public NodeClock Clock { get; }

    public LocalTable[] Tables { get; }

    public InMemoryDatabase Database { get; }

    public NodeLife? Life { get; private set; }

    /// <summary>Until when the change stream shows nothing new.</summary>
    public long CaptureStalledUntil { get; set; }

    /// <summary>When capture notices that the server has crashed.</summary>
    public long CrashSeenAt { get; private set; }

    /// <summary>Crashes the database now and then just after an applied commit, before anything has made that durable.</summary>
    public void MayCrashSoon()
    {
        if (!_cluster.Options.Crashes || !_cluster.Options.LateNotice || _cluster.IsHealed || !_cluster.Loop.Random.Chance(2)) return;
        _cluster.Loop.At(_cluster.Loop.Now + _cluster.Loop.Random.Between(1, 300), () =>
        {
            if (!IsDead && !_cluster.IsHealed && Database.IsRunning) CrashDatabase(_cluster.Loop.Random.Between(1, 1000), _cluster.Loop.Random.Between(1, 60_000));
        });
    }

    /// <summary>Whether it comes later and gets its data from another one; until then it is no member.</summary>
    public bool IsLate => _cluster.Options.HasJoin && Index == _cluster.Options.Nodes - 1;

    /// <summary>Of one that comes later: whether it has its data.</summary>
    public bool HasJoined { get; set; }

    /// <summary>Died for good.</summary>
    public bool IsDead { get; private set; }

    /// <summary>Parted while it lives: the others go on without it until it has another one's data.</summary>
    public bool IsAway { get; private set; }

    /// <summary>Has got another one's data in place of its own.</summary>
    public bool HasReturned { get; private set; }

    /// <summary>Gets another one's data in place of its own.</summary>
    public bool IsResyncing { get; set; }

    /// <summary>Died, and nobody waits for it.</summary>
    public bool IsParted { get; set; }

    public bool HasBegunToPart(SimulatedNode leaving) => Life?.Refuses(leaving.Name) == true;

    /// <summary>The others believe it to be dead; what only it has will be given up.</summary>
    public void Leave()
    {
        _cluster.Trace.Say(TraceEvent.Fault, Index, () => "! is to be parted, and lives");
        IsAway = true;
        _cluster.History.Bury(Index);
    }

    /// <summary>A member like the others again.</summary>
    public void Return(IEnumerable<(int Origin, ulong Position)> copied)
    {
        IsAway = IsResyncing = false;
        HasReturned = true;
        _cluster.History.Return(Index, copied);
    }

    /// <summary>A transaction of the engine's own that others apply, too: it has no effect that a client was told of.</summary>
    public void Publish(IReadOnlyList<Change> changes)
    {
        var commit = Database.Publish(changes);
        _cluster.History.Commit(Index, (ulong)commit.Position, NodeClock.Since(commit.Stamp), []);
        foreach (var change in changes) _cluster.Trace.Say(TraceEvent.Fault, Index, () => $"! tells {string.Join(",", change.Nodes)} that {change.Relation.Name}/{change.OldRow![0].Text} was replaced by {change.Version}");
    }

    public int IndexOf(NodeName name) => name.Value[0] - 'a';

    public bool AbortsCommit() => _cluster.Options.AbortPercent > 0 && !_cluster.IsHealed && _cluster.Loop.Random.Chance(_cluster.Options.AbortPercent);

    public Acknowledged Knowledge => _cluster.History.KnowledgeOf(Index);

    /// <summary>The committed rows of a table.</summary>
    public IEnumerable<(string Key, string Value, long Amount)> ReadRows(int table) => table == SimulatedTables.Orphan
        ? Database.ReadRows(Database.OrphanTable!).Select(row => (KeyText.Read(row[1].Text!)[0], row[3].Text!, row[4].Text == "t" ? 1L : 0))
        : Database.ReadRows(Tables[table]).Select(row => (row[0].Text!, row[1].Text!, SimulatedTables.NumberOf(table, row[2].Text)));

    public void Start()
    {
        if (IsDead || IsResyncing || (IsLate && !HasJoined) || Life is { IsOver: false } || !Database.IsRunning) return;
        Life?.Dispose();
        Life = new NodeLife(this, _cluster);
        Life.Start();
    }

    public void StartLater() => _cluster.Loop.At(_cluster.Loop.Now + _cluster.Loop.Random.Between(100, 10_000), Start);

    /// <summary>The host dies: engine, connections and the application's open transactions. The database stays.</summary>
    public void CrashHost()
    {
        _cluster.Trace.Say(TraceEvent.Fault, Index, () => "! host crashes");
        Life?.End();
        StartLater();
    }

    /// <summary>The database server dies and loses what was not flushed.</summary>
    /// <param name="downFor">When it runs again.</param>
    /// <param name="unseenFor">When the engine's capture notices, counted from then; its other connections notice at once. Null where the host has died with it.</param>
    public void CrashDatabase(long downFor, long? unseenFor = null)
    {
        _cluster.Trace.Say(TraceEvent.Fault, Index, () => $"! database crashes{(unseenFor is null ? "" : $" for {downFor}, and capture does not notice for {unseenFor}")}");
        CrashSeenAt = unseenFor is { } late ? _cluster.Loop.Now + downFor + late : 0;
        Database.Crash(stayDown: true);
        foreach (var node in _cluster.Nodes)
        {
            if (node != this && !IsResyncing && (!IsLate || HasJoined)) _cluster.History.Lose(Index, node.Index, (ulong)Database.ProgressOf(node.Name), Database.Quarantined.Where(e => e.Origin == node.Name).Select(e => (ulong)e.Position));
        }

        if (unseenFor is null) Life?.End();
        _cluster.Loop.At(_cluster.Loop.Now + downFor, () =>
        {
            if (IsDead) return;
            Database.Start();
            StartLater();
        });
    }

    /// <summary>Host and database die, and never come back.</summary>
    public void Die()
    {
        _cluster.Trace.Say(TraceEvent.Fault, Index, () => "! dies for good");
        IsDead = true;
        _cluster.History.Bury(Index);
        Database.Crash(stayDown: true);
        Life?.End();
    }

    public void Applied(int origin, NpgsqlLogSequenceNumber position, bool isQuarantined) => _cluster.History.Apply(Index, origin, (ulong)position, isQuarantined);
}
