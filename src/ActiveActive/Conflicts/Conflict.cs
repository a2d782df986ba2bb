namespace ActiveActive;

/// <summary>Two concurrent versions of one row, as a resolver sees them.</summary>
public sealed record Conflict
{
    /// <summary>What kind of conflict, in PostgreSQL's words.</summary>
    public required ConflictType Type { get; init; }

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

    /// <summary>The row that the later writer replaced, where its transaction carried it (REPLICA IDENTITY FULL); else null.</summary>
    public Row? RemoteOld { get; init; }
}
