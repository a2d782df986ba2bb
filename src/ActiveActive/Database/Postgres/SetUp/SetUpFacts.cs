namespace ActiveActive.Database.Postgres.SetUp;

/// <summary>All that the checks look at. Read once, before anything is changed; the checks and the plan are pure functions of it.</summary>
internal sealed record SetUpFacts
{
    public required PostgresDatabaseOptions Options { get; init; }

    public required ServerFacts Server { get; init; }

    public required RoleFacts Role { get; init; }

    public required NodeFacts Node { get; init; }

    /// <summary>Everything of the user's schemas that has a name like a table's.</summary>
    public required IReadOnlyList<RelationFacts> Relations { get; init; }

    /// <summary>The tables that take part: ordinary ones and partition roots, by name.</summary>
    public required IReadOnlyList<TableFacts> Tables { get; init; }

    /// <summary>The enforced foreign keys of these tables.</summary>
    public IReadOnlyList<ForeignKey> ForeignKeys { get; init; } = [];

    /// <summary>The cluster's nodes as this node knows them, sorted.</summary>
    public IReadOnlyList<NodeName> Nodes => [.. Options.Peers.Append(Options.Node).Distinct().Order()];
}

/// <summary>The server and the database.</summary>
internal sealed record ServerFacts
{
    public int Version { get; init; } = 150000;

    public bool IsInRecovery { get; init; }

    public string WalLevel { get; init; } = "logical";

    public bool TracksCommitTimestamps { get; init; } = true;

    public int MaxReplicationSlots { get; init; } = 10;

    public int ReplicationSlots { get; init; }

    public int MaxWalSenders { get; init; } = 10;

    public int WalSenders { get; init; }

    /// <summary><c>max_active_replication_origins</c> from PostgreSQL 18 on; before, origins share <c>max_replication_slots</c>.</summary>
    public int MaxReplicationOrigins { get; init; } = 10;

    /// <summary>The origins of all databases of the server.</summary>
    public int ReplicationOrigins { get; init; }

    public string Encoding { get; init; } = "UTF8";

    public bool IsReadOnlyByDefault { get; init; }

    public string Database { get; init; } = "";

    public uint DatabaseOid { get; init; }

    public ulong SystemIdentifier { get; init; }

    /// <summary>0 in recovery.</summary>
    public uint Timeline { get; init; }

    /// <summary>The end of the WAL as far as it is flushed; zero in recovery.</summary>
    public NpgsqlTypes.NpgsqlLogSequenceNumber WalPosition { get; init; }

    /// <summary>Why the server refuses a replication connection; null where it accepts one, or where it was not worth a try.</summary>
    public string? ReplicationRefusal { get; init; }
}

/// <summary>The role that the library connects as.</summary>
internal sealed record RoleFacts
{
    public string Name { get; init; } = "";

    public bool MayReplicate { get; init; } = true;

    public bool MayCreateInDatabase { get; init; } = true;

    public bool MaySetReplicationRole { get; init; } = true;

    /// <summary>Signatures of the functions that it may not execute, out of <see cref="RequiredFunctions"/>.</summary>
    public IReadOnlyList<string> MissingFunctions { get; init; } = [];

    /// <summary>The functions that apply works with and that PostgreSQL grants to superusers only.</summary>
    public static readonly IReadOnlyList<string> RequiredFunctions =
    [
        "pg_replication_origin_create(text)",
        "pg_replication_origin_drop(text)",
        "pg_replication_origin_oid(text)",
        "pg_replication_origin_session_setup(text)",
        "pg_replication_origin_session_reset()",
        "pg_replication_origin_session_is_setup()",
        "pg_replication_origin_session_progress(boolean)",
        "pg_replication_origin_xact_setup(pg_lsn, timestamp with time zone)",
        "pg_replication_origin_xact_reset()",
        "pg_replication_origin_advance(text, pg_lsn)",
        "pg_replication_origin_progress(text, boolean)",
    ];
}
