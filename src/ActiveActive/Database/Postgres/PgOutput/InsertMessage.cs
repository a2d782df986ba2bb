using ActiveActive.Changes;

namespace ActiveActive.Database.Postgres.PgOutput;

/// <summary>A row was inserted.</summary>
internal readonly record struct InsertMessage(uint RelationId, ColumnValue[] NewRow)
{
    public static InsertMessage Read(ref PgOutputReader reader, ColumnValues values)
    {
        var relation = reader.ReadUInt32("relation id");
        var marker = reader.ReadByte("tuple marker");
        if (marker != 'N') throw reader.Corrupt($"the tuple marker is 0x{marker:x2} where only 'N' can stand");
        var row = reader.ReadTuple("new row", values);
        reader.End();
        return new(relation, row);
    }
}
