using NpgsqlTypes;

namespace ActiveActive.Database.Postgres.PgOutput;

/// <summary>The transaction was written by a session with a replication origin; follows Begin.</summary>
/// <param name="Position">Where the transaction was committed on its origin, as that session said.</param>
/// <param name="Name">The origin's name in <c>pg_replication_origin</c>.</param>
internal readonly record struct OriginMessage(NpgsqlLogSequenceNumber Position, string Name)
{
    public static OriginMessage Read(ref PgOutputReader reader)
    {
        var position = reader.ReadPosition("origin LSN");
        var name = reader.ReadString("origin name");
        reader.End();
        return new(position, name);
    }
}
