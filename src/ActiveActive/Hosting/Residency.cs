namespace ActiveActive;

/// <summary>Which nodes hold a row, by the value of one of its columns. A pure function of the row, the same on every node.</summary>
/// <param name="column">The column; compared as PostgreSQL prints its value.</param>
public sealed class Residency(string column)
{
    /// <summary>The column that decides.</summary>
    public string Column { get; } = column;

    /// <summary>By value, the nodes that hold such rows.</summary>
    public IDictionary<string, IList<string>> Regions { get; } = new Dictionary<string, IList<string>>(StringComparer.Ordinal);

    /// <summary>The nodes that hold rows with any other value, or null. Default: none named, which is every node.</summary>
    public IList<string> Rest { get; } = [];

    /// <summary>Rows with this value are on these nodes.</summary>
    public Residency Region(string value, params IReadOnlyList<string> nodes)
    {
        ArgumentNullException.ThrowIfNull(value);
        ArgumentNullException.ThrowIfNull(nodes);
        Regions[value] = [.. nodes];
        return this;
    }

    /// <summary>Rows with any other value, or null, are on these nodes.</summary>
    public Residency Elsewhere(params IReadOnlyList<string> nodes)
    {
        ArgumentNullException.ThrowIfNull(nodes);
        Rest.Clear();
        foreach (var node in nodes) Rest.Add(node);
        return this;
    }
}
