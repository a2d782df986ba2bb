namespace ActiveActive.Database.Postgres.PgOutput;

/// <summary>
/// The columns that the following changes of a table have; comes before the table's first change in a session, and again after
/// anything about the table may have changed.
/// </summary>
internal sealed record RelationMessage(uint Id, TableName Name, ReplicaIdentity Identity, IReadOnlyList<RelationMessageColumn> Columns)
{
    // Flags, an empty name's end, type and modifier.
    private const int LeastColumnBytes = 1 + 1 + 4 + 4;

    public static RelationMessage Read(ref PgOutputReader reader)
    {
        var id = reader.ReadUInt32("relation id");
        var schema = reader.ReadString("schema");
        var name = reader.ReadString("table");
        var identity = (ReplicaIdentity)reader.ReadByte("replica identity");
        if (!Enum.IsDefined(identity)) throw reader.Corrupt($"the replica identity 0x{(byte)identity:x2} is unknown");

        var columns = new RelationMessageColumn[reader.ReadCount(reader.ReadInt16("column count"), LeastColumnBytes, "column count")];
        var names = new HashSet<string>(columns.Length, StringComparer.Ordinal);
        for (var i = 0; i < columns.Length; i++)
        {
            var flags = reader.ReadByte("column flags");
            if (flags > 1) throw reader.Corrupt($"column flags are {flags}, and only 1 is defined");
            columns[i] = new(reader.ReadString("column name"), flags == 1, reader.ReadUInt32("type"), reader.ReadInt32("type modifier"));
            if (!names.Add(columns[i].Name)) throw reader.Corrupt("two columns have the same name");
        }

        reader.End();
        // The server leaves pg_catalog unnamed.
        return new(id, new TableName(schema.Length == 0 ? "pg_catalog" : schema, name), identity, columns);
    }
}

/// <summary>A column as a Relation message tells it.</summary>
/// <param name="Name">The column's name.</param>
/// <param name="IsIdentity">Part of the replica identity: with FULL, every column.</param>
/// <param name="TypeOid">Its type.</param>
/// <param name="TypeModifier">Its type's modifier, -1 for none.</param>
internal readonly record struct RelationMessageColumn(string Name, bool IsIdentity, uint TypeOid, int TypeModifier);

/// <summary><c>pg_class.relreplident</c>.</summary>
internal enum ReplicaIdentity : byte
{
    Default = (byte)'d',
    Nothing = (byte)'n',
    Full = (byte)'f',
    Index = (byte)'i',
}
