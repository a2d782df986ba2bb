using ActiveActive.Apply;
using ActiveActive.Changes;
using Npgsql;
using NpgsqlTypes;

namespace ActiveActive.Database.Postgres;

/// <summary>The SQL of <c>active_active.quarantine</c> and of the parts of its transactions.</summary>
internal static class QuarantineTable
{
    private const string StorePartSql = "INSERT INTO active_active.quarantine_part (origin, position, part, content) VALUES ($1, $2, $3, $4)";

    private const string EnterSql =
        """
        INSERT INTO active_active.quarantine (origin, position, stamp, dependencies, parts, changes, keys, code, reason, attempts, first_attempt, last_attempt)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
        RETURNING id
        """;

    private const string ReleaseSql =
        """
        WITH gone AS (DELETE FROM active_active.quarantine WHERE id = $1 RETURNING origin, position),
        parts AS (DELETE FROM active_active.quarantine_part p USING gone WHERE p.origin = gone.origin AND p.position = gone.position)
        SELECT count(*) FROM gone
        """;

    private const string ReadSql =
        """
        SELECT id, origin, position::text, stamp, dependencies::text, parts, changes, keys, code, reason, attempts, first_attempt, last_attempt
        FROM active_active.quarantine
        WHERE $1::text IS NULL OR origin = $1
        ORDER BY id
        """;

    private const string ReadPartSql = "SELECT content FROM active_active.quarantine_part WHERE origin = $1 AND position = $2 AND part = $3";

    private const string NoteRefusalSql =
        "UPDATE active_active.quarantine SET code = $2, reason = $3, attempts = attempts + 1, last_attempt = clock_timestamp() WHERE id = $1";

    public static NpgsqlBatchCommand StorePart(NodeName origin, NpgsqlLogSequenceNumber position, int part, ReadOnlyMemory<byte> content) =>
        SqlParameters.Command(StorePartSql, SqlParameters.Text(origin.Value), SqlParameters.Text(position.ToString()), SqlParameters.Number(part),
            new NpgsqlParameter { NpgsqlDbType = NpgsqlDbType.Bytea, Value = content });

    public static NpgsqlBatchCommand Enter(QuarantinedTransaction entry) => SqlParameters.Command(EnterSql,
        SqlParameters.Text(entry.Origin.Value), SqlParameters.Text(entry.Position.ToString()), SqlParameters.Number(entry.Stamp.Microseconds),
        SqlParameters.Text(CheckpointTable.WriteVector(entry.Dependencies)), SqlParameters.Number(entry.Parts), SqlParameters.Number(entry.Changes),
        SqlParameters.Text(entry.Keys.ToJson()), SqlParameters.Text(entry.Code), SqlParameters.Text(entry.Reason), SqlParameters.Number(entry.Attempts),
        SqlParameters.Text(Text(entry.FirstAttempt)), SqlParameters.Text(Text(entry.LastAttempt)));

    /// <summary>Yields one row with the number of entries taken out.</summary>
    public static NpgsqlBatchCommand Release(long id) => SqlParameters.Command(ReleaseSql, SqlParameters.Number(id));

    public static NpgsqlBatchCommand Read(NodeName? origin) => SqlParameters.Command(ReadSql, SqlParameters.Text(origin?.Value));

    public static NpgsqlBatchCommand ReadPart(NodeName origin, NpgsqlLogSequenceNumber position, int part) =>
        SqlParameters.Command(ReadPartSql, SqlParameters.Text(origin.Value), SqlParameters.Text(position.ToString()), SqlParameters.Number(part));

    public static NpgsqlBatchCommand NoteRefusal(long id, string code, string reason) =>
        SqlParameters.Command(NoteRefusalSql, SqlParameters.Number(id), SqlParameters.Text(code), SqlParameters.Text(reason));

    public static QuarantinedTransaction ReadEntry(NpgsqlDataReader reader) => new(
        reader.GetInt32(5), CheckpointTable.ReadVector(reader.GetString(4)), WrittenKeys.Parse(reader.GetString(7)))
    {
        Id = reader.GetInt64(0),
        Origin = new NodeName(reader.GetString(1)),
        Position = NpgsqlLogSequenceNumber.Parse(reader.GetString(2)),
        Stamp = new CommitTimestamp(reader.GetInt64(3)),
        Changes = reader.GetInt64(6),
        Code = reader.GetString(8),
        Reason = reader.GetString(9),
        Attempts = reader.GetInt32(10),
        FirstAttempt = reader.GetFieldValue<DateTimeOffset>(11),
        LastAttempt = reader.GetFieldValue<DateTimeOffset>(12),
    };

    private static string Text(DateTimeOffset instant) => CommitTimestamp.From(instant).ToString();
}
