namespace ActiveActive.Database.Postgres.PgOutput;

/// <summary>Names a type that is not built in. Read only so that a malformed one is noticed: the catalog look-up names types, too.</summary>
internal readonly record struct TypeMessage(uint Id, string Schema, string Name)
{
    public static TypeMessage Read(ref PgOutputReader reader)
    {
        var id = reader.ReadUInt32("type id");
        var schema = reader.ReadString("schema");
        var name = reader.ReadString("type");
        reader.End();
        return new(id, schema.Length == 0 ? "pg_catalog" : schema, name);
    }
}
