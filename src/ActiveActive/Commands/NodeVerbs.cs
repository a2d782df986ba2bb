using System.Collections.Frozen;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace ActiveActive.Commands;

/// <summary>What a node can be asked to do through <c>active_active.command</c>: each verb is a call of the public API. Several may run at once, and one goes on where the node begins a new life.</summary>
internal static class NodeVerbs
{
    /// <summary>Reports at once, however little has changed.</summary>
    public const string Report = "report";

    public const string Pause = "pause";

    public const string Resume = "resume";

    public const string Remove = "remove";

    public const string Resync = "resync";

    public const string QuarantineRetry = "quarantine retry";

    public const string QuarantineDiscard = "quarantine discard";

    /// <summary>By name; each yields its result, or null.</summary>
    public static readonly FrozenDictionary<string, Func<ReplicationNode, JsonElement, CancellationToken, Task<JsonObject?>>> All =
        new Dictionary<string, Func<ReplicationNode, JsonElement, CancellationToken, Task<JsonObject?>>>
        {
            [Report] = static async (node, _, stop) => await DoneAsync(node.ReportAsync(stop)),
            [Pause] = static async (node, arguments, stop) => await DoneAsync(node.PausePeerAsync(PeerIn(arguments), stop)),
            [Resume] = static async (node, arguments, stop) => await DoneAsync(node.ResumePeerAsync(PeerIn(arguments), stop)),
            [Remove] = static async (node, arguments, stop) => await DoneAsync(node.PartAsync(PeerIn(arguments), stop)),
            [Resync] = static async (node, arguments, stop) => await DoneAsync(node.ResyncAsync(PeerIn(arguments), stop)),
            [QuarantineRetry] = static async (node, arguments, stop) => new JsonObject { ["applied"] = await RetryAsync(node, arguments, stop) },
            [QuarantineDiscard] = static async (node, arguments, stop) => await DoneAsync(node.Quarantine.DiscardAsync(arguments.GetProperty("id").GetInt64(), stop)),
        }.ToFrozenDictionary();

    private static Task<int> RetryAsync(ReplicationNode node, JsonElement arguments, CancellationToken cancellationToken) =>
        arguments.TryGetProperty("id", out var id) ? node.Quarantine.RetryAsync(id.GetInt64(), cancellationToken)
        : arguments.TryGetProperty("table", out var table) ? node.Quarantine.RetryTableAsync(TableName.Parse(table.GetString()!), cancellationToken)
        : node.Quarantine.RetryAllAsync(cancellationToken);

    private static NodeName PeerIn(JsonElement arguments) => new(arguments.GetProperty("peer").GetString()!);

    private static async Task<JsonObject?> DoneAsync(Task task)
    {
        await task;
        return null;
    }
}
