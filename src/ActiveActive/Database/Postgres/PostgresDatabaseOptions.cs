namespace ActiveActive.Database.Postgres;

/// <summary>What a <see cref="PostgresDatabase"/> needs of the node's options.</summary>
internal sealed record PostgresDatabaseOptions
{
    public required NodeName Node { get; init; }

    public required string ConnectionString { get; init; }

    public required IReadOnlyList<NodeName> Peers { get; init; }

    public required ReplicatedTables Tables { get; init; }

    /// <summary>The process and node object that this is, among those of the same node.</summary>
    public InstanceName Instance { get; init; } = InstanceName.New();

    /// <summary>See <see cref="ReplicationNodeOptions.LeaderTimeout"/>.</summary>
    public TimeSpan LeaderTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>A transaction is yielded in parts of about so many changes.</summary>
    public int MaxChangesPerPart { get; init; } = 5_000;

    /// <summary>A part ends early when its values' texts reach so many characters.</summary>
    public int MaxCharactersPerPart { get; init; } = 4 << 20;
}
