namespace ActiveActive;

/// <summary>
/// A row that lost a unique value to a later write and is out of sight until that value is free (table <c>active_active.unique_loser</c>). It is the
/// current version of its key all the same: later writes and deletes of the key reach it.
/// </summary>
/// <param name="Table">The table; for a partition, its root.</param>
/// <param name="Key">The primary key's values as text, in key order.</param>
/// <param name="Row">The row, without columns that would take their default here.</param>
/// <param name="Version">Which write it is.</param>
/// <param name="HiddenBy">The primary key of the row that had the value when this was stored; null where that is not known.</param>
public sealed record HiddenRow(TableName Table, IReadOnlyList<string> Key, Row Row, RowVersion Version, IReadOnlyList<string>? HiddenBy);
