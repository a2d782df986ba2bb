using System.Buffers.Text;
using System.Globalization;
using NpgsqlTypes;

namespace ActiveActive.Database.Postgres.PgOutput;

/// <summary>Something was written with <c>pg_logical_emit_message</c>.</summary>
internal readonly ref struct LogicalMessage
{
    /// <summary>Whether it belongs to a transaction; others come at once, between transactions.</summary>
    public bool IsTransactional { get; private init; }

    /// <summary>Where it stands in the log.</summary>
    public NpgsqlLogSequenceNumber Position { get; private init; }

    /// <summary>Who wrote it.</summary>
    public string Prefix { get; private init; }

    public ReadOnlySpan<byte> Content { get; private init; }

    /// <summary>Of one of this library's markers: the stamp that it names; else Unknown.</summary>
    public CommitTimestamp Floor => Prefix == PostgresNames.MessagePrefix && Utf8Parser.TryParse(Content, out long microseconds, out var read) && read == Content.Length
        ? new CommitTimestamp(microseconds)
        : CommitTimestamp.Unknown;

    /// <summary>Whether it says that its transaction put a peer's into quarantine.</summary>
    public bool MarksQuarantine => Prefix == PostgresNames.MessagePrefix && Content.SequenceEqual(PostgresNames.QuarantinedMessage);

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
        return new() { IsTransactional = flags == 1, Position = position, Prefix = prefix, Content = content };
    }
}
