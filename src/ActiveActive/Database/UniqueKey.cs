namespace ActiveActive.Database;

/// <summary>A secondary unique key of a replicated table, as a text that is equal where two nodes' keys are: names of indexes and the order of their columns do not matter.</summary>
/// <param name="Table">The table; of a partition's own index, the root.</param>
/// <param name="Definition">Its columns and expressions, predicate and <c>NULLS NOT DISTINCT</c>, and the partition that has it alone.</param>
internal sealed record UniqueKey(TableName Table, string Definition)
{
    // What is sent has a limit.
    private const int MaxLength = 400;

    /// <param name="table">The table.</param>
    /// <param name="columns">Its columns and expressions, in any order.</param>
    /// <param name="nullsNotDistinct">Whether nulls are equal.</param>
    /// <param name="predicate">Of a partial one; else null.</param>
    /// <param name="partition">The partition that has it alone, and its bounds; else null.</param>
    public static UniqueKey Of(TableName table, IEnumerable<string> columns, bool nullsNotDistinct, string? predicate, string? partition)
    {
        var text = $"({string.Join(", ", columns.Order(StringComparer.Ordinal))}){(nullsNotDistinct ? " NULLS NOT DISTINCT" : "")}{(predicate is null ? "" : $" WHERE {predicate}")}{(partition is null ? "" : $" on {partition}")}";
        if (text.Length > MaxLength)
        {
            var digest = Convert.ToHexString(System.Security.Cryptography.SHA256.HashData(System.Text.Encoding.UTF8.GetBytes(text)).AsSpan(0, 8));
            text = $"{text[..(char.IsHighSurrogate(text[MaxLength - 1]) ? MaxLength - 1 : MaxLength)]}… {digest}";
        }

        return new UniqueKey(table, text);
    }

    /// <summary>A sentence for each key that only one of two nodes has; empty where they agree.</summary>
    public static IReadOnlyList<string> Differences(NodeName self, IReadOnlyList<UniqueKey> own, NodeName peer, IReadOnlyList<UniqueKey> theirs) =>
    [
        .. own.Except(theirs).Select(k => (Key: k, Node: self)).Concat(theirs.Except(own).Select(k => (Key: k, Node: peer)))
            .OrderBy(static d => d.Key.Table).ThenBy(static d => d.Key.Definition, StringComparer.Ordinal)
            .Select(static d => $"{d.Key.Table} {d.Key.Definition} is unique on '{d.Node}' only"),
    ];
}
