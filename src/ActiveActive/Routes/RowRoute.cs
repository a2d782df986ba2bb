using ActiveActive.Changes;

namespace ActiveActive.Routes;

/// <summary>A <see cref="Residency"/>, resolved: which nodes hold a row with a value. Pure.</summary>
internal sealed class RowRoute
{
    // Null for all nodes.
    private readonly Dictionary<string, IReadOnlySet<NodeName>?> _regions;
    private readonly IReadOnlySet<NodeName>? _rest;

    public RowRoute(Residency residency)
    {
        Column = residency.Column;
        _regions = residency.Regions.ToDictionary(static r => r.Key, static r => (IReadOnlySet<NodeName>?)SetOf(r.Value), StringComparer.Ordinal);
        _rest = SetOf(residency.Rest);
    }

    /// <summary>The column that decides.</summary>
    public string Column { get; }

    private IEnumerable<IReadOnlySet<NodeName>?> Sets => _regions.Values.Append(_rest);

    /// <summary>The nodes that hold any row; null for all.</summary>
    public IReadOnlySet<NodeName>? Holders => Sets.Contains(null) ? null : Sets.SelectMany(static s => s!).ToHashSet();

    /// <summary>Whether a node holds every row, and so sees which version of a key stands: what a version that others may not see has replaced, it tells them (convergence R9).</summary>
    public bool IsHome(NodeName node) => Sets.All(s => s is null || s.Contains(node));

    /// <summary>Whether a node holds a row with a value. Where the log does not tell the value, only a home does.</summary>
    public bool Holds(NodeName node, ColumnValue region) => region.IsUnchanged ? IsHome(node)
        : (region.Text is { } text && _regions.TryGetValue(text, out var nodes) ? nodes : _rest) is not { } set || set.Contains(node);

    private static HashSet<NodeName>? SetOf(IList<string> nodes) => nodes.Count == 0 ? null : nodes.Select(static n => new NodeName(n)).ToHashSet();
}
