using System.Globalization;
using System.Text.Json;
using ActiveActive.Database.Postgres;
using NpgsqlTypes;

namespace ActiveActive.Testing;

/// <summary>
/// A conflict of the past as a test case: an entry of <c>active_active.conflict</c>, to be put to a resolver again. As JSON it is what
/// <c>SELECT to_jsonb(c) FROM active_active.conflict c</c> shows.
/// </summary>
public sealed class RecordedConflict
{
    private RecordedConflict(ConflictRecord record) => Record = record;

    /// <summary>The entry.</summary>
    public ConflictRecord Record { get; }

    /// <summary>Whether both rows are known: a conflict with a delete is decided without a resolver.</summary>
    public bool CanReplay => Record is { LocalRow: not null, LocalVersion: not null, RemoteRow: not null };

    /// <summary>Takes an entry as <see cref="ConflictHistory.QueryAsync"/> or <see cref="InMemoryNode.Conflicts"/> give it.</summary>
    public static RecordedConflict From(ConflictRecord record)
    {
        ArgumentNullException.ThrowIfNull(record);
        return new RecordedConflict(record);
    }

    /// <summary>Reads one entry.</summary>
    /// <exception cref="FormatException">The text is not an entry of the conflict history; the message names the property.</exception>
    public static RecordedConflict FromJson(string json)
    {
        using var document = Parse(json);
        return Read(document.RootElement);
    }

    /// <summary>Reads several: a JSON array of entries, or one entry a line, as <c>psql --tuples-only --no-align</c> writes them.</summary>
    /// <exception cref="FormatException">The text holds something else; the message names the property.</exception>
    public static IReadOnlyList<RecordedConflict> ReadAll(string json)
    {
        ArgumentNullException.ThrowIfNull(json);
        if (!json.TrimStart().StartsWith('[')) return [.. json.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).Select(FromJson)];
        using var document = Parse(json);
        return [.. document.RootElement.EnumerateArray().Select(Read)];
    }

    /// <summary>
    /// Puts the conflict to a resolver as the engine does: the row with the earlier version is <see cref="Conflict.Local"/>, wherever it stood.
    /// Exact where two versions met; of more, the record keeps what stood there already as one row.
    /// </summary>
    /// <returns>The row that the two come to, with all columns.</returns>
    /// <exception cref="InvalidOperationException">The entry does not hold two rows; see <see cref="CanReplay"/>.</exception>
    /// <exception cref="ReplicationException">The answer names a column that the table does not have.</exception>
    public Row Replay(IConflictResolver resolver)
    {
        ArgumentNullException.ThrowIfNull(resolver);
        if (Record is not { LocalRow: { } localRow, LocalVersion: { } localVersion, RemoteRow: { } remoteRow })
        {
            throw new InvalidOperationException($"Conflict {Record.Id} of {Record.Table} ({Record.Type}) does not hold two rows: no resolver was asked. Choose entries by CanReplay.");
        }

        if (localRow.Equals(remoteRow)) return remoteRow;
        var question = new ResolverQuestion(Record.Table, []);
        return Record.RemoteVersion.IsNewerThan(localVersion)
            ? question.Ask(resolver, localRow, localVersion, remoteRow, Record.RemoteVersion)
            : question.Ask(resolver, remoteRow, Record.RemoteVersion, localRow, localVersion);
    }

    private static JsonDocument Parse(string json)
    {
        ArgumentNullException.ThrowIfNull(json);
        try
        {
            return JsonDocument.Parse(json);
        }
        catch (JsonException e)
        {
            throw new FormatException($"This is not JSON: {e.Message} Take it from: SELECT to_jsonb(c) FROM active_active.conflict c.", e);
        }
    }

    private static RecordedConflict Read(JsonElement entry) => new(new ConflictRecord
    {
        Id = Property(entry, "id").GetInt64(),
        RecordedAt = Instant(Text(entry, "recorded_at")!),
        Table = TableName.Parse(Text(entry, "table_name")!),
        Key = [.. Property(entry, "key").EnumerateArray().Select(k => k.GetString()!)],
        Type = ConflictHistoryTable.ParseType(Text(entry, "type")!),
        LocalRow = RowOf(Property(entry, "local_row")),
        LocalVersion = Version(entry, "local"),
        RemoteRow = RowOf(Property(entry, "remote_row")),
        RemoteVersion = Version(entry, "remote") ?? throw Unfit("remote_origin"),
        Outcome = ConflictHistoryTable.ParseOutcome(Text(entry, "outcome")!),
        Winner = new NodeName(Text(entry, "winner")!),
        Resolver = Text(entry, "resolver")!,
        Reason = Text(entry, "reason")!,
    });

    private static RowVersion? Version(JsonElement entry, string side) => Text(entry, $"{side}_origin") is not { } origin ? null : new RowVersion(
        Text(entry, $"{side}_stamp") is { } stamp and not "-infinity" ? CommitTimestamp.From(Instant(stamp)) : CommitTimestamp.Unknown,
        new NodeName(origin), NpgsqlLogSequenceNumber.Parse(Text(entry, $"{side}_position") ?? "0/0"));

    private static Row? RowOf(JsonElement row) =>
        row.ValueKind == JsonValueKind.Null ? null : new Row(row.EnumerateObject().Select(c => KeyValuePair.Create(c.Name, c.Value.GetString())));

    private static string? Text(JsonElement entry, string name) => Property(entry, name) switch
    {
        { ValueKind: JsonValueKind.Null } => null,
        { ValueKind: JsonValueKind.String } value => value.GetString(),
        _ => throw Unfit(name),
    };

    private static JsonElement Property(JsonElement entry, string name) =>
        entry.ValueKind == JsonValueKind.Object && entry.TryGetProperty(name, out var value) ? value : throw Unfit(name);

    private static DateTimeOffset Instant(string text) => DateTimeOffset.Parse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal);

    private static FormatException Unfit(string property) =>
        new($"This is no entry of the conflict history: '{property}' is missing or of another kind. Take it from: SELECT to_jsonb(c) FROM active_active.conflict c.");
}
