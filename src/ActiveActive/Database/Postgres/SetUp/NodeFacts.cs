using NpgsqlTypes;

namespace ActiveActive.Database.Postgres.SetUp;

/// <summary>What earlier set-ups left in the database and the server.</summary>
internal sealed record NodeFacts
{
    /// <summary>The schema <c>active_active</c> exists.</summary>
    public bool HasSchema { get; init; }

    /// <summary>The last step of <see cref="PostgresSchema.Steps"/> that was run; 0 for none.</summary>
    public int SchemaStep { get; init; }

    /// <summary>What of the library's own (schema, tables, publication) belongs to another role, for example <c>schema active_active (owner postgres)</c>.</summary>
    public IReadOnlyList<string> OwnedByOthers { get; init; } = [];

    /// <summary>The node that lives here; null before the first set-up.</summary>
    public LocalNodeRow? Local { get; init; }

    /// <summary>Null before the first set-up.</summary>
    public CheckpointRow? Checkpoint { get; init; }

    public SlotFacts? Slot { get; init; }

    /// <summary>A slot that serves a peer which fell behind exists already.</summary>
    public bool HasCatchUpSlot { get; init; }

    public PublicationFacts? Publication { get; init; }

    /// <summary>The peers that have an origin.</summary>
    public IReadOnlyList<NodeName> Origins { get; init; } = [];
}

/// <summary>The local row of <c>active_active.node</c>.</summary>
internal sealed record LocalNodeRow(string Name, ulong SystemIdentifier, uint Timeline, uint DatabaseOid, Guid Incarnation);

/// <summary>The row of <c>active_active.checkpoint</c>.</summary>
/// <param name="Position">Where capture starts.</param>
/// <param name="Origins">The names of the origins of which something was applied.</param>
internal sealed record CheckpointRow(NpgsqlLogSequenceNumber Position, IReadOnlyList<string> Origins);

/// <summary>The replication slot that bears the node's name.</summary>
internal sealed record SlotFacts(string Name)
{
    public string? Database { get; init; }

    public string? Plugin { get; init; } = "pgoutput";

    public bool IsTemporary { get; init; }

    /// <summary>The process that reads it; null where nobody does.</summary>
    public int? ActivePid { get; init; }

    public NpgsqlLogSequenceNumber ConfirmedFlush { get; init; }

    /// <summary><c>wal_status</c>: the WAL it needs was removed, or it was invalidated.</summary>
    public bool IsLost { get; init; }
}

/// <summary>The publication <c>active_active</c>.</summary>
internal sealed record PublicationFacts
{
    public bool ForAllTables { get; init; }

    /// <summary>Schemas added with FOR TABLES IN SCHEMA.</summary>
    public IReadOnlyList<string> Schemas { get; init; } = [];

    /// <summary>Publishes insert, update, delete and truncate, by partition, and (PG 18) no generated columns.</summary>
    public bool HasRightOptions { get; init; } = true;

    public IReadOnlyList<PublishedTable> Tables { get; init; } = [];
}

/// <summary>A member of the publication.</summary>
/// <param name="Oid">The table.</param>
/// <param name="Name">Its name.</param>
/// <param name="IsFiltered">It has a column list or a row filter, which would lose changes.</param>
internal sealed record PublishedTable(uint Oid, TableName Name, bool IsFiltered);
