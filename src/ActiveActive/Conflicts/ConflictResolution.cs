namespace ActiveActive;

/// <summary>A resolver's answer: <see cref="ApplyRemote"/>, <see cref="KeepLocal"/> or <see cref="Merge"/>.</summary>
public sealed record ConflictResolution
{
    private ConflictResolution(ConflictOutcome outcome, Row? merged)
    {
        Outcome = outcome;
        Merged = merged;
    }

    /// <summary>The later row replaces the earlier one.</summary>
    public static ConflictResolution ApplyRemote { get; } = new(ConflictOutcome.ApplyRemote, null);

    /// <summary>The earlier row stays.</summary>
    public static ConflictResolution KeepLocal { get; } = new(ConflictOutcome.KeepLocal, null);

    /// <summary>A row made of both. Its primary key must be the key of the two; columns it does not name keep the later row's values.</summary>
    public static ConflictResolution Merge(Row row)
    {
        ArgumentNullException.ThrowIfNull(row);
        return new(ConflictOutcome.Merge, row);
    }

    /// <summary>Which answer it is.</summary>
    public ConflictOutcome Outcome { get; }

    /// <summary>The merged row; null unless <see cref="Outcome"/> is <see cref="ConflictOutcome.Merge"/>.</summary>
    public Row? Merged { get; }
}
