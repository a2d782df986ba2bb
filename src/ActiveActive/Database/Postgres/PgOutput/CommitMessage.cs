using NpgsqlTypes;

namespace ActiveActive.Database.Postgres.PgOutput;

/// <summary>The transaction is complete.</summary>
/// <param name="Position">The start of the commit record, as in <see cref="BeginMessage"/>.</param>
/// <param name="EndPosition">The byte after the commit record.</param>
/// <param name="Stamp">The commit timestamp.</param>
internal readonly record struct CommitMessage(NpgsqlLogSequenceNumber Position, NpgsqlLogSequenceNumber EndPosition, CommitTimestamp Stamp)
{
    public static CommitMessage Read(ref PgOutputReader reader)
    {
        var flags = reader.ReadByte("flags");
        if (flags != 0) throw reader.Corrupt($"flags are {flags}, and none is defined");
        var position = reader.ReadPosition("commit LSN");
        var end = reader.ReadPosition("end LSN");
        var stamp = new CommitTimestamp(reader.ReadInt64("commit timestamp"));
        reader.End();
        return new(position, end, stamp);
    }
}
