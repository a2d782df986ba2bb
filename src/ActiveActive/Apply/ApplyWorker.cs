using System.Diagnostics;
using ActiveActive.Changes;
using ActiveActive.Database;
using ActiveActive.Diagnostics;
using ActiveActive.Progress;
using NpgsqlTypes;

namespace ActiveActive.Apply;

/// <summary>
/// Applies one peer's transactions in their order, each as one local transaction that carries the origin's stamp and position, or several as one:
/// wait for its dependencies, wait for the clock, read the rows, plan, write, commit.
/// </summary>
internal sealed partial class ApplyWorker
{
    private static readonly TimeSpan s_captureTimeout = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan s_visibilityDelay = TimeSpan.FromMilliseconds(1);

    private readonly NodeName _origin;
    private readonly ApplyContext _node;
    private readonly IApplySession _session;
    private readonly ReplicationProgress _progress;
    private readonly TransactionIndex _index;
    private readonly ApplyClock _clock;
    private readonly FetchedRows _fetched;
    private readonly TimeProvider _timeProvider;
    // Replaced and never changed: a later part is made ready meanwhile.
    private Dictionary<Relation, RelationMapping> _mappings = [];
    private int _tables;
    private readonly List<ConflictRecord> _conflicts = [];
    private readonly HashSet<TableName> _truncated = [];

    // Of the tables of these, those with a resolver into which it has written since: its rows may stand among others' concurrent ones.
    private readonly HashSet<TableName> _foldedSince = [];
    private DateTimeOffset _started;
    private int _changes;
    private bool _isOpen;

    public ApplyWorker(NodeName origin, ApplyContext node, IApplySession session, ApplyClock clock, FetchedRows fetched)
    {
        _origin = origin;
        _node = node;
        _session = session;
        _progress = node.Progress;
        _index = node.Index;
        _clock = clock;
        _fetched = fetched;
        _timeProvider = clock.TimeProvider;
        // The session holds the origin: no earlier one's transaction is under way any more.
        node.Keys.Settle(origin, isCommitted: false);
    }

    /// <summary>The transaction that waits for its dependencies; null where none does.</summary>
    public ChangeTransaction? Held { get; private set; }

    /// <summary>
    /// What waits for a local transaction whose commit is in the log and whose rows are not visible yet, and that transaction's id; null where nothing does. It takes a
    /// moment, unless that transaction waits for a synchronous standby; there is no limit, since nothing can be decided before.
    /// </summary>
    public (ChangeTransaction Held, uint Xid)? Unseen { get; private set; }

    /// <summary>
    /// Takes the next part. Returns true where it committed a transaction. After an exception of kind Transient the same part can be
    /// given again if it was a transaction's only one; else the stream starts again from the applied position.
    /// </summary>
    public ValueTask<bool> ApplyAsync(ChangeTransaction part, CancellationToken cancellationToken) => ApplyAsync(new PreparedPart([part]), cancellationToken);

    /// <summary>The same with what was made ready.</summary>
    public async ValueTask<bool> ApplyAsync(PreparedPart prepared, CancellationToken cancellationToken)
    {
        var part = prepared.Members[0];
        // A duplicate after a reconnect: its first delivery committed together with the progress that tells so (M5).
        if (!part.IsHeartbeat && part.Position <= _session.AppliedPosition && !Safeguards.IsOff(Safeguard.Deduplication)) return false;

        if (part.Part == 0)
        {
            Held = part;
            if (!Safeguards.IsOff(Safeguard.CausalHold)) await _progress.WaitForDependenciesAsync(part.Dependencies, cancellationToken);
            Held = null;
        }

        if (part.IsHeartbeat)
        {
            _progress.NoteMember(_origin, part.Dependencies);
            return false;
        }

        try
        {
            await ApplyPartAsync(part, prepared, cancellationToken);
        }
        catch
        {
            await RollbackAsync();
            throw;
        }

        if (!part.IsLastPart) return false;
        Committed(part);
        return true;
    }

    private void Committed(ChangeTransaction last)
    {
        Trace(last);
        _progress.AppliedOf(_origin).Advance(last.Position);
        _progress.NoteMember(_origin, last.Dependencies);
        _fetched.Forget(last.Position);
        if (_conflicts.Count > 0) _node.ConflictsRecorded([.. _conflicts]);
        _conflicts.Clear();
    }

    /// <summary>Makes what was applied durable; returns what may be acknowledged.</summary>
    public ValueTask<NpgsqlLogSequenceNumber> FlushAsync(CancellationToken cancellationToken) =>
        Safeguards.IsOff(Safeguard.AcknowledgeWhenDurable) ? new(_session.AppliedPosition) : _session.FlushAsync(cancellationToken);

    /// <summary>One span per local commit, told afterwards: a transaction's parts come in calls of their own, and a retry is not a second one.</summary>
    private void Trace(ChangeTransaction last)
    {
        if (!NodeMetrics.Activities.HasListeners()) return;
        using var span = NodeMetrics.Activities.StartActivity("apply", ActivityKind.Consumer, default(ActivityContext), startTime: _started, tags:
        [
            new("node", _progress.Self.Value), new("peer", _origin.Value), new("position", last.Position.ToString()), new("changes", _changes),
        ]);
    }

    /// <summary>
    /// Makes ready what it can of a part, or of transactions that <see cref="CanJoin"/>, while those before them are applied. One caller at a time.
    /// </summary>
    public PreparedPart Prepare(IReadOnlyList<ChangeTransaction> members)
    {
        // In this order, and changed in the other: with the former tables it is not valid any more.
        var tables = Volatile.Read(ref _tables);
        var mappings = Volatile.Read(ref _mappings);
        try
        {
            if (members[0].IsHeartbeat || !members.All(m => m.Changes.All(c => mappings.ContainsKey(c.Relation)))) return new PreparedPart(members);
            var prepared = new PreparedPart(members, new MappedPart(members, r => mappings[r]), tables);
            if (_leftOut == 0) prepared.PlanSeen(_session);
            return prepared;
        }
        catch (ReplicationException)
        {
            // It says so when it is its turn.
            return new PreparedPart(members);
        }
    }

    private ValueTask ApplyPartAsync(ChangeTransaction part, CancellationToken cancellationToken) => ApplyPartAsync(part, new PreparedPart([part]), cancellationToken);

    /// <param name="part">The part; of several transactions one that has all their changes, and is the last of them else.</param>
    /// <param name="prepared">The transactions that it stands for, whole and in their order, or itself; and what was made ready of them.</param>
    /// <param name="cancellationToken">Ends waiting.</param>
    private async ValueTask ApplyPartAsync(ChangeTransaction part, PreparedPart prepared, CancellationToken cancellationToken)
    {
        var members = prepared.Members;
        if (part.Part == 0)
        {
            _conflicts.Clear();
            _truncated.Clear();
            _foldedSince.Clear();
            _changes = 0;
            _hasNotes = false;
            _unverified.Clear();
            _unverifiedRows = 0;
            ForgetChangedKeys();
            _started = _timeProvider.GetUtcNow();
            await _clock.WaitUntilPastAsync(part.Stamp, _session, cancellationToken);
        }
        else if (!_isOpen)
        {
            throw new ReplicationException(ReplicationErrorKind.Transient, $"{part} arrived after its beginning was rolled back.");
        }

        await MapRelationsAsync(part, cancellationToken);
        if (!prepared.IsValid(_tables)) prepared = new PreparedPart(members, new MappedPart(members, MappingOf), _tables);
        await TakeKeysAsync(prepared.Written, part, cancellationToken);
        if (members.Count > 1) _session.GiveWay();
        foreach (var member in members) _node.Quarantine.RequireFree(member, _retried);
        var isSeen = await TryWriteSeenAsync(part, prepared, cancellationToken);
        if (isSeen != false && (isSeen is null || part.IsLastPart) && !await AreInsertsVerifiedAsync(part, cancellationToken)) isSeen = false;
        if (isSeen == false)
        {
            await LookFirstAsync(part, members, cancellationToken);
            return;
        }

        var isWritten = true;
        try
        {
            if (isSeen is null) isWritten = await WritePartAsync(prepared.Mapped!.Keys, part, members, cancellationToken);
        }
        catch (UniqueKeyTakenException e) when (members.Count == 1 && IsSettled(e.Table))
        {
            await SettleFromNowOnAsync(part, e, cancellationToken);
            return;
        }
        catch (RowSetRefusedException) when (members.Count == 1 && !Safeguards.IsOff(Safeguard.SplitRefusedSets))
        {
            // Or it must be delivered again from its beginning.
            _node.InOrder.Set(_origin, part.Position);
            if (part.Part > 0) throw;
            await RollbackAsync();
            await ApplyPartAsync(part, cancellationToken);
            return;
        }

        // Planned again with what it lacked.
        if (!isWritten) return;
        _changes += part.Changes.Count;
        if (_progress.CanRelay && _retried is null)
        {
            foreach (var member in members) await _session.KeepReceivedAsync(member, cancellationToken);
        }

        if (!part.IsLastPart) return;
        if (part.Part > 0) await PassAheadAsync(part, cancellationToken);
        if (_retried is { } released) await _session.ReleaseAsync(released, cancellationToken);
        await _session.CommitAsync(part.Position, part.Stamp, cancellationToken);
        _isOpen = false;
        _node.Keys.Settle(_origin, isCommitted: true);
        NoteFewerLosers();
    }

    private async ValueTask<bool> WritePartAsync(List<LocalKey> keys, ChangeTransaction whole, IReadOnlyList<ChangeTransaction> members, CancellationToken cancellationToken)
    {
        var part = whole;
        var tables = TablesToSettle(part);
        if (tables.Count > 0)
        {
            if (members.Count > 1) throw new GroupRefusedException("A table with hidden rows is written.");
            await PrepareToSettleAsync(tables, part, cancellationToken);
            part = await TruncateFirstAsync(tables, part, cancellationToken);
        }

        var states = await ReadStatesAsync(keys, part, members.Count == 1 ? [part] : members, cancellationToken);
        var missing = keys.Where(k => states[k.Key].Row is null).Select(k => (Key: k, states[k.Key].Tombstone)).ToList();
        var plan = new ApplyPlan { IsInOrder = _node.InOrder.IsAt(_origin, part.Position) };
        var revealed = tables.Count == 0 ? states : Reveal(keys, states, part);
        var context = members.Count > 1 ? PlanGroup(members, states, plan) : PlanPart(part, tables.Count == 0 ? states : new Dictionary<RowKey, KeyState>(revealed), plan);
        if (plan.RowsToFetch.Count > 0)
        {
            if (members.Count > 1) throw new GroupRefusedException($"A row of {members.Count} transactions must be fetched first.");
            await FetchAsync(whole, plan, cancellationToken);
            return false;
        }

        await TruncateUnseenAsync(part, keys, cancellationToken);
        if (tables.Count > 0 && !await SettleAsync(tables, keys, states, revealed, context, missing, cancellationToken))
        {
            await ExcludeFromNowOnAsync(whole, cancellationToken);
            return false;
        }

        await TellReplacedAsync(plan, cancellationToken);
        var tombstones = plan.TakeTombstones();
        await _session.ExecuteAsync(plan, cancellationToken);
        await VerifyInsertsAsync(plan, missing, part, cancellationToken);
        // Entered last: while this transaction holds the tombstone of a key, capture could not enter its own, and the wait for it would fail.
        if (tombstones.Writes.Count > 0) await _session.ExecuteAsync(tombstones, cancellationToken);
        _conflicts.AddRange(plan.Conflicts);
        _truncated.UnionWith(context.Truncated);
        NoteFoldedSince(part);
        _hasNotes |= plan.Writes.Exists(static w => w is SetOverride or SetSiblings or SetLoser or TruncateTable);
        return true;
    }

    private PlanContext PlanPart(ChangeTransaction part, Dictionary<RowKey, KeyState> states, ApplyPlan plan)
    {
        var context = new PlanContext(part, states, _index, _fetched, plan) { Truncated = [.. _truncated] };
        ApplyPlanner.Plan(context, MappingOf);
        return context;
    }

    /// <summary>
    /// Fetches what the plan asks for and plans the part again. The beginning of a transaction holds no lock while it waits. A later part can't let
    /// go of what was written before it, and waits as it does for the next part to arrive.
    /// </summary>
    private async ValueTask FetchAsync(ChangeTransaction part, ApplyPlan plan, CancellationToken cancellationToken)
    {
        if (part.Part == 0) await RollbackAsync();
        await _fetched.FetchAsync(part, plan.RowsToFetch, cancellationToken);
        await ApplyPartAsync(part, cancellationToken);
    }

    private async ValueTask TakeKeysAsync(IReadOnlyList<LocalKey> keys, ChangeTransaction part, CancellationToken cancellationToken)
    {
        var isAlone = part.Changes.Any(static c => c.Kind == ChangeKind.Truncate);
        if (part.Part > 0)
        {
            _node.Keys.Extend(_origin, keys, isAlone);
            return;
        }

        // Before the transaction begins: who waits here holds no lock that another could wait for.
        await _node.Keys.EnterAsync(_origin, keys, isAlone, cancellationToken);
        await _session.BeginAsync(cancellationToken);
        _isOpen = true;
    }

    private async ValueTask<Dictionary<RowKey, KeyState>> ReadStatesAsync(List<LocalKey> keys, ChangeTransaction part, IReadOnlyList<ChangeTransaction> members, CancellationToken cancellationToken)
    {
        await LockTruncatedTablesAsync(part, cancellationToken);
        // Taken BEFORE the look: what capture passes while it lasts may have entered a tombstone that the look did not show.
        var passed = new LogMarker(_progress.Captured.Current, _index.PassedMarker.Horizon);
        var states = await _session.ReadKeysAsync(keys, cancellationToken);
        var mustWait = HasUndecidedDelete(keys, states, members) || HasUncapturedRow(states, passed, before: null);
        for (var looks = 1; mustWait && !Safeguards.IsOff(Safeguard.DecideBehindCapture); looks++)
        {
            // Decide only on what capture has passed (convergence R1): a local delete may not be entered yet, and a row's xmin may not
            // be indexed yet. Rows that stand are locked, so the next look sees them again; one that has come since needs another wait.
            passed = await PassCaptureAsync(part, cancellationToken);
            var before = states;
            states = await _session.ReadKeysAsync(keys, cancellationToken);
            mustWait = HasUncapturedRow(states, passed, before) || (looks == 1 && HasUnexplainedAbsence(keys, states, members));
        }

        var byKey = new Dictionary<RowKey, KeyState>(keys.Count);
        for (var i = 0; i < keys.Count; i++) byKey[keys[i].Key] = states[i];
        return byKey;
    }

    /// <summary>
    /// A local write under way would escape a truncate. In a table with delta columns, where the truncate takes all that its writer had not
    /// seen (R2), it would be dead elsewhere and alive here; elsewhere its row could show a stamp before the truncate's and count as
    /// later. So local writers are kept out, and capture passes those that came before.
    /// </summary>
    private async ValueTask LockTruncatedTablesAsync(ChangeTransaction part, CancellationToken cancellationToken)
    {
        var tables = part.Changes.Where(static c => c.Kind == ChangeKind.Truncate).Select(c => MappingOf(c.Relation).Table).ToHashSet();
        if (tables.Count == 0) return;
        foreach (var table in tables)
        {
            if (!Safeguards.IsOff(Safeguard.LockTruncatedTables)) await _session.LockTableAsync(table, cancellationToken);
        }

        await PassCaptureAsync(part, cancellationToken);
    }

    /// <summary>
    /// Decides about the rows that the writer of a TRUNCATE may not have seen, some at a time: there is no limit to their number. Those that the part itself
    /// writes are in its plan, which has their order; for the others it makes no difference that this comes first.
    /// </summary>
    private async ValueTask TruncateUnseenAsync(ChangeTransaction part, List<LocalKey> planned, CancellationToken cancellationToken, Action<LocalTable, PlanContext>? change = null)
    {
        var own = new HashSet<RowKey>();
        // Once, however often a transaction truncates a table: what stays, stays, but for what it has been folded with since.
        foreach (var relation in part.Changes.Where(static c => c.Kind == ChangeKind.Truncate).Select(static c => c.Relation).DistinctBy(static r => r.Name).Where(r => !_truncated.Contains(r.Name) || _foldedSince.Contains(r.Root)))
        {
            if (own.Count == 0) own.UnionWith(planned.Select(k => k.Key));
            var mapping = MappingOf(relation);
            TableName? partition = relation.Name == relation.Root ? null : relation.Name;
            await foreach (var found in _session.ReadUnseenAsync(mapping.Table, partition, _index.FindUnseen(part.Origin, part.Dependencies), cancellationToken))
            {
                List<LocalKey> keys = [.. found.Where(k => !own.Contains(k.Key))];
                var states = await _session.ReadKeysAsync(keys, cancellationToken);
                // What is out of sight is looked at by itself (TruncateLosersAsync).
                var context = new PlanContext(part, keys.Select((k, i) => (k.Key, State: states[i])).Where(static k => k.State.Hidden is null).ToDictionary(k => k.Key, k => k.State), _index, _fetched);
                ApplyPlanner.PlanTruncate(context, mapping, isRepeated: _truncated.Contains(relation.Name));
                change?.Invoke(mapping.Table, context);
                await _session.ExecuteAsync(context.Plan, cancellationToken);
                _conflicts.AddRange(context.Plan.Conflicts);
            }
        }
    }

    private void NoteFoldedSince(ChangeTransaction part)
    {
        if (_truncated.Count == 0) return;
        foreach (var change in part.Changes)
        {
            if (change.Kind == ChangeKind.Truncate)
            {
                // That of a partition leaves what was folded in others.
                if (change.Relation.Name == change.Relation.Root) _foldedSince.Remove(change.Relation.Root);
            }
            else if (MappingOf(change.Relation).Table.Settings.Resolver is not null) _foldedSince.Add(change.Relation.Root);
        }
    }

    /// <summary>
    /// A row that was missing could not be locked: a local transaction may have inserted and deleted it since the look, and capture may
    /// not have entered that delete yet. The insert has taken the key's place in the unique index, so nobody can do that any more:
    /// once capture has passed all that came before, a tombstone that the plan does not account for sends the transaction back.
    /// </summary>
    private async ValueTask VerifyInsertsAsync(ApplyPlan plan, List<(LocalKey Key, RowVersion? Tombstone)> missing, ChangeTransaction part, CancellationToken cancellationToken)
    {
        if (!plan.Writes.Any(w => w is InsertRow) || Safeguards.IsOff(Safeguard.VerifyInserts)) return;
        await WaitForCaptureAsync(part, cancellationToken);
        var states = await _session.ReadKeysAsync([.. missing.Select(m => m.Key)], cancellationToken);
        for (var i = 0; i < missing.Count; i++)
        {
            // A tombstone of this transaction itself (a truncate's) hides only older ones.
            if (states[i].Tombstone is not { } tombstone || tombstone == missing[i].Tombstone || tombstone == part.Version) continue;
            throw new ReplicationException(ReplicationErrorKind.Transient, $"A row of {missing[i].Key.Table.Name} was deleted here while it was being inserted.");
        }
    }

    /// <summary>
    /// Writes a marker and waits until capture has passed it and everything before it is visible. So a local transaction is either
    /// seen by the next look, or its commit record stands behind the marker: then it counts as later than <paramref name="part"/>, though
    /// it may have taken its stamp before.
    /// </summary>
    private async ValueTask<LogMarker> PassCaptureAsync(ChangeTransaction part, CancellationToken cancellationToken)
    {
        var marker = await WaitForCaptureAsync(part, cancellationToken);
        while (!Safeguards.IsOff(Safeguard.WaitUntilVisible))
        {
            // Captured, so its commit record is written, and yet not visible: that takes a moment.
            var unfinished = await _node.Database.ReadUnfinishedAsync(cancellationToken);
            Unseen = unfinished.Where(xid => _index.TryGetLocalPosition(xid, out _)).Select(static xid => (uint?)xid).FirstOrDefault() is { } unseen ? (part, unseen) : null;
            if (Unseen is null) return marker;
            await Task.Delay(s_visibilityDelay, _timeProvider, cancellationToken);
        }

        return marker;
    }

    private async ValueTask<LogMarker> WaitForCaptureAsync(ChangeTransaction part, CancellationToken cancellationToken)
    {
        var marker = await _node.Database.WriteMarkerAsync(Safeguards.IsOff(Safeguard.MarkerFloor) ? CommitTimestamp.Unknown : part.Stamp, cancellationToken);
        using var timeout = new CancellationTokenSource(s_captureTimeout, _timeProvider);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, timeout.Token);
        try
        {
            await _progress.Captured.WaitAsync(marker.Position, either.Token);
            _index.Pass(marker);
            return marker;
        }
        catch (OperationCanceledException e) when (!cancellationToken.IsCancellationRequested)
        {
            // Capture may wait for a lock that an earlier part of this very transaction holds: letting go resolves it.
            throw new ReplicationException(ReplicationErrorKind.Transient, $"Capture did not pass {marker.Position} within {s_captureTimeout.TotalSeconds} s.", e);
        }
    }

    /// <summary>
    /// A row whose writer capture had not passed before the look: it has no place in the log yet, and a delete in the same local transaction no
    /// tombstone. What this origin wrote, it has seen, and an override or siblings name their places themselves.
    /// </summary>
    private bool HasUncapturedRow(IReadOnlyList<KeyState> states, LogMarker passed, IReadOnlyList<KeyState>? before)
    {
        for (var i = 0; i < states.Count; i++)
        {
            var state = states[i];
            if (state.Row is not { IsOwnWrite: false } row || (row.Origin == _origin && _origin != _progress.Self)) continue;
            if (state.Override is not null || state.Siblings.Count > 0) continue;
            // Seen before the marker was written, or ended before it: passed, whether the index still holds it, or it is stable.
            if (before?[i].Row?.Xid == row.Xid || passed.IsAfter(row.Xid)) continue;
            // Tombstones of foreign deletes come with the row; a local row's are there only if it had been passed before the look.
            if (!_index.TryGetLocalPosition(row.Xid, out var position) || (row.Origin == _progress.Self && position > passed.Position && !Safeguards.IsOff(Safeguard.PassedBeforeTheLook))) return true;
        }

        return false;
    }

    /// <summary>
    /// A missing row that is not inserted. A tombstone that is there may be an earlier one: the row may have come back and been deleted
    /// again just now. An insert does not wait here: it finds no row almost always, and is verified once it has taken its place.
    /// </summary>
    private bool HasUndecidedDelete(List<LocalKey> keys, IReadOnlyList<KeyState> states, IReadOnlyList<ChangeTransaction> members)
    {
        HashSet<RowKey>? found = null;
        for (var i = 0; i < keys.Count; i++)
        {
            if (states[i].Row is null && (found ??= NotInsertedKeys(members)).Contains(keys[i].Key)) return true;
        }

        return false;
    }

    /// <summary>
    /// A row that the writer of an update or delete had seen is missing, and no delete that it had not seen tells why. A local one took it behind the
    /// marker: that is the later write, and once capture has passed it, too, it can be named in the conflict history (M10). One more marker is enough,
    /// for what is missing now can't be deleted again without leaving a tombstone now.
    /// </summary>
    private bool HasUnexplainedAbsence(List<LocalKey> keys, IReadOnlyList<KeyState> states, IReadOnlyList<ChangeTransaction> members)
    {
        if (Safeguards.IsOff(Safeguard.AbsenceIsExplained)) return false;
        HashSet<RowKey>? written = null;
        for (var i = 0; i < keys.Count; i++)
        {
            if (states[i] is not { Row: null, Siblings.Count: 0 } state || (state.Tombstone is { } tombstone && !members[^1].HasSeen(tombstone))) continue;
            if ((written ??= RewrittenKeys(members)).Contains(keys[i].Key)) return true;
        }

        return false;
    }

    /// <summary>The keys under which a writer found a row that it had not made in the same transaction. One that an earlier member inserts may not come to be.</summary>
    private HashSet<RowKey> RewrittenKeys(IReadOnlyList<ChangeTransaction> members)
    {
        var rewritten = new HashSet<RowKey>();
        var made = new HashSet<RowKey>();
        foreach (var member in members)
        {
            made.Clear();
            foreach (var change in member.Changes)
            {
                if (change.Kind is ChangeKind.Truncate or ChangeKind.Superseded) continue;
                var mapping = MappingOf(change.Relation);
                if (change.Kind != ChangeKind.Insert && mapping.KeyOf((change.OldRow ?? change.NewRow)!) is var old && !made.Contains(old)) rewritten.Add(old);
                if (change.NewRow is { } row) made.Add(mapping.KeyOf(row));
            }
        }

        return rewritten;
    }

    /// <summary>The keys that a transaction writes and does not insert.</summary>
    private HashSet<RowKey> NotInsertedKeys(IReadOnlyList<ChangeTransaction> members)
    {
        var found = new HashSet<RowKey>();
        foreach (var member in members)
        {
            var inserted = member.Changes.Where(static c => c.Kind == ChangeKind.Insert).Select(c => MappingOf(c.Relation).KeyOf(c.NewRow!)).ToHashSet();
            found.UnionWith(ApplyPlanner.KeysOf(member, MappingOf).Select(static k => k.Key).Where(k => !inserted.Contains(k)));
        }

        return found;
    }

    private async ValueTask MapRelationsAsync(ChangeTransaction part, CancellationToken cancellationToken)
    {
        foreach (var change in part.Changes)
        {
            if (_mappings.ContainsKey(change.Relation)) continue;
            _mappings = new(_mappings) { [change.Relation] = RelationMapping.Create(change.Relation, await _session.FindTableAsync(change.Relation, cancellationToken), _origin) };
            if (MappingOf(change.Relation).Table is { Settings.Route: not null, HasUniqueKeys: true } table) throw UniqueAndRouted(table);
        }
    }

    private RelationMapping MappingOf(Relation relation) => _mappings[relation];

    /// <summary>Lets go of a transaction whose next part does not come any more, so that it is in nobody's way.</summary>
    public ValueTask EndAsync() => _isOpen ? RollbackAsync() : default;

    /// <summary>What was learnt of the tables is learnt anew, and what was made ready with that is not valid any more.</summary>
    private void ForgetTables()
    {
        Volatile.Write(ref _mappings, []);
        Volatile.Write(ref _tables, _tables + 1);
        _session.ForgetTables();
    }

    private async ValueTask RollbackAsync()
    {
        _isOpen = false;
        Unseen = null;
        // A schema change explains many faults.
        ForgetTables();
        // Not cancellable: a session that is used again must be clean.
        if (await _session.RollbackAsync(CancellationToken.None)) _node.Keys.Settle(_origin, isCommitted: false);
    }
}
