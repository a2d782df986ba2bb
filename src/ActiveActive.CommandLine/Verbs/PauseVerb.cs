using System.CommandLine;
using System.Text.Json.Nodes;
using ActiveActive.Commands;

namespace ActiveActive.CommandLine.Verbs;

/// <summary>Stops applying a peer's transactions.</summary>
internal sealed class PauseVerb() : Verb("pause", "Stops applying a peer's transactions here, until resume. The peer keeps them, and WAL for them.")
{
    private readonly Argument<string> _peer = new("peer") { Description = "The peer's name." };

    public override IEnumerable<Symbol> Symbols => [_peer];

    public override Task<Answer> RunAsync(VerbContext context, CancellationToken cancellationToken)
    {
        var peer = context.Arguments.GetRequiredValue(_peer);
        return context.DoAsync(NodeVerbs.Pause, new JsonObject { ["peer"] = peer }, node => $"Node {node} applies nothing of {peer} any more, until 'aa resume {peer}'.", cancellationToken);
    }
}
