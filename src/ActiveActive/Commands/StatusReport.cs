using System.Globalization;
using System.Text.Json.Nodes;

namespace ActiveActive.Commands;

/// <summary>A <see cref="NodeStatus"/> as JSON (docs/TOOL.md): names as in C#, times in seconds.</summary>
internal static class StatusReport
{
    public static JsonObject Of(NodeStatus status) => new()
    {
        ["node"] = status.Node.Value,
        ["state"] = status.State.ToString(),
        ["message"] = status.Message,
        ["instance"] = status.Instance,
        ["libraryVersion"] = status.LibraryVersion,
        ["serverVersion"] = VersionText(status.ServerVersion),
        ["publishedPosition"] = status.PublishedPosition.ToString(),
        ["publishedTransactions"] = status.PublishedTransactions,
        ["checkpointPosition"] = status.CheckpointPosition.ToString(),
        ["conflicts"] = status.Conflicts,
        ["quarantined"] = status.Quarantined,
        ["tablesWithHiddenRows"] = Texts(status.TablesWithHiddenRows),
        ["foreignKeys"] = new JsonArray([.. status.ForeignKeys.Where(k => k.Orphans > 0 || k.Quarantined > 0 || k.Message is not null).Select(Of)]),
        ["join"] = status.Join is { } join ? Of(join) : null,
        ["peers"] = new JsonArray([.. status.Peers.Select(Of)]),
    };

    /// <summary>The same without what moves while all is well and nothing is written.</summary>
    public static JsonObject StatesOf(NodeStatus status) => Of(status with
    {
        PublishedPosition = default,
        PublishedTransactions = 0,
        CheckpointPosition = default,
        Conflicts = 0,
        Peers = [.. status.Peers.Select(static p => p with
        {
            AppliedPosition = default, ReceivedPosition = default, LagBytes = 0, LagTime = default, ReceivedTransactions = 0, AppliedTransactions = 0, Retries = 0, ClockAhead = default,
            SentPosition = default, AcknowledgedPosition = default,
        })],
    });

    /// <summary>Another number where transactions or conflicts have come or gone; heartbeats alone don't change it.</summary>
    public static ulong CountOf(NodeStatus status) => unchecked((ulong)(status.PublishedTransactions + status.Conflicts)
        + status.Peers.Aggregate(0UL, static (sum, p) => sum + (ulong)(p.ReceivedTransactions + p.AppliedTransactions + p.Retries) + (ulong)p.SentPosition + (ulong)p.AcknowledgedPosition));

    /// <summary><c>18.4</c>; null where it is not known.</summary>
    public static string? VersionText(int? version) => version is > 0 and { } v ? string.Create(CultureInfo.InvariantCulture, $"{v / 10_000}.{v % 10_000}") : null;

    private static JsonNode Of(PeerStatus peer) => new JsonObject
    {
        ["peer"] = peer.Peer.Value,
        ["addresses"] = Texts(peer.Addresses.Select(static a => a.GetLeftPart(UriPartial.Path))),
        ["membership"] = peer.Membership.ToString(),
        ["receiving"] = peer.Receiving.ToString(),
        ["sending"] = peer.Sending.ToString(),
        ["isPaused"] = peer.IsPaused,
        ["message"] = peer.Message,
        ["settingDifferences"] = Texts(peer.SettingDifferences),
        ["uniqueKeyDifferences"] = Texts(peer.UniqueKeyDifferences),
        ["appliedPosition"] = peer.AppliedPosition.ToString(),
        ["receivedPosition"] = peer.ReceivedPosition.ToString(),
        ["sentPosition"] = peer.SentPosition.ToString(),
        ["acknowledgedPosition"] = peer.AcknowledgedPosition.ToString(),
        ["lagBytes"] = peer.LagBytes,
        ["lagSeconds"] = peer.LagTime.TotalSeconds,
        ["relayedBy"] = peer.RelayedBy?.Value,
        ["receivedTransactions"] = peer.ReceivedTransactions,
        ["appliedTransactions"] = peer.AppliedTransactions,
        ["retries"] = peer.Retries,
        ["clockAheadSeconds"] = peer.ClockAhead.TotalSeconds,
        ["protocol"] = peer.Protocol,
        ["libraryVersion"] = peer.LibraryVersion,
        ["serverVersion"] = VersionText(peer.ServerVersion),
    };

    private static JsonNode Of(ForeignKeyStatus key) => new JsonObject
    {
        ["table"] = key.Table.ToString(),
        ["constraint"] = key.Constraint,
        ["policy"] = key.Policy.ToString(),
        ["orphans"] = key.Orphans,
        ["quarantined"] = key.Quarantined,
        ["message"] = key.Message,
    };

    private static JsonObject Of(JoinStatus join) => new()
    {
        ["donor"] = join.Donor.Value,
        ["tables"] = join.Tables,
        ["copiedTables"] = join.CopiedTables,
        ["rows"] = join.Rows,
        ["estimatedRows"] = join.EstimatedRows,
        ["bytes"] = join.Bytes,
        ["estimatedBytes"] = join.EstimatedBytes,
        ["seconds"] = Math.Round(join.Elapsed.TotalSeconds, 1),
    };

    private static JsonArray Texts<T>(IEnumerable<T> values) => new([.. values.Select(static v => JsonValue.Create(v!.ToString()))]);
}
