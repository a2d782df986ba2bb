using System.Collections.Concurrent;
using System.Text.RegularExpressions;
using ActiveActive.Changes;
using ActiveActive.Database;
using ActiveActive.Diagnostics;

namespace ActiveActive.Routes;

/// <summary>
/// Which nodes hold which tables, as <see cref="TableRule.OnlyOn"/> says: the one place that is asked by all that sends, relays, copies or takes rows. The same on every node, so that
/// each knows what the others hold. A pure function of the table. Safe to use from several threads.
/// </summary>
internal sealed class TableRoutes
{
    // Names come from peers, too.
    private const int MostKnown = 10_000;

    public static readonly TableRoutes None = new([]);

    private readonly IReadOnlyList<(string Pattern, Regex Regex, IReadOnlySet<NodeName> Nodes)> _rules;
    private readonly IReadOnlyList<(string Pattern, Regex Regex, RowRoute Route)> _residencies;
    private readonly ConcurrentDictionary<TableName, IReadOnlySet<NodeName>?> _known = new();
    private readonly ConcurrentDictionary<TableName, RowRoute?> _knownRows = new();

    public TableRoutes(IEnumerable<TableRule> rules)
    {
        IReadOnlyList<TableRule> all = [.. rules];
        _residencies = [.. all.Where(static r => r.Residency is not null).Select(static r => (r.Pattern, ReplicatedTables.Compile(r.Pattern), new RowRoute(r.Residency!)))];
        _rules =
        [
            .. all.Where(static r => r.OnlyOn.Count > 0).Select(static r => (r.Pattern, ReplicatedTables.Compile(r.Pattern), (IReadOnlySet<NodeName>)r.OnlyOn.Select(static n => new NodeName(n)).ToHashSet())),
            .. _residencies.Where(static r => r.Route.Holders is not null).Select(static r => (r.Pattern, r.Regex, r.Route.Holders!)),
        ];
    }

    /// <summary>Whether every row is on every node.</summary>
    public bool IsEmpty => _rules.Count == 0 && _residencies.Count == 0;

    /// <summary>The nodes that hold a table: those that every matching rule names. Null for all nodes.</summary>
    public IReadOnlySet<NodeName>? NodesOf(TableName table)
    {
        if (_rules.Count == 0 || table == ReplicatedTables.Orphans) return null;
        if (_known.TryGetValue(table, out var nodes)) return nodes;
        foreach (var rule in _rules)
        {
            if (rule.Regex.IsMatch(table.ToString())) nodes = nodes is null ? rule.Nodes : nodes.Intersect(rule.Nodes).ToHashSet();
        }

        if (_known.Count < MostKnown) _known.TryAdd(table, nodes);
        return nodes;
    }

    public bool Holds(NodeName node, TableName table) => NodesOf(table) is not { } nodes || nodes.Contains(node);

    /// <summary>
    /// By the names of both: a partition that was detached or dropped before its changes were read is known by its own name alone.
    /// </summary>
    public bool Holds(NodeName node, Relation relation) => Holds(node, relation.Root) && (relation.Name == relation.Root || Holds(node, relation.Name));

    /// <summary>Which nodes hold which rows of a table, by the last matching rule that says it; null where all of its nodes hold all.</summary>
    public RowRoute? RowRouteOf(TableName table)
    {
        if (_residencies.Count == 0 || table == ReplicatedTables.Orphans) return null;
        if (_knownRows.TryGetValue(table, out var route)) return route;
        foreach (var rule in _residencies)
        {
            if (rule.Regex.IsMatch(table.ToString())) route = rule.Route;
        }

        if (_knownRows.Count < MostKnown) _knownRows.TryAdd(table, route);
        return route;
    }

    /// <summary>Whether a node learns nothing by being told a key of a table: it holds all of its rows.</summary>
    public bool MayBeTold(NodeName node, TableName table) => Holds(node, table) && RowRouteOf(table)?.IsHome(node) != false;

    /// <summary>Whether a transaction writes a table of which not every node gets all.</summary>
    public bool Touches(ChangeTransaction transaction) =>
        !IsEmpty && Find(transaction, r => NodesOf(r.Root) is not null || NodesOf(r.Name) is not null || RowRouteOf(r.Root) is not null) is not null;

    /// <summary>
    /// What a peer gets of a transaction: what both it and the origin hold. Never less than the transaction itself, emptied: its position, stamp and vector are every node's.
    /// The same instance where nothing is left out.
    /// </summary>
    public ChangeTransaction Project(ChangeTransaction transaction, NodeName peer)
    {
        if (IsEmpty) return transaction;
        var changes = transaction.Changes;
        List<Change>? kept = null;
        for (var i = 0; i < changes.Count; i++)
        {
            var projected = Project(changes[i], transaction.Origin, peer);
            if (kept is null && ReferenceEquals(projected, changes[i])) continue;
            kept ??= [.. changes.Take(i)];
            if (projected is not null) kept.Add(projected);
        }

        return kept is null ? transaction : transaction with { Changes = kept };
    }

    private Change? Project(Change change, NodeName origin, NodeName peer)
    {
        var relation = change.Relation;
        if (!Holds(peer, relation) || !Holds(origin, relation)) return null;
        if (RowRouteOf(relation.Root) is not { } route || route.IsHome(peer)) return change;
        return change.Kind switch
        {
            ChangeKind.Truncate => change,
            ChangeKind.Superseded => change.Nodes.Contains(peer) ? Change.Superseded(relation, change.OldRow!, change.Version, [peer]) : null,
            ChangeKind.Insert => HoldsNew() ? change : null,
            ChangeKind.Delete => HoldsOld() == true ? change : null,
            _ => ProjectUpdate(change, HoldsOld(), HoldsNew()),
        };

        bool HoldsNew() => route.Holds(peer, RegionOf(relation, change.NewRow!, route));

        bool? HoldsOld() => change.OldRow is { } old && !change.OldIsKeyOnly ? route.Holds(peer, RegionOf(relation, old, route)) : null;
    }

    /// <summary>A row that moves leaves as a delete, which names its key alone, and enters as an insert, whole. Where the log lacks the old row, a home tells who had it.</summary>
    private static Change? ProjectUpdate(Change update, bool? hadOld, bool holdsNew)
    {
        if (hadOld is null || Safeguards.IsOff(Safeguard.MovesAreSplit)) return holdsNew ? update : null;
        if (holdsNew) return hadOld.Value ? update : Change.Insert(update.Relation, update.NewRow!);
        return hadOld.Value ? Change.Delete(update.Relation, update.OldRow!, oldIsKeyOnly: true) : null;
    }

    /// <summary>Whether a row of a table is other nodes' alone.</summary>
    public bool IsElsewhere(NodeName node, Relation relation, ColumnValue[] row) => RowRouteOf(relation.Root) is { } route && !route.Holds(node, RegionOf(relation, row, route));

    private static ColumnValue RegionOf(Relation relation, ColumnValue[] row, RowRoute route) => relation.OrdinalOf(route.Column) is var ordinal and >= 0 ? row[ordinal] : ColumnValue.Unchanged;

    /// <summary>A table in a transaction of which a node must not be sent a row, or that the origin must not send; null where all is well.</summary>
    public TableName? FindForbidden(ChangeTransaction transaction, NodeName node)
    {
        if (IsEmpty) return null;
        foreach (var change in transaction.Changes)
        {
            var relation = change.Relation;
            if (!Holds(node, relation) || !Holds(transaction.Origin, relation)) return relation.Root;
            var route = RowRouteOf(relation.Root);
            if (change.Kind == ChangeKind.Superseded && route?.IsHome(transaction.Origin) != true) return relation.Root;
            if (route is null || route.IsHome(node)) continue;
            if (change.NewRow is { } row && !route.Holds(node, RegionOf(relation, row, route))) return relation.Root;
            if (change.OldRow is { } old && !change.OldIsKeyOnly && !route.Holds(node, RegionOf(relation, old, route))) return relation.Root;
        }

        return null;
    }

    /// <summary>
    /// The pattern of tables that a node has of an origin and a holder has not; null where the holder has all of them, so that what it passes on lacks nothing.
    /// </summary>
    public string? FindLacking(NodeName holder, NodeName node, NodeName origin)
    {
        foreach (var rule in _rules)
        {
            if (rule.Nodes.Contains(node) && rule.Nodes.Contains(origin) && !rule.Nodes.Contains(holder)) return rule.Pattern;
        }

        // Of rows by their values a home alone has all, and what is told of versions that were replaced.
        return _residencies.FirstOrDefault(r => r.Route.Holders?.Contains(node) != false && r.Route.Holders?.Contains(origin) != false && !r.Route.IsHome(holder)).Pattern;
    }

    /// <summary>The pattern of tables of which a node holds some rows only; null where there are none.</summary>
    public string? FindPartial(NodeName node) => _residencies.FirstOrDefault(r => r.Route.Holders?.Contains(node) != false && !r.Route.IsHome(node)).Pattern;

    // Most transactions stay with one table for a while.
    private static Relation? Find(ChangeTransaction transaction, Func<Relation, bool> matches)
    {
        Relation? last = null;
        foreach (var change in transaction.Changes)
        {
            if (ReferenceEquals(change.Relation, last)) continue;
            last = change.Relation;
            if (matches(last)) return last;
        }

        return null;
    }
}
