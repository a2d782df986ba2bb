using System.Security.Cryptography;
using System.Text;

namespace ActiveActive.Database.Postgres;

/// <summary>
/// The names of what the library creates in a server. Slots and origins are shared by all databases of a server, so their names hold
/// the database's OID; PostgreSQL allows lower-case letters, digits and <c>_</c> in a slot's name, 63 bytes at most.
/// </summary>
internal static class PostgresNames
{
    private const int MaxSlotName = 63;

    private const int SlotHashBytes = 6;

    public const string Schema = "active_active";

    public const string Publication = "active_active";

    /// <summary>The prefix of logical messages (<c>pg_logical_emit_message</c>).</summary>
    public const string MessagePrefix = "active_active";

    /// <summary>The content of the message by which a commit tells capture that it put a peer's transaction into quarantine.</summary>
    public static ReadOnlySpan<byte> QuarantinedMessage => "quarantined"u8;

    public static string Slot(uint databaseOid) => $"active_active_{databaseOid}";

    /// <summary>The prefix of those that hold what was received of a peer.</summary>
    public const string ReceivedPrefix = "active_active.received";

    /// <summary>The prefix of the message that says which row is which transaction's, in a commit that applies several of them.</summary>
    public const string GroupedPrefix = "active_active.grouped";

    /// <summary>The prefix of messages that hold changes which no row shows.</summary>
    public const string PublishedPrefix = "active_active.published";

    /// <summary>
    /// The name of a copy of the slot. What it serves is told by a hash: two names of nodes can be too long for it, and <c>-</c> is not allowed in it,
    /// so that <c>a-b</c> and <c>a_b</c> would be one. The readable part in front is for people, and cut.
    /// </summary>
    public static string SlotCopy(uint databaseOid, SlotCopy copy)
    {
        var purpose = $"{copy.Peer.Value}{(copy.Relayed.IsNone ? "" : $" of {copy.Relayed.Value}")}{(copy.IsWithApplied ? " with applied" : "")}";
        var readable = $"aa_{databaseOid}_to_{purpose}".Replace('-', '_').Replace(' ', '_');
        var hash = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(purpose)).AsSpan(0, SlotHashBytes));
        return $"{readable[..Math.Min(MaxSlotName - 1 - hash.Length, readable.Length)]}_{hash}";
    }

    /// <summary>The name of the temporary slot that a snapshot is taken with; two may be taken at once.</summary>
    public static string SnapshotSlot(uint databaseOid) => $"aa_{databaseOid}_snapshot_{Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(SlotHashBytes))}";

    public static string OriginPrefix(uint databaseOid) => $"active_active_{databaseOid}_";

    public static string Origin(uint databaseOid, NodeName peer) => OriginPrefix(databaseOid) + peer.Value;

    /// <summary>The node whose transactions an origin applies; default for an origin that is not this database's.</summary>
    public static NodeName NodeOf(uint databaseOid, string origin)
    {
        var prefix = OriginPrefix(databaseOid);
        return origin.StartsWith(prefix, StringComparison.Ordinal) && NodeName.IsValid(origin[prefix.Length..])
            ? new NodeName(origin[prefix.Length..])
            : default;
    }

    /// <summary>Quotes an identifier for SQL text.</summary>
    public static string Quote(string identifier) => $"\"{identifier.Replace("\"", "\"\"", StringComparison.Ordinal)}\"";

    /// <summary>Quotes a table name for SQL text.</summary>
    public static string Quote(TableName table) => $"{Quote(table.Schema)}.{Quote(table.Name)}";
}
