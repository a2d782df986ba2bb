namespace ActiveActive;

/// <summary>Two concurrent versions of one row, as a resolver sees them: all that is the same on every node, and nothing else.</summary>
public sealed record Conflict
{
    /// <summary>The table; for a partition, its root.</summary>
    public required TableName Table { get; init; }

    /// <summary>The row that the earlier writes came to. Its columns are those of the local table.</summary>
    public required Row Local { get; init; }

    /// <summary>Which write <see cref="Local"/> shows.</summary>
    public required RowVersion LocalVersion { get; init; }

    /// <summary>The later, concurrent row.</summary>
    public required Row Remote { get; init; }

    /// <summary>Which write <see cref="Remote"/> is.</summary>
    public required RowVersion RemoteVersion { get; init; }
}
