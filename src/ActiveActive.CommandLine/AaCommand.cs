using System.CommandLine;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using ActiveActive.CommandLine.Verbs;
using Npgsql;
using Spectre.Console;

namespace ActiveActive.CommandLine;

/// <summary>The command <c>aa</c>: looks after one node of a cluster through its database.</summary>
public static class AaCommand
{
    /// <summary>The environment variable that takes the place of <c>--connection</c>.</summary>
    public const string ConnectionVariable = "ACTIVEACTIVE_CONNECTION";

    private const int WidthOfFiles = 400;

    private static readonly JsonSerializerOptions s_json = new() { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Runs it by itself: the node is told by <c>--connection</c>, <c>--settings</c> or the environment.</summary>
    /// <param name="arguments">A verb and what belongs to it.</param>
    /// <param name="cancellationToken">Ends the wait; what the node has begun goes on.</param>
    /// <returns>The exit code; see docs/TOOL.md.</returns>
    public static Task<int> RunAsync(IReadOnlyList<string> arguments, CancellationToken cancellationToken = default)
    {
        var connection = new Option<string?>("--connection", "-c") { Description = $"The Npgsql connection string of the node's database. Default: the environment variable {ConnectionVariable}.", Recursive = true };
        var settings = new Option<string?>("--settings") { Description = "The application's settings file (JSON), for what only its options tell. Environment variables win over it.", Recursive = true };
        var section = new Option<string>("--section") { Description = "The section of the settings file.", DefaultValueFactory = static _ => "ActiveActive", Recursive = true };
        return RunAsync(arguments, [connection, settings, section], parsed =>
            parsed.GetValue(settings) is { } file ? NodeTarget.OfSettings(file, parsed.GetValue(section)!)
            : NodeTarget.OfDatabase(parsed.GetValue(connection) ?? Environment.GetEnvironmentVariable(ConnectionVariable)
                ?? throw new ToolException("AA6001", $"Which node? Name its database with --connection or {ConnectionVariable}, or its application's settings file with --settings.", ExitCodes.Usage)), cancellationToken);
    }

    internal static async Task<int> RunAsync(IReadOnlyList<string> arguments, IEnumerable<Option> options, Func<ParseResult, NodeTarget> find, CancellationToken cancellationToken)
    {
        var json = new Option<bool>("--json") { Description = "Answers in JSON.", Recursive = true };
        var timeout = new Option<double>("--timeout") { Description = "For how many seconds to wait for the instance that leads the node.", DefaultValueFactory = static _ => 30, Recursive = true };
        var root = new RootCommand("Looks after one node of an ActiveActive cluster through its database.");
        foreach (var option in options) root.Options.Add(option);
        root.Options.Add(json);
        root.Options.Add(timeout);
        foreach (var verb in Verb.All())
        {
            var command = CommandOf(verb);
            command.SetAction((parsed, stop) => RunAsync(verb, parsed, find, parsed.GetValue(json), TimeSpan.FromSeconds(Math.Clamp(parsed.GetValue(timeout), 1, 86_400)), stop));
            ParentOf(root, verb).Subcommands.Add(command);
        }

        var parsed = root.Parse(arguments);
        var code = await parsed.InvokeAsync(new InvocationConfiguration { EnableDefaultExceptionHandler = false }, cancellationToken);
        return parsed.Errors.Count > 0 ? ExitCodes.Usage : code;
    }

    private static Command CommandOf(Verb verb)
    {
        var command = new Command(verb.Name.Split(' ')[^1], verb.Description);
        foreach (var symbol in verb.Symbols)
        {
            if (symbol is Argument argument) command.Arguments.Add(argument);
            else command.Options.Add((Option)symbol);
        }

        return command;
    }

    private static Command ParentOf(RootCommand root, Verb verb)
    {
        if (verb.Name.Split(' ') is not [var group, _]) return root;
        var parent = root.Subcommands.FirstOrDefault(c => c.Name == group);
        if (parent is null) root.Subcommands.Add(parent = new Command(group, $"What is in {group}."));
        return parent;
    }

    private static async Task<int> RunAsync(Verb verb, ParseResult parsed, Func<ParseResult, NodeTarget> find, bool isJson, TimeSpan timeout, CancellationToken cancellationToken)
    {
        try
        {
            await using var target = find(parsed);
            var progress = ConsoleOf(Console.Error, Console.IsErrorRedirected);
            var answer = await verb.RunAsync(new VerbContext(target, parsed, timeout, !isJson && progress.Profile.Capabilities.Interactive ? progress : null), cancellationToken);
            if (isJson) Console.Out.WriteLine(answer.Json.ToJsonString(s_json));
            else answer.Show(ConsoleOf(Console.Out, Console.IsOutputRedirected));
            return answer.ExitCode;
        }
        catch (ToolException e)
        {
            return Tell(e, isJson);
        }
        catch (Exception e) when (e is NpgsqlException or ReplicationException)
        {
            // The session was lost on the way, or the role lacks a right that the message names.
            return Tell(new ToolException("AA6002", $"The node's database could not be used: {e.Message}", ExitCodes.Unreachable), isJson);
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            return Tell(new ToolException("AA6005", "Interrupted. What the node had taken up goes on; see active_active.command.", ExitCodes.TimedOut), isJson);
        }
    }

    private static int Tell(ToolException e, bool isJson)
    {
        if (isJson) Console.Out.WriteLine(new JsonObject { ["error"] = new JsonObject { ["code"] = e.Code, ["message"] = e.Message } }.ToJsonString(s_json));
        else Console.Error.WriteLine($"{e.Code}: {e.Message}");
        return e.ExitCode;
    }

    private static IAnsiConsole ConsoleOf(TextWriter writer, bool isRedirected)
    {
        if (!isRedirected && Console.OutputEncoding.CodePage != Encoding.UTF8.CodePage) Console.OutputEncoding = Encoding.UTF8;
        var console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(writer) });
        // A file has no width: nothing is broken there.
        if (isRedirected) console.Profile.Width = WidthOfFiles;
        return console;
    }
}
