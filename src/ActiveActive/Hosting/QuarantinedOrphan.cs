namespace ActiveActive;

/// <summary>A row that was moved out of sight because a foreign key of it names a missing row (table <c>active_active.orphan</c>, the same on every node).</summary>
/// <param name="Table">The table that it comes from; for a partition, its root.</param>
/// <param name="Key">The primary key's values as text, in key order.</param>
/// <param name="Constraint">The foreign key.</param>
/// <param name="Row">The row, without generated columns.</param>
/// <param name="IsReplaced">Another row has taken its key meanwhile: it does not come back by itself any more, and waits to be discarded.</param>
public sealed record QuarantinedOrphan(TableName Table, IReadOnlyList<string> Key, string Constraint, Row Row, bool IsReplaced);
