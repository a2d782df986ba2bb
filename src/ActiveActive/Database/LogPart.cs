using NpgsqlTypes;

namespace ActiveActive.Database;

/// <summary>A part of a transaction in the node's log: the same one each time the log is read.</summary>
/// <param name="Position">The transaction's commit record.</param>
/// <param name="Part">Which part of it, from 0.</param>
internal readonly record struct LogPart(NpgsqlLogSequenceNumber Position, int Part)
{
    public bool IsAfter(LogPart other) => Position > other.Position || (Position == other.Position && Part > other.Part);
}
