using System.Text.Json.Nodes;
using Spectre.Console;

namespace ActiveActive.CommandLine.Verbs;

/// <summary>All preconditions of the database, each with what mends it.</summary>
internal sealed class CheckVerb() : Verb("check", "Checks everything that the node needs of its database, and changes nothing.")
{
    public override async Task<Answer> RunAsync(VerbContext context, CancellationToken cancellationToken)
    {
        try
        {
            return context.Target.Node is { } node
                ? AnswerOf(node.Name.Value, await node.CheckAsync(cancellationToken), [])
                : await CheckByDatabaseAsync(context, cancellationToken);
        }
        catch (ReplicationException e)
        {
            throw new ToolException("AA6002", e.Message, ExitCodes.Unreachable);
        }
    }

    /// <summary>What the database itself knows of its node is checked; the rest is named.</summary>
    private static async Task<Answer> CheckByDatabaseAsync(VerbContext context, CancellationToken cancellationToken)
    {
        await using var session = await NodeSession.FindAsync(context.Target, cancellationToken);
        if (session.Node.IsNone)
        {
            await using var fresh = context.Target.OpenDatabase(new NodeName("unnamed"));
            return AnswerOf(null, await fresh.CheckAsync(cancellationToken), ["tables and their rules, delta columns, orphan policies, peers: the database is no node's yet, and these are the application's options"]);
        }

        var (peers, tables) = await session.ReadKnownOptionsAsync(cancellationToken);
        await using var database = context.Target.OpenDatabase(session.Node, peers, tables.Select(static table => new TableRule { Pattern = table, AllowSequenceKeys = true }));
        return AnswerOf(session.Node.Value, await database.CheckAsync(cancellationToken), ["tables that are not published yet, sequences that fill keys, delta columns, orphan policies, resolvers: these are the application's options"]);
    }

    internal static Answer AnswerOf(string? node, IReadOnlyList<SetUpProblem> problems, IReadOnlyList<string> notChecked) => new(
        new JsonObject
        {
            ["node"] = node,
            ["problems"] = new JsonArray([.. problems.Select(static p => (JsonNode)new JsonObject { ["code"] = p.Code, ["problem"] = p.Problem, ["fix"] = p.Fix })]),
            ["notChecked"] = new JsonArray([.. notChecked.Select(static n => (JsonNode)JsonValue.Create(n))]),
        },
        console => Show(console, node, problems, notChecked),
        problems.Count == 0 ? ExitCodes.Done : ExitCodes.Problems);

    private static void Show(IAnsiConsole console, string? node, IReadOnlyList<SetUpProblem> problems, IReadOnlyList<string> notChecked)
    {
        console.Line($"{(node is null ? "The database" : $"Node {node}")}: {(problems.Count == 0 ? "no problem was found." : $"{problems.Count} {(problems.Count == 1 ? "problem" : "problems")}.")}");
        foreach (var problem in problems)
        {
            console.Line();
            console.Line($"{problem.Code}: {problem.Problem}");
            console.Lines("    ", problem.Fix);
        }

        if (notChecked.Count == 0) return;
        console.Line();
        foreach (var name in notChecked) console.Line($"Not checked here: {name}. Run 'aa check' in the application (dotnet run -- aa check), or with --settings.");
    }
}
