namespace ActiveActive;

/// <summary>Which entries of the conflict history to read; what is not set does not filter. Newest first.</summary>
public sealed record ConflictQuery
{
    /// <summary>Only this table.</summary>
    public TableName? Table { get; init; }

    /// <summary>Only this kind.</summary>
    public ConflictType? Type { get; init; }

    /// <summary>Only entries recorded at or after this instant.</summary>
    public DateTimeOffset? Since { get; init; }

    /// <summary>Only entries with a smaller <see cref="ConflictRecord.Id"/>: pass the last one's to page on.</summary>
    public long? BeforeId { get; init; }

    /// <summary>At most so many, 1 to 100,000. Default: 1,000.</summary>
    public int Limit { get; init; } = 1_000;
}
