namespace ActiveActive.Database.Postgres.PgOutput;

/// <summary>Tables were truncated by one statement, partitions and what CASCADE reached included.</summary>
internal readonly record struct TruncateMessage(bool Cascade, bool RestartIdentity, uint[] RelationIds)
{
    public static TruncateMessage Read(ref PgOutputReader reader)
    {
        var count = reader.ReadInt32("relation count");
        var options = reader.ReadByte("options");
        if (options > 3) throw reader.Corrupt($"options are {options}, and only 1 and 2 are defined");
        var relations = new uint[reader.ReadCount(count, 4, "relation count")];
        for (var i = 0; i < relations.Length; i++) relations[i] = reader.ReadUInt32("relation id");
        reader.End();
        return new((options & 1) != 0, (options & 2) != 0, relations);
    }
}
