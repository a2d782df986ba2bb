using System.CommandLine;
using System.Text.Json.Nodes;
using ActiveActive.Commands;

namespace ActiveActive.CommandLine.Verbs;

/// <summary>Gets a parted node the data of another.</summary>
internal sealed class ResyncVerb() : Verb("resync", "Empties this node's tables and fills them with another node's data, after it was parted from the cluster. What only this node has goes to the conflict history.")
{
    private readonly Argument<string> _donor = new("donor") { Description = "The peer that the data comes from." };

    public override IEnumerable<Symbol> Symbols => [_donor];

    public override Task<Answer> RunAsync(VerbContext context, CancellationToken cancellationToken)
    {
        var donor = context.Arguments.GetRequiredValue(_donor);
        return context.DoAsync(NodeVerbs.Resync, new JsonObject { ["peer"] = donor }, node => $"Node {node} begins to get the data of {donor}: 'aa join' follows it, and 'aa conflicts --type Discarded' shows what was given up.", cancellationToken);
    }
}
