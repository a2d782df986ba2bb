using System.CommandLine;
using System.Text.Json.Nodes;
using ActiveActive.Commands;

namespace ActiveActive.CommandLine.Verbs;

/// <summary>Gives a transaction in quarantine up.</summary>
internal sealed class QuarantineDiscardVerb() : Verb("quarantine discard", "Gives a transaction in quarantine up: its changes go to the conflict history, and its rows differ from the other nodes'.")
{
    private readonly Argument<long> _id = new("id") { Description = "The entry; see quarantine list." };

    public override IEnumerable<Symbol> Symbols => [_id];

    public override Task<Answer> RunAsync(VerbContext context, CancellationToken cancellationToken)
    {
        var id = context.Arguments.GetRequiredValue(_id);
        return context.DoAsync(NodeVerbs.QuarantineDiscard, new JsonObject { ["id"] = id }, node => $"Node {node} has discarded entry {id}: see 'aa conflicts --type Discarded'.", cancellationToken);
    }
}
