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
    private int _keyChanges;

    private HashSet<LocalTable> TablesToSettle(ChangeTransaction part)
    {
        var tables = new HashSet<LocalTable>();
        foreach (var change in part.Changes)
        {
            var table = MappingOf(change.Relation).Table;
            if (table.HasUniqueKeys && (table.HasDeferrableKeys || _node.Losers.Settled.IsAt(_origin, part.Position) || _node.Losers.IsIn(table.Name))) tables.Add(table);
        }

        return tables;
    }

    /// <summary>Between two transactions. A key that is gone would go on to hide rows.</summary>
    private void ForgetChangedKeys()
    {
        if (_keyChanges == _node.Losers.KeyChanges) return;
        _keyChanges = _node.Losers.KeyChanges;
        ForgetTables();
    }

    private bool IsSettled(TableName name) => _mappings.Values.Any(m => m.Table.Name == name && m.Table.HasUniqueKeys);

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
        foreach (var table in tables.Where(t => IsExclusive(t, part)).OrderBy(static t => t.Name)) await _session.LockTableAsync(table, cancellationToken);
        await PassCaptureAsync(part, cancellationToken);
    }

    private bool IsExclusive(LocalTable table, ChangeTransaction part) => table.HasDeferrableKeys || (!table.IsDecidedByVersion && _node.Losers.Excluding.IsAt(_origin, part.Position));

    /// <summary>
    /// A key of a table with delta columns or a resolver is decided about, and no row of it stood here or will stand: a local writer may be inserting it, and
    /// would neither be seen nor see it. With last update wins it does not matter, since that write is the later one. The transaction comes again, and keeps
    /// local writers out from its beginning.
    /// </summary>
    private async ValueTask ExcludeFromNowOnAsync(ChangeTransaction part, CancellationToken cancellationToken)
    {
        _node.Losers.Excluding.Set(_origin, part.Position);
        if (part.Part > 0) throw new ReplicationException(ReplicationErrorKind.Transient, $"{part} decides about a row that is out of sight; it is delivered again from its beginning.");
        await RollbackAsync();
        await ApplyPartAsync(part, cancellationToken);
    }

    private Dictionary<RowKey, KeyState> Reveal(List<LocalKey> keys, Dictionary<RowKey, KeyState> states, ChangeTransaction part)
    {
        if (Safeguards.IsOff(Safeguard.LosersAreVersions)) return states;
        var context = new PlanContext(part, [], _index, _fetched);
        return keys.ToDictionary(static k => k.Key, k => HiddenRows.Reveal(k.Table, k.Key, states[k.Key], context));
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
        var decided = last.Keys.Where(static t => !t.IsDecidedByVersion).ToList();
        // First those out of sight, and with them the visible rows that they add to.
        var done = new List<LocalKey>();
        foreach (var table in decided) await TruncateLosersAsync(table, truncates, done, cancellationToken);
        await TruncateUnseenAsync(truncates, done, cancellationToken, ParkRefolded);
        var plan = ApplyPlanner.Plan(truncates, MappingOf, [], _index, _fetched);
        await _session.ExecuteAsync(plan, cancellationToken);
        _conflicts.AddRange(plan.Conflicts);
        foreach (var table in decided) await SettleLosersHereAsync(table, truncates, cancellationToken);
        // Of a single partition it leaves no tombstone, and what its rows have hidden there stays.
        foreach (var table in last.Keys) _withFewerLosers.Add(table.Name);
        // What is fetched for the rest of a later part brings that part here again.
        _truncated.UnionWith(truncates.Changes.Select(static c => c.Relation.Name));
        return part with { Changes = [.. part.Changes.Where((c, i) => !last.TryGetValue(MappingOf(c.Relation).Table, out var at) || i > at)] };
    }

    /// <summary>
    /// Rows that are out of sight in a table with delta columns or a resolver, decided about by its rule: what a truncate takes of them does not depend on
    /// their versions alone.
    /// </summary>
    private async ValueTask TruncateLosersAsync(LocalTable table, ChangeTransaction truncates, List<LocalKey> done, CancellationToken cancellationToken)
    {
        var relation = truncates.Changes.Select(static c => c.Relation).FirstOrDefault(r => r.Name == r.Root && MappingOf(r).Table == table);
        if (relation is null || Safeguards.IsOff(Safeguard.TruncateLosers)) return;
        var isRepeated = _truncated.Contains(relation.Name);
        RowKey? last = null;
        while (await _session.ReadLosersAsync(table, last, LosersPerLook, cancellationToken) is { Count: > 0 } read)
        {
            last = read[^1];
            List<LocalKey> keys = [.. read.Select(k => new LocalKey(table, k))];
            var states = await _session.ReadKeysAsync(keys, cancellationToken);
            var context = new PlanContext(truncates, [], _index, _fetched);
            var revealed = new Dictionary<RowKey, KeyState>();
            for (var i = 0; i < keys.Count; i++)
            {
                if (states[i].Hidden is null && !(states[i].LiveLoser is not null && table.Settings.HasDeltaColumns)) continue;
                // As for visible rows: what a TRUNCATE has left of others', another of the transaction leaves, too.
                if (isRepeated && !_foldedSince.Contains(relation.Root) && states[i].LiveLoser!.Version != truncates.Version) continue;
                done.Add(keys[i]);
                context[keys[i].Key] = revealed[keys[i].Key] = HiddenRows.Reveal(table, keys[i].Key, states[i], context);
            }

            ApplyPlanner.PlanTruncate(context, MappingOf(relation), isRepeated);
            HashSet<RowKey> hidden = [.. keys.Where((_, i) => states[i].Row is null).Select(static k => k.Key)];
            context.Plan.Writes.RemoveAll(w => (w is UpdateRow update && hidden.Contains(update.Key)) || (w is DeleteRow delete && hidden.Contains(delete.Key)));
            foreach (var (key, shown) in revealed)
            {
                if (context[key] != shown) context.Plan.Writes.Add(new SetLoser(table, key, HiddenRows.CurrentOf(key, context[key], context)));
            }

            await _session.ExecuteAsync(context.Plan, cancellationToken);
            _conflicts.AddRange(context.Plan.Conflicts);
        }
    }

    /// <summary>
    /// A row of which a truncate leaves some siblings can have another unique value than it had, which only the component of all such rows decides about: until
    /// then it is out of sight.
    /// </summary>
    private void ParkRefolded(LocalTable table, PlanContext context)
    {
        if (table.Settings.Resolver is null || !table.HasUniqueKeys) return;
        var writes = context.Plan.Writes;
        for (var i = 0; i < writes.Count; i++)
        {
            if (writes[i] is not UpdateRow { Key: var key }) continue;
            writes[i] = new DeleteRow(table, key);
            writes.Insert(++i, new SetLoser(table, key, HiddenRows.CurrentOf(key, context[key], context)));
            _node.Losers.Add(table.Name);
        }
    }

    /// <summary>Settles all rows of a table that are out of sight, in the transaction under way.</summary>
    private async ValueTask SettleLosersHereAsync(LocalTable table, ChangeTransaction part, CancellationToken cancellationToken)
    {
        RowKey? last = null;
        while (await _session.ReadLosersAsync(table, last, LosersPerLook, cancellationToken) is { Count: > 0 } read)
        {
            last = read[^1];
            var keys = read.Select(k => new LocalKey(table, k)).ToList();
            _node.Keys.Extend(_origin, keys, isAlone: false);
            var (plan, _) = await PlanLosersAsync(table, keys, part, cancellationToken);
            await _session.ExecuteAsync(plan, cancellationToken);
            _conflicts.AddRange(plan.Conflicts);
        }
    }

    /// <summary>
    /// Replaces the plan's writes of rows by those that make the right rows visible. False where nothing keeps local writers of a key out that must be.
    /// </summary>
    private async ValueTask<bool> SettleAsync(
        HashSet<LocalTable> tables, List<LocalKey> keys, Dictionary<RowKey, KeyState> before, Dictionary<RowKey, KeyState> revealed, PlanContext context, List<(LocalKey, RowVersion?)> missing, CancellationToken cancellationToken)
    {
        var plan = context.Plan;
        plan.Writes.RemoveAll(w => tables.Contains(w.Table) && w is InsertRow or UpdateRow or DeleteRow or SetOverride or SetSiblings);
        foreach (var table in tables)
        {
            var component = new UniqueComponent(table);
            foreach (var key in keys.Where(k => k.Table == table))
            {
                var (shown, now) = (revealed[key.Key], context[key.Key]);
                var isWritten = now.Row is not null && now.Row.Values != shown.Row?.Values;
                component.Add(key.Key, before[key.Key], now, HiddenRows.CurrentOf(key.Key, now, context), isDecided: now != shown, isWritten, isInsert: shown.Row is null);
            }

            await WidenAsync(component, context, missing, cancellationToken);
            if (component.IsDecidedWithoutRow && !table.IsDecidedByVersion && !IsExclusive(table, context.Transaction) && !Safeguards.IsOff(Safeguard.ExcludeLocalWriters)) return false;
        }

        return true;
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
                AddFound(component, found[i].Key, states[i], context);
                if (states[i].Row is null) missing.Add((found[i], states[i].Tombstone));
                images.AddRange(component.ImagesOf(found[i].Key));
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

    private static void AddFound(UniqueComponent component, RowKey key, KeyState state, PlanContext context)
    {
        var revealed = HiddenRows.Reveal(component.Table, key, state, context);
        component.Add(key, state, revealed, HiddenRows.CurrentOf(key, revealed, context));
    }

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
}
