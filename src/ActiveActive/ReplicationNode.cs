using System.Collections.Concurrent;
using ActiveActive.Apply;
using ActiveActive.Capture;
using ActiveActive.Commands;
using ActiveActive.Credentials;
using ActiveActive.Database;
using ActiveActive.Diagnostics;
using ActiveActive.Hosting;
using ActiveActive.Membership;
using ActiveActive.Progress;
using ActiveActive.Transport;
using Microsoft.Extensions.Logging;

namespace ActiveActive;

/// <summary>
/// One node of an active-active cluster: captures what its own database commits, serves it to peers, and applies what they commit.
/// Registered by <c>AddActiveActive</c>; inject it to see its status, pause a peer or read conflicts. Safe for concurrent use.
/// </summary>
/// <remarks>
/// The line: capture (<see cref="ChangeCapture"/>) → change log → feed (<see cref="PeerFeed"/>) → network → link
/// (<see cref="PeerLink"/>) → apply worker → local commit → acknowledgement → checkpoint, which lets the slot go on.
/// </remarks>
public sealed partial class ReplicationNode : IPeerAcceptor, IAsyncDisposable
{
    private static readonly TimeSpan s_helloTimeout = TimeSpan.FromSeconds(10);
    private static readonly string s_instance = FormattableString.Invariant($"{Environment.MachineName}:{Environment.ProcessId}");
    private static readonly TimeSpan s_retentionInterval = TimeSpan.FromMinutes(1);

    private readonly ReplicationNodeOptions _options;
    private readonly ILocalDatabase _database;
    private readonly TimeProvider _timeProvider;
    private readonly ILogger _logger;
    private readonly BackOff _backOff;
    private readonly PeerLinkContext _context;
    private readonly SortedDictionary<NodeName, PeerLink> _links = [];
    private readonly SortedDictionary<NodeName, PeerFeed> _feeds = [];
    private readonly RelayFeed _relay;
    private readonly PeerGate _gate;
    private readonly UniqueKeyWatch _uniqueKeys;
    private readonly NodeMetrics _metrics;
    private readonly WalBudget _walBudget;
    private readonly ConcurrentDictionary<NodeName, PeerIntroduction> _introductions = [];
    private readonly CancellationTokenSource _stopping = new();
    private Task? _running;
    private NodeRun? _run;
    private NodeState _state = NodeState.Stopped;
    private JoinProgress? _join;
    private string? _message;
    private string? _leader;

    internal ReplicationNode(
        ReplicationNodeOptions options, ILocalDatabase database, IPeerTransport transport, TimeProvider timeProvider, ILoggerFactory loggerFactory, CredentialStore? credentials = null, IPeerAuthorizationPolicy? policy = null)
    {
        _options = options;
        _database = database;
        _timeProvider = timeProvider;
        _logger = loggerFactory.CreateLogger("ActiveActive.Node");
        _backOff = new BackOff(options.ReconnectDelay, options.MaxReconnectDelay, timeProvider);
        Name = new NodeName(options.Name!);
        _gate = new PeerGate(Name, credentials ?? CredentialStore.Of(options, timeProvider), policy ?? new PeerCredentialPolicy(), _logger);
        Conflicts = new ConflictHistory(database);
        Quarantine = new TransactionQuarantine(Name, database, _links, () => _run, _logger, _stopping.Token);
        var rules = new ReplicatedTables(options.Tables, options.DefaultResolver);
        _metrics = new NodeMetrics(this);
        _walBudget = new WalBudget(options, timeProvider);
        _commands = new CommandLoop(this, database.Desk, timeProvider, _logger, _stopping.Token);
        _uniqueKeys = new UniqueKeyWatch(Name, rules.Routes, database, _logger);
        var context = _context = new PeerLinkContext
        {
            Self = Name,
            Database = database,
            Routes = rules.Routes,
            Transport = transport,
            TimeProvider = timeProvider,
            ConflictsRecorded = OnConflicts,
            OnApplyError = table => rules.OnApplyError(table, options.OnApplyError),
            UniqueKeys = () => _uniqueKeys.Own,
            ReconnectDelay = options.ReconnectDelay,
            MaxReconnectDelay = options.MaxReconnectDelay,
            ReadTimeout = options.ReadTimeout,
            MaxFrameBytes = options.MaxFrameBytes,
            TakesCompressed = peer => options.TakesCompressedFrom(peer.Name, peer.Address),
            RelayAfter = options.RelayAfter,
            Peers = [.. options.Peers.Select(p => new PeerAddresses(new NodeName(p.Key), [.. p.Value.Addresses])).OrderBy(p => p.Name)],
        };
        var feedLogger = loggerFactory.CreateLogger("ActiveActive.Feed");
        _relay = new RelayFeed(Name, database, feedLogger);
        foreach (var peer in context.Peers)
        {
            _links.Add(peer.Name, new PeerLink(peer, context, loggerFactory.CreateLogger("ActiveActive.Link")));
            _feeds.Add(peer.Name, new PeerFeed(Name, peer.Name, database, keys => _uniqueKeys.Set(peer.Name, keys), feedLogger));
        }
    }

    /// <summary>The node's name.</summary>
    public NodeName Name { get; }

    /// <summary>Cancelled when the node has drained and stops: inbound connections end then, and not before.</summary>
    internal CancellationToken Stopping => _stopping.Token;

    /// <summary>The conflicts recorded on this node.</summary>
    public ConflictHistory Conflicts { get; }

    /// <summary>The peers' transactions that were put aside because they could not be applied here.</summary>
    public TransactionQuarantine Quarantine { get; }

    /// <summary>The engine's present life; null between two.</summary>
    internal NodeRun? Run => _run;

    /// <summary>The node and its peers as they are now.</summary>
    public NodeStatus Status
    {
        get
        {
            var run = _run;
            return new NodeStatus
            {
                Node = Name,
                State = _state,
                Message = _message,
                Instance = s_instance,
                LibraryVersion = LibraryVersion.Text,
                ServerVersion = run?.Handshake.Identity.ServerVersion ?? 0,
                Leader = _state == NodeState.Standby ? _leader : null,
                Join = _state == NodeState.Joining ? _join?.Status : null,
                PublishedPosition = run?.Capture.LastPublished ?? default,
                PublishedTransactions = run?.Capture.PublishedTransactions ?? 0,
                CheckpointPosition = run?.Capture.Checkpoint.Position ?? default,
                RetainedBytes = run?.Capture.RetainedBytes ?? 0,
                Conflicts = Conflicts.Count,
                Quarantined = run?.Quarantine.Count ?? 0,
                TablesWithHiddenRows = run?.Losers.Tables ?? [],
                ForeignKeys = run is null ? [] : _foreignKeys,
                Peers = [.. _links.Values.Select(link => StatusOf(link, _feeds[link.Peer], run))],
            };
        }
    }

    /// <summary>
    /// The rows that lost a unique value to a later write and are out of sight until it is free; oldest version first. A row that a local write has just
    /// replaced can still be among them.
    /// </summary>
    /// <param name="table">Of one table; null for all.</param>
    /// <param name="limit">At most so many, 1 to 100,000.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <exception cref="ReplicationException">The database can't be read.</exception>
    public async Task<IReadOnlyList<HiddenRow>> ReadHiddenRowsAsync(TableName? table = null, int limit = 1000, CancellationToken cancellationToken = default)
    {
        CheckLimit(limit);
        return await _database.ReadLosersAsync(table, limit, cancellationToken);
    }

    /// <summary>Starts in the background: neither the database nor a peer need be there yet.</summary>
    internal void Start()
    {
        if (_running is not null) throw new InvalidOperationException($"Node '{Name}' has been started already.");
        _running = RunAsync(_stopping.Token);
    }

    /// <summary>
    /// Stops: lets connected peers take what is published until the token ends the wait, finishes the transactions under way, closes.
    /// What peers have not taken stays in the slot for the next start.
    /// </summary>
    internal async Task StopAsync(CancellationToken cancellationToken)
    {
        try
        {
            await DrainAsync(cancellationToken);
        }
        catch (Exception e) when (e is OperationCanceledException or ReplicationException)
        {
            // The host has no more patience, or the database is away; nothing is lost, peers go on after the next start.
        }

        await _stopping.CancelAsync();
        if (_running is not null) await _running.ContinueWith(static _ => { }, CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Current);
        _state = NodeState.Stopped;
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await StopAsync(new CancellationToken(canceled: true));
        _metrics.Dispose();
        _commands.Dispose();
        _pausing.Dispose();
        await _database.DisposeAsync();
        _stopping.Dispose();
    }

    async Task IPeerAcceptor.AcceptAsync(IPeerConnection connection, PresentedCredential credential, CancellationToken cancellationToken)
    {
        var run = _run;
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, _stopping.Token, run?.Ended ?? default);
        await using var frames = new FrameConnection(connection, "A dialling peer", _options.MaxFrameBytes, _options.ReadTimeout, _timeProvider);
        try
        {
            using var greeting = CancellationTokenSource.CreateLinkedTokenSource(ended.Token);
            greeting.CancelAfter(s_helloTimeout);
            if (await frames.ReadAsync(greeting.Token) is not HelloFrame hello) return;
            var extent = run?.Capture.ExtentOf(hello.Origin) ?? default;
            // BEFORE all else that is said of this node: a stranger learns nothing of it.
            var stranger = await _gate.RefusalAsync(hello, credential, greeting.Token);
            if (stranger is null && run is not null && _links.ContainsKey(hello.From)) _introductions[hello.From] = run.Handshake.Introduce(hello);
            var answer = stranger
                ?? run?.Handshake.Answer(hello, _feeds.GetValueOrDefault(hello.From)?.ConnectedDatabase, extent)
                ?? RefuseForNow();
            if (answer is WelcomeFrame welcome)
            {
                if (hello.Purpose == HelloPurpose.Join) answer = await AdmitAsync(hello, run!, welcome, greeting.Token);
                else if (hello.Purpose == HelloPurpose.Part) answer = await AnswerPartingAsync(hello, run!, welcome, greeting.Token);
            }

            if (answer is WelcomeFrame && hello.Origin == Name && hello.Purpose == HelloPurpose.Changes && !await run!.Capture.HasPublishedAsync(hello.ResumeAfter, greeting.Token))
                answer = run.Handshake.RefuseRewound(hello);
            await frames.WriteAsync(answer, greeting.Token);
            await frames.FlushAsync(greeting.Token);
            frames.SendsCompressed = answer is WelcomeFrame { Features: { } features } && features.Contains(Handshake.Brotli);
            using var watch = answer is RefuseFrame ? null : _gate.Watch(hello, credential, refusal =>
            {
                LogRefused(Name, hello.From, refusal.Code, refusal.Message);
                connection.Abort();
            });
            if (answer is RefuseFrame refuse)
            {
                // Behind a load balancer that is an everyday matter, and no trouble.
                if (refuse.Code != PeerGreeting.StandbyCode) LogRefused(Name, hello.From, refuse.Code, refuse.Message);
            }
            else if (hello.Purpose == HelloPurpose.Part) return;
            else if (hello.Purpose == HelloPurpose.Join) await SendMembersAsync(frames, run!, greeting.Token);
            else if (hello.Purpose == HelloPurpose.Copy) await new SnapshotFeed(Name, _context.Routes, _database, run!.Capture, run.Snapshots, _timeProvider, _logger).RunAsync(frames, hello.From, ended.Token);
            else if (hello.Purpose == HelloPurpose.Rows) await new RowFeed(Name, hello.Origin, hello.From, _context.Routes, _database, run!.Progress, run.Capture, _timeProvider).RunAsync(frames, ended.Token);
            else
            {
                // A peer that dials is there again: its own stream need not wait for the end of the back-off.
                _links[hello.From].WakeIfDisconnected();
                if (run!.Members.Any(m => m.Name == hello.From && m.State == MemberState.Joining))
                {
                    await _database.SaveMembersAsync([new Member(hello.From, MemberState.Joined)], ended.Token);
                    run.Members = [.. run.Members.Select(m => m.Name == hello.From ? m with { State = MemberState.Joined } : m)];
                }

                if (hello.Origin == Name) await _feeds[hello.From].RunAsync(frames, connection, hello, run!.Capture, ended.Token);
                else await _relay.RunAsync(frames, hello, extent.Reach, run!.Capture, ended.Token);
            }
        }
        catch (Exception e) when (e is ReplicationException or IOException or OperationCanceledException)
        {
            if (!ended.IsCancellationRequested) LogInboundFailed(Name, e.Message);
        }
    }

    private RefuseFrame RefuseForNow() => _state == NodeState.Standby
        ? new(PeerGreeting.StandbyCode, $"This instance of node '{Name}' stands by{(_leader is null ? "" : $", {_leader} leads")}: dial another.")
        : new(PeerGreeting.NotReadyCode, $"Node '{Name}' is not replicating yet{(_message is null ? "." : $": {_message}")}");

    private async Task RunAsync(CancellationToken cancellationToken)
    {
        while (!cancellationToken.IsCancellationRequested)
        {
            try
            {
                if (_state != NodeState.Joining) _state = NodeState.Starting;
                await RunOnceAsync(cancellationToken);
            }
            catch (Exception e) when (!cancellationToken.IsCancellationRequested)
            {
                var fault = e as ReplicationException;
                _state = _state == NodeState.Joining && fault?.Kind == ReplicationErrorKind.Transient ? NodeState.Joining : NodeState.Faulted;
                if (_message != e.Message) LogFault(Name, e.Message);
                _message = e.Message;
                await _backOff.WaitAsync(isSlow: fault?.Kind is ReplicationErrorKind.Misconfigured or ReplicationErrorKind.AccessDenied, cancellationToken)
                    .ContinueWith(static _ => { }, CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Current);
            }
            catch (OperationCanceledException)
            {
                break;
            }
        }
    }

    private async Task RunOnceAsync(CancellationToken cancellationToken)
    {
        // Disposed last: another instance leads only when nothing is under way here any more.
        await using var lease = await _database.LeadAsync(StandBy, cancellationToken);
        using var leading = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, lease.Lost);
        _state = NodeState.Starting;
        try
        {
            await RunLeadingAsync(leading.Token);
        }
        catch (Exception e)
        {
            if (lease.Reason is { } reason && !cancellationToken.IsCancellationRequested) throw reason;
            await _commands.ReportEndAsync(cancellationToken.IsCancellationRequested ? NodeState.Stopped : NodeState.Faulted, cancellationToken.IsCancellationRequested ? null : e.Message);
            throw;
        }
    }

    private Handshake HandshakeOf(DatabaseIdentity identity, IReadOnlyCollection<NodeName> peers, IReadOnlyList<KeyValuePair<string, string>> settings) =>
        new(Name, identity, peers, settings) { NewestProtocol = _options.NewestProtocol, Compresses = _options.SendsCompressedTo, Routes = _context.Routes };

    private void StandBy(string? leader)
    {
        if (_state != NodeState.Standby || _leader != leader) LogStandby(Name, leader ?? "another instance");
        _leader = leader;
        _message = null;
        _state = NodeState.Standby;
        _backOff.Reset();
    }

    private async Task RunLeadingAsync(CancellationToken cancellationToken)
    {
        var identity = await _database.SetUpAsync(isJoining: _options.JoinFrom is not null, cancellationToken);
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        // From here on it can be looked at, while it joins, too.
        var serving = _commands.RunAsync(ended.Token);
        try
        {
            await LiveAsync(identity, ended.Token);
        }
        finally
        {
            await ended.CancelAsync();
            await serving.ContinueWith(static _ => { }, CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Current);
        }
    }

    private async Task LiveAsync(DatabaseIdentity identity, CancellationToken cancellationToken)
    {
        var settings = ClusterSettings.Of(_options.Tables, _options.DefaultResolver);
        var checkpoint = await _database.FindCheckpointAsync(cancellationToken);
        var donor = await _database.FindResyncAsync(cancellationToken);
        if (checkpoint is null || donor is not null)
        {
            checkpoint = await JoinAsync(HandshakeOf(identity, [.. _links.Keys], settings), donor ?? new NodeName(_options.JoinFrom!), checkpoint, cancellationToken);
        }

        await FollowDeskAsync(cancellationToken);
        var all = await ReadMembersAsync(cancellationToken);
        List<Member> parted = [.. all.Where(static m => m.State == MemberState.Parted)];
        List<Member> members = [.. all.Except(parted)];
        NodeName[] peers = [.. members.Select(m => m.Name)];
        var progress = new ReplicationProgress(Name, peers, origin => _links[origin].WakeIfDisconnected(), [.. parted.Select(m => m.Name)]);
        var quarantine = new QuarantineRegister(progress);
        // BEFORE anything is applied: what comes must not overtake it.
        var inQuarantine = await _database.ReadQuarantineAsync(null, cancellationToken);
        quarantine.Load(inQuarantine);
        // A checkpoint is taken while nothing is in quarantine, unless it was made anew: then it knows how far each peer is, and not what is left out before that.
        foreach (var entry in inQuarantine.Where(q => checkpoint.Applied.Covers(q.Origin, q.Position))) checkpoint = checkpoint with { Applied = checkpoint.Applied.WithGap(entry.Origin, entry.Position) };
        var losers = new UniqueLosers();
        foreach (var table in await _database.ReadTablesWithLosersAsync(cancellationToken)) losers.Enter(table);
        await _uniqueKeys.ReadAsync(cancellationToken);
        if (_uniqueKeys.Own.FirstOrDefault(k => _context.Routes.RowRouteOf(k.Table) is not null) is { } key)
            throw new ReplicationException(ReplicationErrorKind.Misconfigured, $"AA3071: {key.Table} has a unique key {key.Definition} besides its primary key, and rows that are not on every node (Residency): which of two rows with one value stands would differ from node to node. Drop the key or the residency.");
        var evictions = new RowEvictions(Name, _context.Routes);
        var capture = new ChangeCapture(_database, progress, checkpoint, new TransactionEncoder(_options.MaxFrameBytes, _context.Routes, [.. _links.Keys]), _options.ChangeLogBytes, _logger) {
            Captured = losers.Note, HeldBack = () => evictions.First,
            Capturing = part =>
            {
                foreach (var table in evictions.Note(part)) losers.Touch(table);
            },
        };
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var handshake = HandshakeOf(identity, peers, settings) with { Expected = [.. _links.Keys.Except(all.Select(m => m.Name))], Leaving = [.. all.Where(static m => !m.IsKeptFor)] };
        var run = new NodeRun(handshake, progress, capture, new KeyGate(peers), quarantine, losers, new OriginPositions(), new OriginPositions(), ended.Token)
        {
            Members = members,
            Parted = parted,
            Partings = members.Where(static m => m.State == MemberState.Parting).ToDictionary(m => m.Name, m => new Parting(m, _context, _logger)),
        };
        var loops = new List<Task> { capture.RunAsync(ended.Token), HeartbeatAsync(run, ended.Token), CollectAsync(progress, capture, ended.Token), _uniqueKeys.RunAsync(_timeProvider, losers.NoteKeyChange, ended.Token) };
        loops.Add(new LoserSettler(new ApplyContext(_database, progress, capture.Index, run.Keys, quarantine, losers, run.InOrder, run.Looking, OnConflicts) { Evictions = evictions }, _timeProvider, _logger).RunAsync(ended.Token));
        loops.Add(new TableWatch(Name, _database, _timeProvider, _logger).RunAsync(ended.Token));
        if (_options.OrphanCheckInterval != TimeSpan.Zero)
        {
            loops.Add(new OrphanWatch(_database, progress, capture, [Name, .. peers], found => _foreignKeys = [.. found], _timeProvider, _logger).RunAsync(_options.OrphanCheckInterval, ended.Token));
        }

        loops.AddRange(_links.Values.Where(link => peers.Contains(link.Peer)).Select(link => link.RunAsync(run, ended.Token)));
        loops.AddRange(run.Partings.Values.Select(parting => parting.RunAsync(run, ended.Token)));
        loops.Add(run.MembersChanged.Task.WaitAsync(ended.Token));
        _run = run;
        _state = NodeState.Running;
        _message = null;
        _backOff.Reset();
        LogRunning(Name, checkpoint.Position);
        try
        {
            await await Task.WhenAny(loops);
        }
        finally
        {
            _run = null;
            await ended.CancelAsync();
            await Task.WhenAll(loops).ContinueWith(static _ => { }, CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Current);
        }
    }

    private async Task HeartbeatAsync(NodeRun run, CancellationToken cancellationToken)
    {
        var capture = run.Capture;
        using var timer = new PeriodicTimer(_options.HeartbeatInterval, _timeProvider);
        while (await timer.WaitForNextTickAsync(cancellationToken))
        {
            capture.Heartbeat(force: true);
            await capture.SaveCheckpointAsync(cancellationToken);
            if (_walBudget.Look(run, peer => _feeds[peer].State != PeerFeedState.Disconnected || _links[peer].Status.State == PeerLinkState.Streaming) is var (leaving, reason)) await BeginPartingAsync(leaving, reason, run, cancellationToken);
        }
    }

    private async Task CollectAsync(ReplicationProgress progress, ChangeCapture capture, CancellationToken cancellationToken)
    {
        using var timer = new PeriodicTimer(s_retentionInterval, _timeProvider);
        while (await timer.WaitForNextTickAsync(cancellationToken))
        {
            try
            {
                await _database.CollectAsync(progress.Stable(capture.Checkpoint), await capture.ReadStableHorizonAsync(cancellationToken), cancellationToken);
                await _database.DeleteConflictsAsync(_timeProvider.GetUtcNow() - _options.ConflictRetention, cancellationToken);
            }
            catch (ReplicationException e) when (!cancellationToken.IsCancellationRequested)
            {
                // What is kept longer is in nobody's way; a database that is away ends this life elsewhere.
                LogNotCollected(Name, e.Message);
            }
        }
    }

    private async Task DrainAsync(CancellationToken cancellationToken)
    {
        // Capture may not have read the last commits yet: what lies before a marker is published once capture has passed it.
        if (_run is { } running) await running.Progress.Captured.WaitAsync((await _database.WriteMarkerAsync(CommitTimestamp.Unknown, cancellationToken)).Position, cancellationToken);
        // Others may write on and on, and the next leader goes on with that.
        var published = _run?.Capture.LastPublished ?? default;
        while (!cancellationToken.IsCancellationRequested && _run is not null)
        {
            if (_feeds.Values.All(feed => feed.State == PeerFeedState.Disconnected || feed.AcknowledgedPosition >= published)) return;
            await Task.Delay(TimeSpan.FromMilliseconds(20), _timeProvider, cancellationToken);
        }
    }

    private void OnConflicts(IReadOnlyList<ConflictRecord> records)
    {
        Conflicts.Publish(records);
        foreach (var record in records) _metrics.ConflictRecorded(record);
    }

    private PeerLink LinkOf(NodeName peer) => _links.TryGetValue(peer, out var link) ? link
        : throw new ArgumentException($"Node '{Name}' has no peer '{peer}'; its peers are: {string.Join(", ", _links.Keys)}.", nameof(peer));

    private PeerStatus StatusOf(PeerLink link, PeerFeed feed, NodeRun? run)
    {
        var status = link.Status;
        var received = status.ReceivedPosition;
        var applied = status.AppliedPosition;
        var isBehind = received > applied;
        var ahead = link.ClockAhead;
        var introduction = _introductions.GetValueOrDefault(link.Peer);
        return new PeerStatus
        {
            Peer = link.Peer,
            Addresses = [.. _options.Peers[link.Peer.Value].Addresses],
            Membership = MembershipOf(link.Peer, run),
            IsPaused = link.IsPaused,
            Protocol = introduction?.Protocol,
            LibraryVersion = introduction?.LibraryVersion,
            ServerVersion = introduction?.ServerVersion ?? 0,
            SettingDifferences = introduction?.SettingDifferences ?? [],
            Receiving = run is null ? PeerLinkState.Disconnected : StateOf(link, run),
            Sending = feed.State,
            Message = LeavingMessage(link, run) ?? status.Message ?? WaitingFor(status, run)
                ?? (ahead > _options.MaxClockSkew ? $"The clock of peer '{link.Peer}' is {ahead.TotalSeconds:0.0} s ahead of this node's database server: its transactions wait. Set the clocks." : null),
            UniqueKeyDifferences = _uniqueKeys.DifferencesWith(link.Peer),
            AppliedPosition = applied,
            ReceivedPosition = received,
            LagBytes = isBehind ? (long)((ulong)received - (ulong)applied) : 0,
            LagTime = isBehind && status.ReceivedStamp > status.AppliedStamp && status.AppliedStamp.IsKnown
                ? TimeSpan.FromMicroseconds(status.ReceivedStamp.Microseconds - status.AppliedStamp.Microseconds)
                : TimeSpan.Zero,
            RelayedBy = status.RelayedBy,
            ReceivedTransactions = status.ReceivedTransactions,
            AppliedTransactions = status.AppliedTransactions,
            Retries = status.Retries,
            ClockAhead = ahead,
            SentPosition = feed.SentPosition,
            AcknowledgedPosition = feed.AcknowledgedPosition,
            RetainedBytes = run is null ? 0 : _walBudget.KeptFor(link.Peer),
            TimeToWalBudget = run is null ? null : _walBudget.TimeLeft(link.Peer),
        };
    }

    private static string? WaitingFor(PeerLinkStatus status, NodeRun? run)
    {
        if (status.Worker is not { } worker) return null;
        if (worker.Held is { } held && run?.Progress.FirstUnmet(held.Dependencies) is { } unmet)
            return $"Transaction {held.Origin} {held.Position} waits for {unmet.Key} {unmet.Value}, which its writer had seen.";
        return worker.Unseen is { } unseen
            ? $"Transaction {unseen.Held.Origin} {unseen.Held.Position} waits until the rows of local transaction {unseen.Xid} are visible, whose commit is in the log. If that takes long, it waits for a synchronous standby (pg_stat_activity: SyncRep)."
            : null;
    }

    [LoggerMessage(EventId = 1, Level = LogLevel.Information, Message = "AA0001: node '{Node}' replicates from {Position} on")]
    private partial void LogRunning(NodeName node, NpgsqlTypes.NpgsqlLogSequenceNumber position);

    [LoggerMessage(EventId = 2, Level = LogLevel.Error, Message = "AA0002: node '{Node}' does not replicate and tries again: {Reason}")]
    private partial void LogFault(NodeName node, string reason);

    [LoggerMessage(EventId = 5, Level = LogLevel.Warning, Message = "AA0005: node '{Node}' could not collect what is stable, and tries again: {Reason}")]
    private partial void LogNotCollected(NodeName node, string reason);

    [LoggerMessage(EventId = 6, Level = LogLevel.Information, Message = "AA0006: node '{Node}' stands by: {Leader} leads")]
    private partial void LogStandby(NodeName node, string leader);

    [LoggerMessage(EventId = 3, Level = LogLevel.Warning, Message = "AA0003: node '{Node}' refused peer '{Peer}' ({Code}): {Reason}")]
    private partial void LogRefused(NodeName node, NodeName peer, string code, string reason);

    [LoggerMessage(EventId = 4, Level = LogLevel.Information, Message = "AA0004: an inbound connection to node '{Node}' ended: {Reason}")]
    private partial void LogInboundFailed(NodeName node, string reason);
}
