using ActiveActive.Changes;

namespace ActiveActive.Database.Postgres.PgOutput;

/// <summary>A row was updated.</summary>
/// <param name="RelationId">The table.</param>
/// <param name="OldRow">Null where the server sent none: the replica identity's columns did not change and it is not FULL.</param>
/// <param name="OldIsKeyOnly">Whether <paramref name="OldRow"/> holds the replica identity's columns only ('K') or all ('O').</param>
/// <param name="NewRow">The new row.</param>
internal readonly record struct UpdateMessage(uint RelationId, ColumnValue[]? OldRow, bool OldIsKeyOnly, ColumnValue[] NewRow)
{
    public static UpdateMessage Read(ref PgOutputReader reader, ColumnValues values)
    {
        var relation = reader.ReadUInt32("relation id");
        var marker = reader.ReadByte("tuple marker");
        ColumnValue[]? oldRow = null;
        var oldIsKeyOnly = false;
        if (marker is (byte)'K' or (byte)'O')
        {
            oldIsKeyOnly = marker == 'K';
            oldRow = reader.ReadTuple("old row", values);
            marker = reader.ReadByte("tuple marker");
        }

        if (marker != 'N') throw reader.Corrupt($"the tuple marker is 0x{marker:x2} where 'N' must stand");
        var newRow = reader.ReadTuple("new row", values);
        reader.End();
        return new(relation, oldRow, oldIsKeyOnly, newRow);
    }
}
