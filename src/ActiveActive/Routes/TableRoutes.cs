using System.Collections.Concurrent;
using System.Text.RegularExpressions;
using ActiveActive.Changes;
using ActiveActive.Database;

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
    private readonly ConcurrentDictionary<TableName, IReadOnlySet<NodeName>?> _known = new();

    public TableRoutes(IEnumerable<TableRule> rules) => _rules =
        [.. rules.Where(static r => r.OnlyOn.Count > 0).Select(static r => (r.Pattern, ReplicatedTables.Compile(r.Pattern), (IReadOnlySet<NodeName>)r.OnlyOn.Select(static n => new NodeName(n)).ToHashSet()))];

    /// <summary>Whether every table is on every node.</summary>
    public bool IsEmpty => _rules.Count == 0;

    /// <summary>The nodes that hold a table: those that every matching rule names. Null for all nodes.</summary>
    public IReadOnlySet<NodeName>? NodesOf(TableName table)
    {
        if (IsEmpty || table == ReplicatedTables.Orphans) return null;
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

    /// <summary>Whether a transaction writes a table that is not on every node.</summary>
    public bool Touches(ChangeTransaction transaction) => !IsEmpty && Find(transaction, r => NodesOf(r.Root) is not null || NodesOf(r.Name) is not null) is not null;

    /// <summary>
    /// What a peer gets of a transaction: what both it and the origin hold. Never less than the transaction itself, emptied: its position, stamp and vector are every node's.
    /// The same instance where nothing is left out.
    /// </summary>
    public ChangeTransaction Project(ChangeTransaction transaction, NodeName peer)
    {
        bool IsLeftOut(Relation relation) => !Holds(peer, relation) || !Holds(transaction.Origin, relation);
        if (IsEmpty || Find(transaction, IsLeftOut) is null) return transaction;
        return transaction with { Changes = [.. transaction.Changes.Where(c => !IsLeftOut(c.Relation))] };
    }

    /// <summary>A table in a transaction that a node must not be sent, or that the origin must not send; null where all is well.</summary>
    public TableName? FindForbidden(ChangeTransaction transaction, NodeName node) =>
        IsEmpty ? null : Find(transaction, r => !Holds(node, r) || !Holds(transaction.Origin, r))?.Root;

    /// <summary>
    /// The pattern of tables that a node has of an origin and a holder has not; null where the holder has all of them, so that what it passes on lacks nothing.
    /// </summary>
    public string? FindLacking(NodeName holder, NodeName node, NodeName origin)
    {
        foreach (var rule in _rules)
        {
            if (rule.Nodes.Contains(node) && rule.Nodes.Contains(origin) && !rule.Nodes.Contains(holder)) return rule.Pattern;
        }

        return null;
    }

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
