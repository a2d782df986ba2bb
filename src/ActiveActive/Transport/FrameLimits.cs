namespace ActiveActive.Transport;

/// <summary>
/// The protocol's fixed limits. Every one of them is looked at before anything is allocated for what it limits; the frame size itself
/// is <see cref="ReplicationNodeOptions.MaxFrameBytes"/>.
/// </summary>
internal static class FrameLimits
{
    /// <summary>Payload length and checksum, four bytes each.</summary>
    public const int HeaderBytes = 8;

    /// <summary>PostgreSQL's own limit (<c>MaxHeapAttributeNumber</c>).</summary>
    public const int MaxColumns = 1_600;

    /// <summary>PostgreSQL's own limit (<c>INDEX_MAX_KEYS</c>).</summary>
    public const int MaxKeyColumns = 32;

    /// <summary>What follows the key where a change says that a version was replaced: the later one's stamp, origin and position, and whom it concerns.</summary>
    public const int SupersededValues = 4;

    /// <summary>Nodes in a dependency vector.</summary>
    public const int MaxVectorEntries = 1_000;

    /// <summary>Gaps in a dependency vector: the transactions that a node may hold in quarantine.</summary>
    public const int MaxVectorGaps = 2_000;

    /// <summary>Names of features in a <see cref="HelloFrame"/> or <see cref="WelcomeFrame"/>.</summary>
    public const int MaxFeatures = 64;

    /// <summary>The fields of any frame, those that a newer protocol adds included: the longest array that MessagePack begins with one byte.</summary>
    public const int MaxFields = 15;

    /// <summary>
    /// A compressed frame gives at most so many bytes for each of its own. What would give more is sent as it is: the memory that a peer can make us take stays a
    /// multiple of what it sends.
    /// </summary>
    public const int MaxExpansion = 256;

    /// <summary>Settings in a <see cref="HelloFrame"/>.</summary>
    public const int MaxSettings = 256;

    /// <summary>Keys in a <see cref="UniqueKeysFrame"/>; what a node has beyond them is not compared.</summary>
    public const int MaxUniqueKeys = 2_000;

    /// <summary>One name of a schema, table, column or type. PostgreSQL's identifiers have 63 bytes unless it was built otherwise.</summary>
    public const int MaxIdentifierBytes = 1_024;

    /// <summary>One setting's value, a unique key's definition, or the sentence of a <see cref="RefuseFrame"/>.</summary>
    public const int MaxSentenceBytes = 4_096;

    /// <summary>Payload of a frame that carries no table and no row.</summary>
    public const int MaxControlBytes = 2 << 20;

    /// <summary>Payload of a <see cref="RelationFrame"/>: <see cref="MaxColumns"/> columns with the longest names; or of all unique keys.</summary>
    public const int MaxRelationBytes = 4 << 20;

    /// <summary>
    /// The memory that the relations known to one connection may take, as <see cref="RelationWindow.CostOf"/> counts. It is part of the
    /// protocol: both ends forget the same relations at the same point of the stream.
    /// </summary>
    public const long RelationWindowBytes = 256L << 20;

    /// <summary>The greatest payload of a frame of that kind.</summary>
    public static int MaxPayloadBytes(FrameKind kind, int maxFrameBytes) => kind switch
    {
        FrameKind.Transaction or FrameKind.RowRequest or FrameKind.Row or FrameKind.Compressed or FrameKind.Snapshot or FrameKind.CopiedRows or FrameKind.CopiedKeys => maxFrameBytes,
        FrameKind.Relation or FrameKind.UniqueKeys => MaxRelationBytes,
        _ => MaxControlBytes,
    };
}

/// <summary>The first element of a payload.</summary>
internal enum FrameKind
{
    Hello = 1,
    Welcome = 2,
    Refuse = 3,
    Relation = 4,
    Transaction = 5,
    Ack = 6,
    Ping = 7,
    RowRequest = 8,
    Row = 9,
    UniqueKeys = 10,

    /// <summary>Protocol 2, where the feature is agreed on: transactions, compressed.</summary>
    Compressed = 11,

    Members = 12,
    SnapshotRequest = 13,
    Snapshot = 14,
    CopyRequest = 15,
    CopiedRows = 16,
    CopiedKeys = 17,
    CopiedTable = 18,
}

/// <summary>The second element of a change: what it is and which row images follow.</summary>
internal enum ChangeShape
{
    Insert = 0,
    Update = 1,
    UpdateWithOldKey = 2,
    UpdateWithOldRow = 3,
    DeleteByKey = 4,
    DeleteWithRow = 5,
    Truncate = 6,
    Superseded = 7,
}

/// <summary>What a transaction frame is, as bits.</summary>
[Flags]
internal enum TransactionFlags
{
    None = 0,
    LastPart = 1,
    Heartbeat = 2,
}
