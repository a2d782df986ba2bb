using NpgsqlTypes;

namespace ActiveActive.Database;

/// <summary>
/// A deleted row (or, with an empty <see cref="Key"/>, a truncated table) and the version of that delete; kept until causally stable.
/// </summary>
/// <param name="Table">The table; for a partition, its root.</param>
/// <param name="Key">The stored key text (<see cref="Changes.RowKey.ToText"/>); empty for the whole table.</param>
/// <param name="Version">The delete's version.</param>
internal sealed record Tombstone(TableName Table, string Key, RowVersion Version);
