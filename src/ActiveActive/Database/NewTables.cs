namespace ActiveActive.Database;

/// <summary>What became of tables that were created while the node runs.</summary>
/// <param name="Published">Those that replicate from now on.</param>
/// <param name="Problem">Why others don't; null where there are none.</param>
internal sealed record NewTables(IReadOnlyList<NewTable> Published, string? Problem);

/// <param name="Name">The table.</param>
/// <param name="HasRows">Whether it had rows by then, which peers do not get.</param>
internal readonly record struct NewTable(TableName Name, bool HasRows);
