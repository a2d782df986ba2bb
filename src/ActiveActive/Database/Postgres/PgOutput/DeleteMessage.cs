using ActiveActive.Changes;

namespace ActiveActive.Database.Postgres.PgOutput;

/// <summary>A row was deleted.</summary>
/// <param name="RelationId">The table.</param>
/// <param name="OldRow">The row, or the replica identity's columns of it.</param>
/// <param name="OldIsKeyOnly">Whether <paramref name="OldRow"/> holds the replica identity's columns only ('K') or all ('O').</param>
internal readonly record struct DeleteMessage(uint RelationId, ColumnValue[] OldRow, bool OldIsKeyOnly)
{
    public static DeleteMessage Read(ref PgOutputReader reader, ColumnValues values)
    {
        var relation = reader.ReadUInt32("relation id");
        var marker = reader.ReadByte("tuple marker");
        if (marker is not ((byte)'K' or (byte)'O')) throw reader.Corrupt($"the tuple marker is 0x{marker:x2} where 'K' or 'O' must stand");
        var row = reader.ReadTuple("old row", values);
        reader.End();
        return new(relation, row, marker == 'K');
    }
}
