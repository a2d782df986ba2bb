using ActiveActive.Changes;

namespace ActiveActive.Database;

/// <summary>What stands under a key for others to see, read without a lock.</summary>
/// <param name="Table">Where it stands.</param>
/// <param name="Key">Under which key.</param>
/// <param name="Row">The row's values and what its <c>xmin</c> says; null where there is only a tombstone.</param>
/// <param name="Override">The row's true version; null where xmin tells it.</param>
/// <param name="Tombstone">The newer of the key's and the table's tombstone; null where there is none.</param>
internal sealed record StoredRow(LocalTable Table, RowKey Key, LocalRow? Row, RowVersion? Override, RowVersion? Tombstone);
