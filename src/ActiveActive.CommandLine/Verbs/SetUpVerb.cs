using System.Text.Json.Nodes;

namespace ActiveActive.CommandLine.Verbs;

/// <summary>Creates what the node needs in its database, as its start does.</summary>
internal sealed class SetUpVerb() : Verb("setup", "Checks, and creates what is missing in the database: schema, publication, slot, replication origins.")
{
    public override async Task<Answer> RunAsync(VerbContext context, CancellationToken cancellationToken)
    {
        if (context.Target.Node is not { } node)
            throw new ToolException("AA6010", "What is to be set up are the application's tables and peers, which its database does not know: run 'aa setup' in the application (dotnet run -- aa setup), or with --settings.", ExitCodes.Usage);
        try
        {
            await node.SetUpAsync(cancellationToken);
        }
        catch (SetUpException e)
        {
            return CheckVerb.AnswerOf(node.Name.Value, e.Problems, []);
        }
        catch (ReplicationException e)
        {
            throw new ToolException(e.Kind == ReplicationErrorKind.InUse ? "AA6008" : "AA6002", e.Message, e.Kind == ReplicationErrorKind.InUse ? ExitCodes.Failed : ExitCodes.Unreachable);
        }

        return new Answer(new JsonObject { ["node"] = node.Name.Value, ["done"] = "setup" }, console => console.Line($"The database of node {node.Name} is set up."));
    }
}
