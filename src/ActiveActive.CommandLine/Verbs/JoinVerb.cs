using System.Text.Json.Nodes;
using Spectre.Console;
using static ActiveActive.CommandLine.Texts;

namespace ActiveActive.CommandLine.Verbs;

/// <summary>Follows a node that joins until it runs. It joins by itself where its application starts with <c>JoinFrom</c>.</summary>
internal sealed class JoinVerb() : Verb("join", "Follows a node that joins the cluster until it has its copy of the data. It joins where its application starts with JoinFrom.")
{
    private static readonly TimeSpan s_interval = TimeSpan.FromMilliseconds(500);

    public override async Task<Answer> RunAsync(VerbContext context, CancellationToken cancellationToken)
    {
        await using var session = await context.OpenAsync(cancellationToken);
        var status = context.Progress is null
            ? await FollowAsync(session, context.Timeout, static _ => { }, cancellationToken)
            : await context.Progress.Progress().Columns(new TaskDescriptionColumn(), new ProgressBarColumn(), new PercentageColumn(), new RemainingTimeColumn()).StartAsync(async progress =>
            {
                var task = progress.AddTask($"Node {session.Node} joins", autoStart: true, maxValue: 1);
                var end = await FollowAsync(session, context.Timeout, join => Show(task, session.Node, join), cancellationToken);
                task.Value = task.MaxValue;
                return end;
            });
        return new Answer(new JsonObject { ["node"] = session.Node.Value, ["state"] = status }, console => console.Line($"Node {session.Node} has its data and is {status}."));
    }

    internal static string Describe(JsonNode join) =>
        $"{Number(join, "copiedTables")} of {Number(join, "tables")} tables from {Text(join, "donor")}, {Number(join, "rows")} rows, {Bytes(Number(join, "bytes"))} of about {Bytes(Number(join, "estimatedBytes"))}";

    private static async Task<string> FollowAsync(NodeSession session, TimeSpan patience, Action<JsonNode> joins, CancellationToken cancellationToken)
    {
        var waitedSince = DateTime.UtcNow;
        while (true)
        {
            var leader = await session.FindLeaderAsync(cancellationToken);
            var report = await session.ReadReportAsync(cancellationToken);
            var isCurrent = leader is not null && report?.Instance == leader.Instance;
            if (isCurrent)
            {
                waitedSince = DateTime.UtcNow;
                if (Text(report!.Content, "state") == nameof(NodeState.Running)) return nameof(NodeState.Running);
                if (report.Content["join"] is { } join) joins(join);
            }
            else if (DateTime.UtcNow - waitedSince > patience)
            {
                // A node that can't join says why and gives the lead back between two tries.
                throw await session.NotLedAsync(cancellationToken);
            }

            await Task.Delay(s_interval, cancellationToken);
        }
    }

    private static void Show(ProgressTask task, NodeName node, JsonNode join)
    {
        task.MaxValue = Math.Max(1, Number(join, "estimatedBytes"));
        // The end is told by the node, not by the estimate.
        task.Value = Math.Min(Number(join, "bytes"), task.MaxValue * 0.99);
        task.Description = Markup.Escape($"Node {node} joins: {Describe(join)}");
    }
}
