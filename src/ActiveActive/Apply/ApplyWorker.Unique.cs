using ActiveActive.Changes;
using ActiveActive.Database;
using ActiveActive.Diagnostics;

namespace ActiveActive.Apply;

/// <content>
/// Tables with secondary unique keys (convergence R6). A transaction is written as if they had none; where a value is taken, or where the
/// table has rows that lost one, it is planned by looking at all rows that share values with those it writes.
/// </content>
internal sealed partial class ApplyWorker
{
    private const int LosersPerLook = 500;

    private const int MaxTakenAgain = 10;

    private readonly HashSet<TableName> _withFewerLosers = [];
    private int _takenAgain;

    private HashSet<LocalTable> TablesToSettle(ChangeTransaction part)
    {
        var tables = new HashSet<LocalTable>();
        foreach (var change in part.Changes)
        {
            var table = MappingOf(change.Relation).Table;
            if (table.ResolvesUniqueKeys && (table.HasDeferrableKeys || _node.Losers.Settled.IsAt(_origin, part.Position) || _node.Losers.IsIn(table.Name))) tables.Add(table);
        }

        return tables;
    }

    private bool IsSettled(TableName name) => _mappings.Values.Any(m => m.Table.Name == name && m.Table.ResolvesUniqueKeys);

    /// <summary>A value is taken: the transaction is rolled back and comes again, to look for who has it.</summary>
    private async ValueTask SettleFromNowOnAsync(ChangeTransaction part, UniqueKeyTakenException taken, CancellationToken cancellationToken)
    {
        var isAgain = _node.Losers.Settled.IsAt(_origin, part.Position);
        _takenAgain = isAgain ? _takenAgain + 1 : 0;
        // Nobody was found who has it: a value that only this database gives, such as a default, is known when the row is written, and not before.
        if (_takenAgain >= MaxTakenAgain)
        {
            _takenAgain = 0;
            throw new ReplicationException(ReplicationErrorKind.ApplyRefused,
                $"{taken.Message} No row of {taken.Table} was found that has it: it may come from a default of a column that node '{_origin}' does not have. Make the columns and unique keys of {taken.Table} equal on all nodes.", taken);
        }

        _node.Losers.Settled.Set(_origin, part.Position);
        // Taken under its eyes by a local writer; or it must be delivered again from its beginning.
        if (isAgain || part.Part > 0) throw new ReplicationException(ReplicationErrorKind.Transient, taken.Message, taken);
        await RollbackAsync();
        await ApplyPartAsync(part, cancellationToken);
    }

    /// <summary>
    /// A local transaction that the next look does not show is then later than everything here. Nobody else checks a deferrable key where
    /// triggers do not fire, so local writers are kept out.
    /// </summary>
    private async ValueTask PrepareToSettleAsync(HashSet<LocalTable> tables, ChangeTransaction part, CancellationToken cancellationToken)
    {
        foreach (var table in tables.Where(static t => t.HasDeferrableKeys).OrderBy(static t => t.Name)) await _session.LockTableAsync(table, cancellationToken);
        await PassCaptureAsync(part, cancellationToken);
    }

    /// <summary>
    /// What a TRUNCATE of a table to settle leaves is looked up after it, and what the transaction wrote there before it has gone with it. Returns
    /// the part without both.
    /// </summary>
    private async ValueTask<ChangeTransaction> TruncateFirstAsync(HashSet<LocalTable> tables, ChangeTransaction part, CancellationToken cancellationToken)
    {
        var last = new Dictionary<LocalTable, int>();
        for (var i = 0; i < part.Changes.Count; i++)
        {
            var table = MappingOf(part.Changes[i].Relation).Table;
            if (part.Changes[i].Kind == ChangeKind.Truncate && tables.Contains(table)) last[table] = i;
        }

        if (last.Count == 0) return part;
        await LockTruncatedTablesAsync(part, cancellationToken);
        var truncates = part with { Changes = [.. part.Changes.Where((c, i) => last.TryGetValue(MappingOf(c.Relation).Table, out var at) && i <= at && c.Kind == ChangeKind.Truncate)] };
        await TruncateUnseenAsync(truncates, [], cancellationToken);
        var plan = ApplyPlanner.Plan(truncates, MappingOf, [], _index, _fetched);
        await _session.ExecuteAsync(plan, cancellationToken);
        _conflicts.AddRange(plan.Conflicts);
        // What is fetched for the rest of a later part brings that part here again.
        _truncated.UnionWith(truncates.Changes.Select(static c => c.Relation.Name));
        return part with { Changes = [.. part.Changes.Where((c, i) => !last.TryGetValue(MappingOf(c.Relation).Table, out var at) || i > at)] };
    }

    /// <summary>Replaces the plan's writes of rows by those that make the right rows visible.</summary>
    private async ValueTask SettleAsync(
        HashSet<LocalTable> tables, List<LocalKey> keys, Dictionary<RowKey, KeyState> before, PlanContext context, List<(LocalKey, RowVersion?)> missing, CancellationToken cancellationToken)
    {
        var plan = context.Plan;
        plan.Writes.RemoveAll(w => tables.Contains(w.Table) && w is InsertRow or UpdateRow or DeleteRow or SetOverride);
        foreach (var table in tables)
        {
            var component = new UniqueComponent(table);
            foreach (var key in keys.Where(k => k.Table == table))
            {
                var (old, now) = (before[key.Key], context[key.Key]);
                var isWritten = now.Row is not null && now.Row.Values != (old.Row?.Values ?? old.Hidden?.Values);
                var current = now.Row is { } row ? new UniqueLoser(isWritten ? context.Incoming : context.VersionOf(key.Key, now), row.Values) : null;
                component.AddWritten(key.Key, old, current, isWritten, isInsert: old.Row is null && old.Hidden is null);
            }

            await WidenAsync(component, context, missing, cancellationToken);
        }
    }

    /// <summary>
    /// Looks up what shares a value with what is there already, until nothing more is found. What is found is locked, and taken from other appliers;
    /// where one of them has it, the transaction comes again and goes alone.
    /// </summary>
    private async ValueTask WidenAsync(UniqueComponent component, PlanContext context, List<(LocalKey, RowVersion?)> missing, CancellationToken cancellationToken)
    {
        var images = component.FirstImages();
        var moves = new List<RowKey>();
        while (images.Count > 0)
        {
            var clashes = await _session.FindClashesAsync(component.Table, [.. images.Select(i => i.Values)], cancellationToken);
            moves.AddRange(clashes.Stored.Where(s => images[s.Row].Updated is not null).Select(s => s.Key));
            var found = clashes.Stored.Select(s => s.Key).Where(k => !component.Contains(k)).Distinct().Select(k => new LocalKey(component.Table, k)).ToList();
            if (found.Count == 0) break;
            _node.Keys.Extend(_origin, found, isAlone: false);
            var states = await ReadCapturedAsync(found, context.Transaction, cancellationToken);
            images = [];
            for (var i = 0; i < found.Count; i++)
            {
                var current = CurrentOf(found[i].Key, states[i], context);
                component.AddFound(found[i].Key, states[i], current);
                if (states[i].Row is null) missing.Add((found[i], states[i].Tombstone));
                if (current is not null) images.Add((null, current.Values));
            }
        }

        foreach (var from in moves) component.NoteMove(from);
        var candidates = component.Candidates();
        var pairs = candidates.Count > 1 ? (await _session.FindClashesAsync(component.Table, candidates, cancellationToken)).Pairs : [];
        component.Settle(pairs, context, context.Plan);
        // BEFORE the commit: a local write that comes behind it in the log finds the table noted.
        if (context.Plan.Writes.Exists(static w => w is SetLoser { Loser: not null })) _node.Losers.Add(component.Table.Name);
        if (context.Plan.Writes.Exists(static w => w is SetLoser { Loser: null })) _withFewerLosers.Add(component.Table.Name);
    }

    /// <summary>AFTER the commit: a table whose last loser is gone costs nothing again.</summary>
    private void NoteFewerLosers()
    {
        foreach (var table in _withFewerLosers) _node.Losers.Touch(table);
        _withFewerLosers.Clear();
    }

    private static UniqueLoser? CurrentOf(RowKey key, KeyState state, PlanContext context) =>
        state.Row is { } row ? new UniqueLoser(context.VersionOf(key, state), row.Values) : state.Hidden;

    private async ValueTask<IReadOnlyList<KeyState>> ReadCapturedAsync(List<LocalKey> keys, ChangeTransaction part, CancellationToken cancellationToken)
    {
        var passed = new Progress.LogMarker(_progress.Captured.Current, _index.PassedMarker.Horizon);
        var states = await _session.ReadKeysAsync(keys, cancellationToken);
        var mustWait = HasUncapturedRow(states, passed, before: null);
        while (mustWait)
        {
            passed = await PassCaptureAsync(part, cancellationToken);
            var before = states;
            states = await _session.ReadKeysAsync(keys, cancellationToken);
            mustWait = HasUncapturedRow(states, passed, before);
        }

        return states;
    }

    /// <summary>Shows the rules a hidden row as the row of its key, which it is.</summary>
    private static KeyState Reveal(KeyState state) => state.Hidden is { } hidden && !Safeguards.IsOff(Safeguard.LosersAreVersions)
        ? state with { Row = new LocalRow(hidden.Values, 0, hidden.Version.Stamp, hidden.Version.Origin, IsOwnWrite: false), Override = hidden.Version }
        : state;

    /// <summary>
    /// Shows what a local write has made free: looks at every loser of a table, in a transaction of the node's own origin, which is nobody's write. Returns
    /// whether the table still has losers.
    /// </summary>
    public async ValueTask<bool> SettleLosersAsync(TableName name, CancellationToken cancellationToken)
    {
        try
        {
            var count = 0;
            RowKey? last = null;
            while (true)
            {
                var read = await SettleLosersAsync(name, last, cancellationToken);
                count += read.Count;
                if (read.Count < LosersPerLook) break;
                last = read[^1];
            }

            if (count > 0) return true;
            // Alone: nobody who has entered the table is still under way.
            await _node.Keys.EnterAsync(_origin, [], isAlone: true, cancellationToken);
            await _session.BeginAsync(cancellationToken);
            _isOpen = true;
            var table = await FindTableAsync(name, cancellationToken);
            var isEmpty = table is null || (await _session.ReadLosersAsync(table, null, 1, cancellationToken)).Count == 0;
            if (isEmpty) _node.Losers.Remove(name);
            await RollbackAsync();
            return !isEmpty;
        }
        catch
        {
            await RollbackAsync();
            throw;
        }
    }

    private async ValueTask<IReadOnlyList<RowKey>> SettleLosersAsync(TableName name, RowKey? after, CancellationToken cancellationToken)
    {
        if (await ReadLosersAsync(name, after, cancellationToken) is not { Item1: { } table, Item2.Count: > 0 } read) return [];
        var keys = read.Item2.Select(k => new LocalKey(table, k)).ToList();
        var part = new ChangeTransaction { Origin = _origin, Position = default, Stamp = CommitTimestamp.Unknown, Dependencies = DependencyVector.Empty, Changes = [] };
        await _node.Keys.EnterAsync(_origin, keys, isAlone: false, cancellationToken);
        await _session.BeginAsync(cancellationToken);
        _isOpen = true;
        await PrepareToSettleAsync([table], part, cancellationToken);
        var states = await ReadCapturedAsync(keys, part, cancellationToken);
        var context = new PlanContext(part, [], _index, _fetched);
        var component = new UniqueComponent(table);
        var missing = new List<(LocalKey Key, RowVersion? Tombstone)>();
        for (var i = 0; i < keys.Count; i++)
        {
            component.AddFound(keys[i].Key, states[i], CurrentOf(keys[i].Key, states[i], context));
            if (states[i].Row is null) missing.Add((keys[i], states[i].Tombstone));
        }

        await WidenAsync(component, context, missing, cancellationToken);
        if (context.Plan.Writes.Count == 0)
        {
            await RollbackAsync();
            _node.Keys.Settle(_origin, isCommitted: true);
            return read.Item2;
        }

        await _session.ExecuteAsync(context.Plan, cancellationToken);
        await VerifyInsertsAsync(context.Plan, missing, part, cancellationToken);
        await _session.CommitAsync(default, CommitTimestamp.Unknown, cancellationToken);
        _isOpen = false;
        _node.Keys.Settle(_origin, isCommitted: true);
        NoteFewerLosers();
        return read.Item2;
    }

    /// <summary>Without a lock: who waits at the gate holds none.</summary>
    private async ValueTask<(LocalTable?, IReadOnlyList<RowKey>)> ReadLosersAsync(TableName name, RowKey? after, CancellationToken cancellationToken)
    {
        await _session.BeginAsync(cancellationToken);
        var table = await FindTableAsync(name, cancellationToken);
        var keys = table is null ? [] : await _session.ReadLosersAsync(table, after, LosersPerLook, cancellationToken);
        await _session.RollbackAsync(CancellationToken.None);
        return (table, keys);
    }

    private ValueTask<LocalTable?> FindTableAsync(TableName name, CancellationToken cancellationToken) =>
        _session.FindTableAsync(new Relation(name, name, []), cancellationToken);
}
