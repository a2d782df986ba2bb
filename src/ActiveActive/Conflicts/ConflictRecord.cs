namespace ActiveActive;

/// <summary>One entry of the conflict history (table <c>active_active.conflict</c>): written in the transaction that resolved it.</summary>
public sealed record ConflictRecord
{
    /// <summary>The entry's number on this node, rising; 0 until stored.</summary>
    public long Id { get; init; }

    /// <summary>When it was recorded, by the local database's clock.</summary>
    public DateTimeOffset RecordedAt { get; init; }

    /// <summary>The table; for a partition, its root.</summary>
    public required TableName Table { get; init; }

    /// <summary>The primary key's values as text, in key order.</summary>
    public required IReadOnlyList<string> Key { get; init; }

    /// <summary>What kind of conflict.</summary>
    public required ConflictType Type { get; init; }

    /// <summary>The row that stood here; null where there was none.</summary>
    public Row? LocalRow { get; init; }

    /// <summary>Which write the local row, or the tombstone in its place, shows; null where nothing is known.</summary>
    public RowVersion? LocalVersion { get; init; }

    /// <summary>The row that arrived; null for a delete.</summary>
    public Row? RemoteRow { get; init; }

    /// <summary>Which write arrived.</summary>
    public required RowVersion RemoteVersion { get; init; }

    /// <summary>What became of the remote change.</summary>
    public required ConflictOutcome Outcome { get; init; }

    /// <summary>The node whose version won; for a merge, the later one.</summary>
    public required NodeName Winner { get; init; }

    /// <summary>The rule or resolver that decided, for example <c>last_update_wins</c>, <c>delta</c>, or the resolver's type name.</summary>
    public required string Resolver { get; init; }

    /// <summary>Why, in a sentence.</summary>
    public required string Reason { get; init; }
}
