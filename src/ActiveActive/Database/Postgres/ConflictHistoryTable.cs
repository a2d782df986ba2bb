using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Json;
using ActiveActive.Changes;
using Npgsql;
using NpgsqlTypes;

namespace ActiveActive.Database.Postgres;

/// <summary>The SQL and text forms of the conflict history, <c>active_active.conflict</c>.</summary>
internal static class ConflictHistoryTable
{
    private const string AppendSql =
        """
        INSERT INTO active_active.conflict (table_name, key, type, local_row, local_stamp, local_origin, local_position,
            remote_row, remote_stamp, remote_origin, remote_position, outcome, winner, resolver, reason)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
        """;

    private static readonly string s_read =
        $"""
        SELECT id, recorded_at, table_name, key::text, type,
               local_row::text, {VersionSql.StoredMicroseconds("local_stamp")}, local_origin, local_position::text,
               remote_row::text, {VersionSql.StoredMicroseconds("remote_stamp")}, remote_origin, remote_position::text,
               outcome, winner, resolver, reason
        FROM active_active.conflict
        WHERE ($1::text IS NULL OR table_name = $1) AND ($2::text IS NULL OR type = $2)
          AND ($3::timestamptz IS NULL OR recorded_at >= $3) AND ($4::bigint IS NULL OR id < $4)
        ORDER BY id DESC
        LIMIT $5
        """;

    private const string DeleteSql = "DELETE FROM active_active.conflict WHERE recorded_at < $1";

    // The texts are stored and read by users: they do not change when a name in the code does.
    private static readonly (ConflictType Value, string Text)[] s_types =
    [
        (ConflictType.InsertExists, "insert_exists"),
        (ConflictType.UpdateOriginDiffers, "update_origin_differs"),
        (ConflictType.UpdateExists, "update_exists"),
        (ConflictType.UpdateMissing, "update_missing"),
        (ConflictType.DeleteOriginDiffers, "delete_origin_differs"),
        (ConflictType.DeleteMissing, "delete_missing"),
        (ConflictType.MultipleUniqueConflicts, "multiple_unique_conflicts"),
        (ConflictType.TruncateOriginDiffers, "truncate_origin_differs"),
        (ConflictType.Discarded, "discarded"),
    ];

    private static readonly (ConflictOutcome Value, string Text)[] s_outcomes =
    [
        (ConflictOutcome.ApplyRemote, "apply_remote"),
        (ConflictOutcome.KeepLocal, "keep_local"),
        (ConflictOutcome.Merge, "merge"),
        (ConflictOutcome.Skip, "skip"),
    ];

    public static NpgsqlBatchCommand Append(ConflictRecord record) => SqlParameters.Command(AppendSql,
        SqlParameters.Text(record.Table.ToString()),
        SqlParameters.Text(KeyText.Write([.. record.Key])),
        SqlParameters.Text(TextOf(s_types, record.Type)),
        SqlParameters.Text(WriteRow(record.LocalRow)),
        SqlParameters.Text(record.LocalVersion is { } local ? VersionSql.Text(local.Stamp) : null),
        SqlParameters.Text(record.LocalVersion?.Origin.Value),
        SqlParameters.Text(record.LocalVersion?.Position.ToString()),
        SqlParameters.Text(WriteRow(record.RemoteRow)),
        SqlParameters.Text(VersionSql.Text(record.RemoteVersion.Stamp)),
        SqlParameters.Text(record.RemoteVersion.Origin.Value),
        SqlParameters.Text(record.RemoteVersion.Position.ToString()),
        SqlParameters.Text(TextOf(s_outcomes, record.Outcome)),
        SqlParameters.Text(record.Winner.Value),
        SqlParameters.Text(record.Resolver),
        SqlParameters.Text(record.Reason));

    public static NpgsqlBatchCommand Read(ConflictQuery query) => SqlParameters.Command(s_read,
        SqlParameters.Text(query.Table?.ToString()),
        SqlParameters.Text(query.Type is { } type ? TextOf(s_types, type) : null),
        SqlParameters.Text(query.Since is { } since ? Text(since) : null),
        SqlParameters.Text(query.BeforeId?.ToString(CultureInfo.InvariantCulture)),
        SqlParameters.Number(query.Limit));

    public static NpgsqlBatchCommand DeleteBefore(DateTimeOffset before) => SqlParameters.Command(DeleteSql, SqlParameters.Text(Text(before)));

    /// <summary>The record that the reader of <see cref="Read"/> stands on.</summary>
    public static ConflictRecord ReadRecord(NpgsqlDataReader reader) => new()
    {
        Id = reader.GetInt64(0),
        RecordedAt = reader.GetFieldValue<DateTimeOffset>(1),
        Table = TableName.Parse(reader.GetString(2)),
        Key = KeyText.Read(reader.GetString(3)),
        Type = Parse(s_types, reader.GetString(4)),
        LocalRow = ReadRow(reader, 5),
        LocalVersion = ReadVersion(reader, 6),
        RemoteRow = ReadRow(reader, 9),
        RemoteVersion = ReadVersion(reader, 10)!.Value,
        Outcome = Parse(s_outcomes, reader.GetString(13)),
        Winner = new NodeName(reader.GetString(14)),
        Resolver = reader.GetString(15),
        Reason = reader.GetString(16),
    };

    public static ConflictType ParseType(string text) => Parse(s_types, text);

    public static ConflictOutcome ParseOutcome(string text) => Parse(s_outcomes, text);

    private static RowVersion? ReadVersion(NpgsqlDataReader reader, int first) => reader.IsDBNull(first + 1)
        ? null
        : new RowVersion(
            new CommitTimestamp(reader.GetInt64(first)), new NodeName(reader.GetString(first + 1)),
            NpgsqlLogSequenceNumber.Parse(reader.GetString(first + 2)));

    private static T Parse<T>((T Value, string Text)[] pairs, string text)
    {
        foreach (var (value, stored) in pairs)
        {
            if (stored == text) return value;
        }

        throw new ReplicationException(ReplicationErrorKind.Corrupt,
            $"The conflict history holds the unknown {typeof(T).Name} '{text}': a newer version of the library wrote it.");
    }

    private static string TextOf<T>((T Value, string Text)[] pairs, T value) where T : struct, Enum =>
        Array.Find(pairs, p => p.Value.Equals(value)).Text ?? throw new ArgumentOutOfRangeException(nameof(value), value, null);

    private static Row? ReadRow(NpgsqlDataReader reader, int column)
    {
        if (reader.IsDBNull(column)) return null;
        using var document = JsonDocument.Parse(reader.GetString(column));
        return new Row([.. document.RootElement.EnumerateObject().Select(p => KeyValuePair.Create(p.Name, p.Value.GetString()))]);
    }

    private static string? WriteRow(Row? row)
    {
        if (row is null) return null;
        var buffer = new ArrayBufferWriter<byte>(256);
        using (var writer = new Utf8JsonWriter(buffer))
        {
            writer.WriteStartObject();
            foreach (var (column, text) in row) writer.WriteString(column, text);
            writer.WriteEndObject();
        }

        return Encoding.UTF8.GetString(buffer.WrittenSpan);
    }

    private static string Text(DateTimeOffset instant) => instant.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss.ffffff'Z'", CultureInfo.InvariantCulture);
}
