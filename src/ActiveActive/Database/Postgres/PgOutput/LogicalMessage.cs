using System.Buffers.Text;
using System.Globalization;
using NpgsqlTypes;

namespace ActiveActive.Database.Postgres.PgOutput;

/// <summary>Something was written with <c>pg_logical_emit_message</c>.</summary>
/// <param name="IsTransactional">Whether it belongs to a transaction; others come at once, between transactions.</param>
/// <param name="Position">Where it stands in the log.</param>
/// <param name="Prefix">Who wrote it.</param>
/// <param name="Floor">Of one of this library's markers: the stamp that it names; else Unknown.</param>
/// <param name="MarksQuarantine">Whether it says that its transaction put a peer's into quarantine. No other content says anything.</param>
internal readonly record struct LogicalMessage(bool IsTransactional, NpgsqlLogSequenceNumber Position, string Prefix, CommitTimestamp Floor, bool MarksQuarantine = false)
{
    /// <summary>What a marker says.</summary>
    public static string MarkerContent(CommitTimestamp floor) => floor.IsKnown ? floor.Microseconds.ToString(CultureInfo.InvariantCulture) : "";

    public static LogicalMessage Read(ref PgOutputReader reader)
    {
        var flags = reader.ReadByte("flags");
        if (flags > 1) throw reader.Corrupt($"flags are {flags}, and only 1 is defined");
        var position = reader.ReadPosition("message LSN");
        var prefix = reader.ReadString("prefix");
        var content = reader.ReadBytes(reader.ReadInt32("content length"), "content");
        reader.End();
        var floor = prefix == PostgresNames.MessagePrefix && Utf8Parser.TryParse(content, out long microseconds, out var read) && read == content.Length
            ? new CommitTimestamp(microseconds)
            : CommitTimestamp.Unknown;
        return new(flags == 1, position, prefix, floor, prefix == PostgresNames.MessagePrefix && content.SequenceEqual(PostgresNames.QuarantinedMessage));
    }
}
