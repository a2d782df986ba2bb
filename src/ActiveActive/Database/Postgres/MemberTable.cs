using Npgsql;
using NpgsqlTypes;

namespace ActiveActive.Database.Postgres;

/// <summary>The SQL of <c>active_active.member</c>: who has joined never has not again.</summary>
internal static class MemberTable
{
    public const string ReadSql = "SELECT name, has_joined FROM active_active.member ORDER BY name COLLATE \"C\"";

    private const string SaveSql =
        """
        INSERT INTO active_active.member AS m (name, has_joined) SELECT * FROM unnest($1, $2)
        ON CONFLICT (name) DO UPDATE SET has_joined = true WHERE excluded.has_joined AND NOT m.has_joined
        """;

    public static NpgsqlBatchCommand Save(IReadOnlyList<Member> members) => SqlParameters.Command(SaveSql,
        SqlParameters.Texts([.. members.Select(static m => m.Name.Value)]),
        new NpgsqlParameter { NpgsqlDbType = NpgsqlDbType.Array | NpgsqlDbType.Boolean, Value = members.Select(static m => m.HasJoined).ToArray() });

    public static Member Read(NpgsqlDataReader reader) => new(new NodeName(reader.GetString(0)), reader.GetBoolean(1));
}
