using NpgsqlTypes;

namespace ActiveActive.Database.Postgres;

/// <summary>A logical slot that can be streamed from.</summary>
/// <param name="Name">Its name.</param>
/// <param name="DatabaseOid">The database that it decodes.</param>
/// <param name="Confirmed">Transactions whose commit record starts before it are not sent any more.</param>
internal sealed record ReplicationSlot(string Name, uint DatabaseOid, NpgsqlLogSequenceNumber Confirmed);
