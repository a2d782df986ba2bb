using ActiveActive.Changes;
using NpgsqlTypes;

namespace ActiveActive.Database;

/// <summary>A transaction (or a part of a large one) as the log holds it, before causality is added.</summary>
internal sealed record CapturedTransaction
{
    /// <summary>The transaction id as rows show it in <c>xmin</c>.</summary>
    public required uint Xid { get; init; }

    /// <summary>The start of its commit record.</summary>
    public required NpgsqlLogSequenceNumber Position { get; init; }

    /// <summary>As the server gave it; a clock that stepped back makes it run backwards.</summary>
    public required CommitTimestamp Stamp { get; init; }

    /// <summary>Of a marker: local transactions behind it count as later than this. Unknown where there is none.</summary>
    public CommitTimestamp Floor { get; init; } = CommitTimestamp.Unknown;

    /// <summary>Default where the transaction was committed here; else the node whose transaction it applied.</summary>
    public NodeName ForeignOrigin { get; init; }

    /// <summary>The applied transaction's position in its origin's log.</summary>
    public NpgsqlLogSequenceNumber ForeignPosition { get; init; }

    /// <summary>Of a commit that applied several foreign transactions: whose the rows are. Null where it applied one.</summary>
    public GroupedVersions? Grouped { get; init; }

    /// <summary>Whether the foreign transaction was put into quarantine here and not applied.</summary>
    public bool IsQuarantined { get; init; }

    /// <summary>Empty for a foreign transaction, unless the stream was opened to read those, too (<see cref="SlotCopy.IsWithApplied"/>).</summary>
    public required IReadOnlyList<Change> Changes { get; init; }

    /// <summary>
    /// A part of the applied transaction as it was received; only where the stream was opened to relay its origin's. Then the last
    /// part, which says that the transaction is committed here, comes after all of them and has none.
    /// </summary>
    public ChangeTransaction? Received { get; init; }

    public int Part { get; init; }

    public bool IsLastPart { get; init; } = true;
}
