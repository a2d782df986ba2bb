using System.Buffers;
using System.Text;
using System.Text.Json;
using ActiveActive.Changes;
using Npgsql;
using NpgsqlTypes;

namespace ActiveActive.Database.Postgres;

/// <summary>The SQL and JSON of <c>active_active.checkpoint</c>: one row.</summary>
internal static class CheckpointTable
{
    public const string ReadSql = "SELECT position::text, greatest_stamp, applied::text, last_published::text FROM active_active.checkpoint";

    // Never back: the slot may have been confirmed up to the later one, so that the log before it is gone.
    private const string SaveSql =
        """
        INSERT INTO active_active.checkpoint AS c (position, greatest_stamp, applied, last_published) VALUES ($1, $2, $3, $4)
        ON CONFLICT (only_row) DO UPDATE
        SET position = excluded.position, greatest_stamp = excluded.greatest_stamp, applied = excluded.applied, last_published = excluded.last_published
        WHERE excluded.position >= c.position
        """;

    public static NpgsqlBatchCommand Save(CaptureCheckpoint checkpoint) => SqlParameters.Command(SaveSql,
        SqlParameters.Text(checkpoint.Position.ToString()), SqlParameters.Number(checkpoint.GreatestStamp.Microseconds),
        SqlParameters.Text(WriteVector(checkpoint.Applied)), SqlParameters.Text(checkpoint.LastPublished.ToString()));

    /// <summary>The checkpoint that the reader of <see cref="ReadSql"/> stands on.</summary>
    public static CaptureCheckpoint Read(NpgsqlDataReader reader) => new(
        NpgsqlLogSequenceNumber.Parse(reader.GetString(0)), new CommitTimestamp(reader.GetInt64(1)), ReadVector(reader.GetString(2)),
        NpgsqlLogSequenceNumber.Parse(reader.GetString(3)));

    public static string WriteVector(DependencyVector vector)
    {
        var buffer = new ArrayBufferWriter<byte>(64);
        using (var writer = new Utf8JsonWriter(buffer))
        {
            writer.WriteStartObject();
            foreach (var (node, position) in vector) writer.WriteString(node.Value, position.ToString());
            writer.WriteEndObject();
        }

        return Encoding.UTF8.GetString(buffer.WrittenSpan);
    }

    public static DependencyVector ReadVector(string json)
    {
        using var document = JsonDocument.Parse(json);
        return DependencyVector.Of(
            [.. document.RootElement.EnumerateObject().Select(p => KeyValuePair.Create(new NodeName(p.Name), NpgsqlLogSequenceNumber.Parse(p.Value.GetString()!)))]);
    }
}
