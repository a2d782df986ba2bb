using NpgsqlTypes;

namespace ActiveActive.Changes;

/// <summary>
/// The one noun that moves down the line: what one transaction changed on its origin. Immutable.
/// A transaction too large for one piece comes as several parts with the same header, in order, without another transaction of that
/// origin between them; the receiver commits at the last. A heartbeat has no changes and only tells how far its sender is.
/// </summary>
internal sealed record ChangeTransaction
{
    /// <summary>The node on which it was committed.</summary>
    public required NodeName Origin { get; init; }

    /// <summary>
    /// The start of its commit record in the origin's WAL: unique and rising in commit order. For a heartbeat, the position up to
    /// which the sender's capture has read.
    /// </summary>
    public required NpgsqlLogSequenceNumber Position { get; init; }

    /// <summary>The origin's commit timestamp; for a heartbeat the greatest stamp that the capture has seen.</summary>
    public required CommitTimestamp Stamp { get; init; }

    /// <summary>What its writer's node had applied of the other origins when it committed. It does not name the origin itself.</summary>
    public required DependencyVector Dependencies { get; init; }

    public required IReadOnlyList<Change> Changes { get; init; }

    /// <summary>0 for the first part.</summary>
    public int Part { get; init; }

    public bool IsLastPart { get; init; } = true;

    public bool IsHeartbeat { get; init; }

    public RowVersion Version => new(Stamp, Origin, Position);

    /// <summary>
    /// Whether its writer had seen a version (convergence R1: by position, never by stamp). Versions of the same origin were
    /// seen: one origin's transactions arrive in order. A version whose stamp or position is no longer known is stable, so it was seen.
    /// </summary>
    public bool HasSeen(in RowVersion version) =>
        version.Origin == Origin
        || !version.Stamp.IsKnown
        || version.Position == default
        || Dependencies.Covers(version.Origin, version.Position);

    public override string ToString() => $"{(IsHeartbeat ? "heartbeat" : "transaction")} {Origin} {Position} part {Part}, {Changes.Count} changes";
}
