using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using Spectre.Console;

namespace ActiveActive.CommandLine.Verbs;

/// <summary>The conflict history, newest first.</summary>
internal sealed class ConflictsVerb() : Verb("conflicts", "Shows the conflicts that the node has recorded, newest first.")
{
    private readonly Option<string?> _table = new("--table") { Description = "Of this table." };
    private readonly Option<ConflictType?> _type = new("--type") { Description = "Of this type." };
    private readonly Option<string?> _since = new("--since") { Description = "Recorded in this time: 30m, 12h, 7d; or since an instant." };
    private readonly Option<int> _limit = new("--limit") { Description = "At most so many, 1 to 100000.", DefaultValueFactory = static _ => 50 };
    private readonly Option<bool> _rows = new("--rows") { Description = "With both rows (with --json)." };

    public override IEnumerable<Symbol> Symbols => [_table, _type, _since, _limit, _rows];

    public override async Task<Answer> RunAsync(VerbContext context, CancellationToken cancellationToken)
    {
        var arguments = context.Arguments;
        var limit = arguments.GetValue(_limit);
        if (limit is < 1 or > 100_000) throw new ToolException("AA6001", $"--limit {limit}: 1 to 100000.", ExitCodes.Usage);
        var query = new ConflictQuery
        {
            Table = arguments.GetValue(_table) is { } name ? TableName.Parse(name) : null,
            Type = arguments.GetValue(_type),
            Since = arguments.GetValue(_since) is { } since ? Instant(since) : null,
            Limit = limit,
        };
        await using var session = await context.OpenAsync(cancellationToken);
        await using var database = context.Target.OpenDatabase(session.Node);
        var conflicts = new List<ConflictRecord>();
        await foreach (var conflict in database.ReadConflictsAsync(query, cancellationToken)) conflicts.Add(conflict);
        var withRows = arguments.GetValue(_rows);
        return new Answer(
            new JsonObject { ["node"] = session.Node.Value, ["conflicts"] = new JsonArray([.. conflicts.Select(c => Of(c, withRows))]) },
            console => Show(console, session.Node, conflicts));
    }

    private static DateTimeOffset Instant(string text)
    {
        if (text.Length > 1 && double.TryParse(text.AsSpan(0, text.Length - 1), NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var number))
        {
            TimeSpan? back = text[^1] switch { 'm' => TimeSpan.FromMinutes(number), 'h' => TimeSpan.FromHours(number), 'd' => TimeSpan.FromDays(number), _ => null };
            if (back is { } span) return DateTimeOffset.UtcNow - span;
        }

        return DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var instant) ? instant
            : throw new ToolException("AA6001", $"--since {text} is no time: use 30m, 12h, 7d, or 2026-11-27T10:00:00Z.", ExitCodes.Usage);
    }

    private static JsonObject Of(ConflictRecord conflict, bool withRows) => new()
    {
        ["id"] = conflict.Id,
        ["recordedAt"] = conflict.RecordedAt.UtcDateTime,
        ["table"] = conflict.Table.ToString(),
        ["key"] = new JsonArray([.. conflict.Key.Select(static k => (JsonNode?)JsonValue.Create(k))]),
        ["type"] = conflict.Type.ToString(),
        ["outcome"] = conflict.Outcome.ToString(),
        ["winner"] = conflict.Winner.Value,
        ["resolver"] = conflict.Resolver,
        ["reason"] = conflict.Reason,
        ["local"] = conflict.LocalVersion is { } local ? Of(local, conflict.LocalRow, withRows) : null,
        ["remote"] = Of(conflict.RemoteVersion, conflict.RemoteRow, withRows),
    };

    private static JsonObject Of(RowVersion version, Row? row, bool withRows)
    {
        var side = new JsonObject { ["origin"] = version.Origin.Value, ["stamp"] = version.Stamp.ToString(), ["position"] = version.Position.ToString() };
        if (withRows) side["row"] = row is null ? null : new JsonObject(row.Select(static c => KeyValuePair.Create(c.Key, (JsonNode?)c.Value)));
        return side;
    }

    private static void Show(IAnsiConsole console, NodeName node, List<ConflictRecord> conflicts)
    {
        console.Line($"Node {node}: {(conflicts.Count == 0 ? "no such conflict is recorded." : $"{conflicts.Count} {(conflicts.Count == 1 ? "conflict" : "conflicts")}.")}");
        if (conflicts.Count == 0) return;
        var table = Texts.Table("id", "recorded at", "table", "key", "type", "outcome", "winner", "resolver");
        foreach (var c in conflicts) table.Row($"{c.Id}", Texts.Time(c.RecordedAt), c.Table.ToString(), string.Join(", ", c.Key), $"{c.Type}", $"{c.Outcome}", c.Winner.Value, c.Resolver);
        console.Write(table);
    }
}
