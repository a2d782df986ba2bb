using Npgsql;
using NpgsqlTypes;

namespace ActiveActive.Database.Postgres;

/// <summary>The SQL of <c>active_active.member</c>: states go forward only (<see cref="Member.MayBecome"/>).</summary>
internal static class MemberTable
{
    public const string ReadSql = "SELECT name, state, reason, reach FROM active_active.member ORDER BY name COLLATE \"C\"";

    private const string SaveSql =
        """
        INSERT INTO active_active.member AS m (name, state, reason, reach) SELECT u.name, u.state, u.reason, u.reach::pg_lsn FROM unnest($1, $2, $3, $4) AS u(name, state, reason, reach)
        ON CONFLICT (name) DO UPDATE SET state = excluded.state, reason = excluded.reason, reach = excluded.reach, since = clock_timestamp() WHERE (m.state, excluded.state) IN (SELECT * FROM unnest($5, $6))
        """;

    private static readonly string[] s_states = [.. Enum.GetValues<MemberState>().Select(Text)];

    private static readonly (MemberState From, MemberState To)[] s_steps =
        [.. Enum.GetValues<MemberState>().SelectMany(static from => Enum.GetValues<MemberState>().Where(to => new Member(new NodeName("any"), from).MayBecome(to)).Select(to => (from, to)))];

    public static NpgsqlBatchCommand Save(IReadOnlyList<Member> members) => SqlParameters.Command(SaveSql,
        SqlParameters.Texts([.. members.Select(static m => m.Name.Value)]),
        SqlParameters.Texts([.. members.Select(static m => Text(m.State))]),
        SqlParameters.Texts([.. members.Select(static m => m.Reason)]),
        SqlParameters.Texts([.. members.Select(static m => m.Reach.ToString())]),
        SqlParameters.Texts([.. s_steps.Select(static s => Text(s.From))]),
        SqlParameters.Texts([.. s_steps.Select(static s => Text(s.To))]));

    public static Member Read(NpgsqlDataReader reader) => new(new NodeName(reader.GetString(0)), (MemberState)Array.IndexOf(s_states, reader.GetString(1)))
    {
        Reason = reader.IsDBNull(2) ? null : reader.GetString(2),
        Reach = reader.GetFieldValue<NpgsqlLogSequenceNumber>(3),
    };

    private static string Text(MemberState state) => state.ToString().ToLowerInvariant();
}
