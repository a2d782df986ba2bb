using System.CommandLine;
using System.Text.Json.Nodes;
using ActiveActive.Commands;

namespace ActiveActive.CommandLine.Verbs;

/// <summary>Tries transactions in quarantine again.</summary>
internal sealed class QuarantineRetryVerb() : Verb("quarantine retry", "Tries transactions in quarantine again, in order, and those behind them.")
{
    private readonly Argument<long?> _id = new("id") { Description = "The entry; see quarantine list.", Arity = ArgumentArity.ZeroOrOne };
    private readonly Option<string?> _table = new("--table") { Description = "All entries that write this table." };
    private readonly Option<bool> _all = new("--all") { Description = "All entries." };

    public override IEnumerable<Symbol> Symbols => [_id, _table, _all];

    public override async Task<Answer> RunAsync(VerbContext context, CancellationToken cancellationToken)
    {
        var arguments = new JsonObject();
        if (context.Arguments.GetValue(_id) is { } id) arguments["id"] = id;
        if (context.Arguments.GetValue(_table) is { } table) arguments["table"] = table;
        if (arguments.Count + (context.Arguments.GetValue(_all) ? 1 : 0) != 1) throw new ToolException("AA6001", "Name one entry, or --table, or --all.", ExitCodes.Usage);

        var (node, result) = await context.AskAsync(NodeVerbs.QuarantineRetry, arguments, cancellationToken);
        await using var session = await context.OpenAsync(cancellationToken);
        var left = Texts.Number((await session.ReadCatalogsAsync(cancellationToken)).Counts, "quarantined");
        var applied = Texts.Number(result, "applied");
        return new Answer(
            new JsonObject { ["node"] = node.Value, ["applied"] = applied, ["left"] = left },
            console => console.Line($"Node {node} has applied {applied}; {left} {(left == 1 ? "is" : "are")} in quarantine{(left == 0 ? "." : ": see 'aa quarantine list'.")}"),
            applied > 0 || left == 0 ? ExitCodes.Done : ExitCodes.Failed);
    }
}
