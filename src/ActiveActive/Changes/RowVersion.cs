using ActiveActive.Diagnostics;
using NpgsqlTypes;

namespace ActiveActive;

/// <summary>
/// Which write a row (or a tombstone) shows: the commit timestamp and origin of the transaction that wrote it, and that
/// transaction's position in its origin's log.
/// </summary>
/// <param name="Stamp">The commit timestamp given by the origin.</param>
/// <param name="Origin">The node on which the write was committed.</param>
/// <param name="Position">The commit record's position in the origin's WAL; zero where it is not known any more (long stable).</param>
public readonly record struct RowVersion(CommitTimestamp Stamp, NodeName Origin, NpgsqlLogSequenceNumber Position)
{
    /// <summary>
    /// Whether this write is later than <paramref name="other"/> in the total order <c>(stamp, node)</c>. Two writes of one origin
    /// are ordered by that origin's log and never by their stamps, which can run backwards in the log by a little.
    /// </summary>
    public bool IsNewerThan(in RowVersion other)
    {
        if (Origin == other.Origin && Position != default && other.Position != default) return Position > other.Position;
        var order = Stamp.CompareTo(other.Stamp);
        return order != 0 || Safeguards.IsOff(Safeguard.TieByNode) ? order > 0 : Origin > other.Origin;
    }

    /// <inheritdoc/>
    public override string ToString() => $"{Stamp} {Origin} {Position}";
}
