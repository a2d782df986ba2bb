using System.CommandLine;
using System.Text.Json.Nodes;
using Spectre.Console;

namespace ActiveActive.CommandLine.Verbs;

/// <summary>What a verb works with.</summary>
/// <param name="Target">The node.</param>
/// <param name="Arguments">What stood on the command line.</param>
/// <param name="Timeout">How long to wait for the instance that leads.</param>
/// <param name="Progress">Where progress is shown: the error stream, so that answers can be piped. Null where nobody watches.</param>
internal sealed record VerbContext(NodeTarget Target, ParseResult Arguments, TimeSpan Timeout, IAnsiConsole? Progress)
{
    public Task<NodeSession> OpenAsync(CancellationToken cancellationToken) => NodeSession.OpenAsync(Target, cancellationToken);

    /// <summary>Has the instance that leads do something.</summary>
    /// <returns>The node that did it, and its result.</returns>
    /// <exception cref="ToolException">No instance leads, or it could not do it.</exception>
    public async Task<(NodeName Node, JsonNode? Result)> AskAsync(string verb, JsonObject arguments, CancellationToken cancellationToken)
    {
        await using var session = await OpenAsync(cancellationToken);
        var result = Progress is null
            ? await session.AskAsync(verb, arguments, Timeout, cancellationToken)
            : await Progress.Status().StartAsync($"Node {session.Node}: {verb}", async _ => await session.AskAsync(verb, arguments, Timeout, cancellationToken));
        return (session.Node, result);
    }

    /// <summary>The same for a verb that has nothing to tell but that it was done.</summary>
    public async Task<Answer> DoAsync(string verb, JsonObject arguments, Func<NodeName, string> said, CancellationToken cancellationToken)
    {
        var (node, _) = await AskAsync(verb, arguments, cancellationToken);
        arguments["node"] = node.Value;
        arguments["done"] = verb;
        return new Answer(arguments, console => console.Line(said(node)));
    }
}
