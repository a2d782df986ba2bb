using NpgsqlTypes;

namespace ActiveActive.Database.Postgres.PgOutput;

/// <summary>A transaction begins; comes just before its first published change, and not at all where there is none.</summary>
/// <param name="Position">The start of the transaction's commit record ("final LSN"), known here already.</param>
/// <param name="Stamp">The commit timestamp; of a transaction with an origin, the one that the origin gave.</param>
/// <param name="Xid">The transaction id.</param>
internal readonly record struct BeginMessage(NpgsqlLogSequenceNumber Position, CommitTimestamp Stamp, uint Xid)
{
    public static BeginMessage Read(ref PgOutputReader reader)
    {
        var position = reader.ReadPosition("final LSN");
        var stamp = new CommitTimestamp(reader.ReadInt64("commit timestamp"));
        var xid = reader.ReadUInt32("transaction id");
        reader.End();
        return new(position, stamp, xid);
    }
}
