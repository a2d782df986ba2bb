using System.CommandLine;
using System.Text.Json.Nodes;
using ActiveActive.Commands;

namespace ActiveActive.CommandLine.Verbs;

/// <summary>Goes on where <see cref="PauseVerb"/> stopped.</summary>
internal sealed class ResumeVerb() : Verb("resume", "Goes on applying a peer's transactions after pause.")
{
    private readonly Argument<string> _peer = new("peer") { Description = "The peer's name." };

    public override IEnumerable<Symbol> Symbols => [_peer];

    public override Task<Answer> RunAsync(VerbContext context, CancellationToken cancellationToken)
    {
        var peer = context.Arguments.GetRequiredValue(_peer);
        return context.DoAsync(NodeVerbs.Resume, new JsonObject { ["peer"] = peer }, node => $"Node {node} applies what comes from {peer}.", cancellationToken);
    }
}
