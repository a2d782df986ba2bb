namespace ActiveActive.Database;

/// <summary>A table that has been published while the node runs.</summary>
/// <param name="Name">The table.</param>
/// <param name="HasRows">Whether it had rows by then, which peers do not get.</param>
internal readonly record struct NewTable(TableName Name, bool HasRows);
