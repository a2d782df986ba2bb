using System.Text.Json.Nodes;
using ActiveActive.Commands;
using ActiveActive.Database.Postgres;
using Spectre.Console;
using static ActiveActive.CommandLine.Texts;

namespace ActiveActive.CommandLine.Verbs;

/// <summary>The node, and each peer as it sees it: what the instance that leads reports now, and what the catalogs say.</summary>
internal sealed class StatusVerb() : Verb("status", "Shows the node and its view of the cluster.")
{
    // With the last report one can live, too.
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(5);

    public override async Task<Answer> RunAsync(VerbContext context, CancellationToken cancellationToken)
    {
        await using var session = await context.OpenAsync(cancellationToken);
        var leader = await session.FindLeaderAsync(cancellationToken);
        if (leader is not null) await AskForReportAsync(session, cancellationToken);
        var report = await session.ReadReportAsync(cancellationToken);
        var (slot, counts) = await session.ReadCatalogsAsync(cancellationToken);
        var isCurrent = leader is not null && report?.Instance == leader.Instance;

        var status = report?.Content ?? new JsonObject { ["node"] = session.Node.Value };
        status["leader"] = leader is null ? null : new JsonObject { ["instance"] = leader.Place, ["address"] = leader.Address };
        status["reportedAt"] = report?.At.UtcDateTime;
        status["isCurrent"] = isCurrent;
        status["slot"] = slot;
        foreach (var (name, value) in counts.ToList()) status[name] = value?.DeepClone();
        var troubles = TroublesOf(status, leader, isCurrent);
        status["troubles"] = new JsonArray([.. troubles.Select(static t => (JsonNode)JsonValue.Create(t))]);
        return new Answer(status, console => Show(console, status, troubles), leader is null ? ExitCodes.NotLed : troubles.Count > 0 ? ExitCodes.Problems : ExitCodes.Done);
    }

    private static async Task AskForReportAsync(NodeSession session, CancellationToken cancellationToken)
    {
        try
        {
            await session.AskAsync(NodeVerbs.Report, [], s_patience, cancellationToken);
        }
        catch (Exception e) when (e is ToolException or Npgsql.PostgresException)
        {
            // The node says nothing, or the role may only read: the report shows how old it is.
        }
    }

    private static List<string> TroublesOf(JsonObject status, Leader? leader, bool isCurrent)
    {
        var troubles = new List<string>();
        if (leader is null) troubles.Add($"No instance leads the node: start the application, or see its log.{(status["message"] is { } said ? $" The last one said: {said}" : "")}");
        else if (!isCurrent) troubles.Add($"The instance that leads ({leader}) has not reported yet.");
        else if (Text(status, "state") != nameof(NodeState.Running)) troubles.Add($"The node is {Text(status, "state")}. {Text(status, "message")}".TrimEnd());
        if (status["slot"] is null && Text(status, "state") != nameof(NodeState.Joining)) troubles.Add("The node's replication slot is not there.");
        if (Text(status["slot"], "walStatus") is ("unreserved" or "lost") and var wal) troubles.Add($"The log that the node's slot holds back is {wal}: max_slot_wal_keep_size is reached.");
        if (Number(status, "quarantined") is > 0 and var quarantined) troubles.Add($"{quarantined} in quarantine: see 'aa quarantine list'.");
        foreach (var peer in isCurrent ? Items(status, "peers") : [])
        {
            var name = Text(peer, "peer");
            if (peer["message"] is { } message) troubles.Add($"{name}: {message}");
            else if (Text(peer, "receiving") is not (nameof(PeerLinkState.Streaming) or nameof(PeerLinkState.Expected)) and var receiving) troubles.Add($"{name}: receiving is {receiving}.");
            troubles.AddRange(Items(peer, "settingDifferences").Select(d => $"{name}: a setting differs: {d}"));
            troubles.AddRange(Items(peer, "uniqueKeyDifferences").Select(d => $"{name}: a unique key differs: {d}"));
        }

        return troubles;
    }

    private static void Show(IAnsiConsole console, JsonObject status, List<string> troubles)
    {
        var node = Texts.Table("node", "");
        node.Row("name", Text(status, "node"));
        node.Row("state", status["leader"] is null ? $"not led (last: {Text(status, "state")})" : Text(status, "state"));
        node.Row("leader", status["leader"] is { } leader ? $"{Text(leader, "instance")}{(leader["address"] is { } from ? $" at {from}" : "")}" : "none");
        node.Row("reported at", status["reportedAt"] is { } at ? Time(at.GetValue<DateTime>()) : "never");
        node.Row("library, PostgreSQL", $"{Text(status, "libraryVersion")}, {Text(status, "serverVersion")}");
        node.Row("published, checkpoint", $"{Text(status, "publishedPosition")}, {Text(status, "checkpointPosition")}");
        if (status["slot"] is { } slot) node.Row("slot", $"{Text(slot, "name")}, holds back {Bytes(Number(slot, "retainedBytes"))} of WAL ({Text(slot, "walStatus")})");
        node.Row("conflicts", $"{Number(status, "conflictsLastDay")} in a day");
        node.Row("quarantine", Text(status, "quarantined"));
        if (status["join"] is { } join) node.Row("join", JoinVerb.Describe(join));
        console.Write(node);

        if (Items(status, "peers").Any())
        {
            var links = Texts.Table("peer", "member", "receiving", "sending", "applied", "lag", "sent", "acknowledged", "protocol", "library", "PostgreSQL", "addresses");
            foreach (var p in Items(status, "peers"))
            {
                links.Row(Text(p, "peer"), Text(p, "membership"), p["isPaused"]?.GetValue<bool>() == true ? $"{Text(p, "receiving")} (paused)".Replace("Paused (paused)", "Paused", StringComparison.Ordinal) : Text(p, "receiving"),
                    Text(p, "sending"), Text(p, "appliedPosition"), $"{Bytes(Number(p, "lagBytes"))}, {Seconds(p["lagSeconds"]!.GetValue<double>())}", Text(p, "sentPosition"), Text(p, "acknowledgedPosition"),
                    Text(p, "protocol"), Text(p, "libraryVersion"), Text(p, "serverVersion"), string.Join(" ", Items(p, "addresses")));
            }

            console.Write(links);
        }

        foreach (var trouble in troubles) console.Line($"! {trouble}");
    }
}
