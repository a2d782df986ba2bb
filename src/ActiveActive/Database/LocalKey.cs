using ActiveActive.Changes;

namespace ActiveActive.Database;

/// <summary>A key to look up in a local table.</summary>
internal readonly record struct LocalKey(LocalTable Table, RowKey Key);
