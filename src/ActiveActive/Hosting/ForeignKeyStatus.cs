namespace ActiveActive;

/// <summary>A foreign key as the last check found it; see <see cref="ReplicationNodeOptions.OrphanCheckInterval"/>.</summary>
public sealed record ForeignKeyStatus
{
    /// <summary>The table that has it.</summary>
    public required TableName Table { get; init; }

    /// <summary>Its name.</summary>
    public required string Constraint { get; init; }

    /// <summary>The table that it refers to.</summary>
    public required TableName Referenced { get; init; }

    /// <summary>What becomes of orphans.</summary>
    public required OrphanPolicy Policy { get; init; }

    /// <summary>Rows that name a missing row; at most 1,000 are counted. See <see cref="ReplicationNode.FindOrphansAsync"/>.</summary>
    public int Orphans { get; init; }

    /// <summary>Rows that wait out of sight because of it; at most 1,000 of all foreign keys are counted. See <see cref="ReplicationNode.ReadQuarantinedOrphansAsync"/>.</summary>
    public int Quarantined { get; init; }

    /// <summary>Why it could not be checked, or why the policy could not be applied; null while all is well.</summary>
    public string? Message { get; init; }
}
