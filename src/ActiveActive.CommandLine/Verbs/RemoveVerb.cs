using System.CommandLine;
using System.Text.Json.Nodes;
using ActiveActive.Commands;

namespace ActiveActive.CommandLine.Verbs;

/// <summary>Parts a node from the cluster.</summary>
internal sealed class RemoveVerb() : Verb("remove", "Parts a node, dead for good or to be decommissioned, from the cluster: the others agree on what they have of it, and wait for it no more. What it alone has stays there.")
{
    private readonly Argument<string> _peer = new("peer") { Description = "The name of the node that leaves; not the one that is asked." };

    public override IEnumerable<Symbol> Symbols => [_peer];

    public override Task<Answer> RunAsync(VerbContext context, CancellationToken cancellationToken)
    {
        var peer = context.Arguments.GetRequiredValue(_peer);
        return context.DoAsync(NodeVerbs.Remove, new JsonObject { ["peer"] = peer }, node => $"Node {peer} is a member no more, as node {node} knows it; the others say so in their own time (aa status there).", cancellationToken);
    }
}
