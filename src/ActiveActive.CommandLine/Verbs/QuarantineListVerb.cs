using System.Text.Json.Nodes;
using Spectre.Console;

namespace ActiveActive.CommandLine.Verbs;

/// <summary>The transactions in quarantine.</summary>
internal sealed class QuarantineListVerb() : Verb("quarantine list", "Lists the transactions that were put aside because they could not be applied here.")
{
    public override async Task<Answer> RunAsync(VerbContext context, CancellationToken cancellationToken)
    {
        await using var session = await context.OpenAsync(cancellationToken);
        await using var database = context.Target.OpenDatabase(session.Node);
        var entries = await database.ReadQuarantineAsync(null, cancellationToken);
        return new Answer(new JsonObject { ["node"] = session.Node.Value, ["entries"] = new JsonArray([.. entries.Select(Of)]) }, console => Show(console, session.Node, entries));
    }

    private static JsonNode Of(QuarantinedTransaction entry) => new JsonObject
    {
        ["id"] = entry.Id,
        ["origin"] = entry.Origin.Value,
        ["position"] = entry.Position.ToString(),
        ["stamp"] = entry.Stamp.ToString(),
        ["changes"] = entry.Changes,
        ["tables"] = new JsonArray([.. entry.Tables.Select(static t => (JsonNode)JsonValue.Create(t.ToString()))]),
        ["code"] = entry.Code,
        ["reason"] = entry.Reason,
        ["isBehindAnother"] = entry.IsBehindAnother,
        ["attempts"] = entry.Attempts,
        ["firstAttempt"] = entry.FirstAttempt.UtcDateTime,
        ["lastAttempt"] = entry.LastAttempt.UtcDateTime,
    };

    private static void Show(IAnsiConsole console, NodeName node, IReadOnlyList<QuarantinedTransaction> entries)
    {
        console.Line($"Node {node}: {(entries.Count == 0 ? "nothing is in quarantine." : $"{entries.Count} in quarantine.")}");
        if (entries.Count == 0) return;
        var table = Texts.Table("id", "origin", "position", "changes", "tables", "code", "attempts", "last attempt");
        foreach (var e in entries) table.Row($"{e.Id}", e.Origin.Value, e.Position.ToString(), $"{e.Changes}", string.Join(", ", e.Tables), e.Code, $"{e.Attempts}", Texts.Time(e.LastAttempt));
        console.Write(table);
        foreach (var e in entries) console.Line($"{e.Id}: {e.Reason}");
    }
}
