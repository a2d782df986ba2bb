using ActiveActive.Changes;
using ActiveActive.Database;

namespace ActiveActive.Apply;

/// <content>What the node settles of its own accord: rows that lost a unique value, after local writes (convergence R6).</content>
internal sealed partial class ApplyWorker
{
    /// <summary>
    /// Shows what a local write has made free: looks at every loser of a table, in a transaction of the node's own origin, which is nobody's write. Returns
    /// whether the table still has losers.
    /// </summary>
    public async ValueTask<bool> SettleLosersAsync(TableName name, CancellationToken cancellationToken)
    {
        try
        {
            ForgetChangedKeys();
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
        var (plan, missing) = await PlanLosersAsync(table, keys, part, cancellationToken);
        if (plan.Writes.Count == 0)
        {
            await RollbackAsync();
            _node.Keys.Settle(_origin, isCommitted: true);
            return read.Item2;
        }

        await _session.ExecuteAsync(plan, cancellationToken);
        await VerifyInsertsAsync(plan, missing, part, cancellationToken);
        await _session.CommitAsync(default, CommitTimestamp.Unknown, cancellationToken);
        _isOpen = false;
        _node.Keys.Settle(_origin, isCommitted: true);
        NoteFewerLosers();
        return read.Item2;
    }

    /// <summary>What shows those of some losers, and of all that share values with them, that are to be visible.</summary>
    private async ValueTask<(ApplyPlan Plan, List<(LocalKey Key, RowVersion? Tombstone)> Missing)> PlanLosersAsync(
        LocalTable table, List<LocalKey> keys, ChangeTransaction part, CancellationToken cancellationToken)
    {
        var states = await ReadCapturedAsync(keys, part, cancellationToken);
        var context = new PlanContext(part, [], _index, _fetched);
        var component = new UniqueComponent(table);
        var missing = new List<(LocalKey Key, RowVersion? Tombstone)>();
        for (var i = 0; i < keys.Count; i++)
        {
            AddFound(component, keys[i].Key, states[i], context);
            if (states[i].Row is null) missing.Add((keys[i], states[i].Tombstone));
        }

        await WidenAsync(component, context, missing, cancellationToken);
        return (context.Plan, missing);
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
