using ActiveActive.Changes;
using ActiveActive.Database;
using ActiveActive.Diagnostics;

namespace ActiveActive.Apply;

/// <content>Rows that are not on every node (convergence R9).</content>
internal sealed partial class ApplyWorker
{
    private const int KeysPerEviction = 256;

    private readonly Dictionary<LocalTable, Relation> _keyRelations = [];

    /// <summary>
    /// BEFORE the transaction in which it shows is committed: a home tells those who may have a version that a later one has replaced, and who may not see that one. In a local transaction of its own, which says what is so
    /// whether this one is committed or not; said twice it does no harm.
    /// </summary>
    private async ValueTask TellReplacedAsync(ApplyPlan plan, CancellationToken cancellationToken)
    {
        if (plan.Replaced.Count == 0 || Safeguards.IsOff(Safeguard.RouteMarkers)) return;
        var told = new List<Change>();
        foreach (var replaced in plan.Replaced)
        {
            var route = replaced.Table.Settings.Route!;
            if (!route.IsHome(_progress.Self)) continue;
            List<NodeName> nodes = [.. _progress.Peers.Where(p => route.Holds(p, replaced.Region) && !(replaced.NewRegion is { } standing && route.Holds(p, standing)) && !(replaced.ToldRegion is { } known && route.Holds(p, known)))];
            if (nodes.Count > 0) told.Add(Change.Superseded(KeyRelationOf(replaced.Table), [.. replaced.Key.Values.Select(ColumnValue.Of)], replaced.Version, nodes));
        }

        if (told.Count > 0) await _node.Database.PublishAsync(told, cancellationToken);
    }

    private static ReplicationException UniqueAndRouted(LocalTable table) => new(ReplicationErrorKind.ApplyRefused,
        $"{table.Name} has a unique key besides its primary key, and rows that are not on every node (Residency): which of two rows with one value stands would differ from node to node. Drop the key or the residency.");

    private Relation KeyRelationOf(LocalTable table)
    {
        if (!_keyRelations.TryGetValue(table, out var relation))
            _keyRelations.Add(table, relation = new Relation(table.Name, table.Name, [.. table.KeyOrdinals.Select((ordinal, i) => new RelationColumn(table.Columns[ordinal].Name, table.Columns[ordinal].TypeName, i + 1))]));
        return relation;
    }

    /// <summary>Removes rows that are other nodes', in a transaction of the node's own origin, which is nobody's write. Whichever version of a key stands now decides; its place is kept for it.</summary>
    public async ValueTask EvictAsync(TableName name, IReadOnlyList<RowKey> keys, CancellationToken cancellationToken)
    {
        try
        {
            await _session.BeginAsync(cancellationToken);
            var table = await FindTableAsync(name, cancellationToken);
            await _session.RollbackAsync(CancellationToken.None);
            if (table?.Settings.Route is null) return;
            foreach (var some in keys.Distinct().Chunk(KeysPerEviction)) await EvictAsync(table, [.. some.Select(k => new LocalKey(table, k))], cancellationToken);
        }
        catch
        {
            await RollbackAsync();
            throw;
        }
    }

    private async ValueTask EvictAsync(LocalTable table, List<LocalKey> keys, CancellationToken cancellationToken)
    {
        var part = new ChangeTransaction { Origin = _origin, Position = default, Stamp = CommitTimestamp.Unknown, Dependencies = DependencyVector.Empty, Changes = [] };
        // What was noted is captured, and may not be visible yet.
        await PassCaptureAsync(part, cancellationToken);
        await _node.Keys.EnterAsync(_origin, keys, isAlone: false, cancellationToken);
        await _session.BeginAsync(cancellationToken);
        _isOpen = true;
        var states = await ReadCapturedAsync(keys, part, cancellationToken);
        var context = new PlanContext(part, [], _index, _fetched);
        for (var i = 0; i < keys.Count; i++)
        {
            if (states[i].Row is not { } row || table.Settings.Route!.Holds(_progress.Self, row.Values[table.OrdinalOf(table.Settings.Route.Column)])) continue;
            context.Plan.Writes.Add(new DeleteRow(table, keys[i].Key));
            context.Plan.Writes.Add(new SetTombstone(table, keys[i].Key, context.VersionOf(keys[i].Key, states[i])));
        }

        if (context.Plan.Writes.Count == 0)
        {
            await RollbackAsync();
            _node.Keys.Settle(_origin, isCommitted: true);
            return;
        }

        await _session.ExecuteAsync(context.Plan, cancellationToken);
        await _session.CommitAsync(default, CommitTimestamp.Unknown, cancellationToken);
        _isOpen = false;
        _node.Keys.Settle(_origin, isCommitted: true);
    }
}
