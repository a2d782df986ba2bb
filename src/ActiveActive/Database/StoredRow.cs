namespace ActiveActive.Database;

/// <summary>A committed row, read without a lock.</summary>
/// <param name="Table">Where it stands.</param>
/// <param name="Row">Its values and what its <c>xmin</c> says.</param>
/// <param name="Override">Its true version; null where xmin tells it.</param>
internal sealed record StoredRow(LocalTable Table, LocalRow Row, RowVersion? Override);
