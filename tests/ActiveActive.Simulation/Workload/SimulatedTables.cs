using ActiveActive.Conflicts;
using ActiveActive.Database;
using ActiveActive.Testing.Database;

namespace ActiveActive.Simulation.Workload;

/// <summary>One table of each regime, and a last-update-wins table with unique keys on amount and, where there are two, on value. Their columns are <c>id</c>, <c>value</c> (tags in the third; large in all) and <c>amount</c>.</summary>
internal static class SimulatedTables
{
    public const int LastUpdateWins = 0;
    public const int Delta = 1;
    public const int Merge = 2;
    public const int Unique = 3;

    public static readonly IReadOnlyList<string> Names = ["register", "account", "tags", "member"];

    private static readonly LocalColumn[] s_columns = [new("id", "text"), new("value", "text"), new("amount", "bigint")];

    public static LocalTable[] Create() =>
    [
        new(new TableName("public", Names[0]), s_columns, [0], TableSettings.Default),
        new(new TableName("public", Names[1]), s_columns, [0], new TableSettings([new DeltaColumn("amount")], null)),
        new(new TableName("public", Names[2]), s_columns, [0], new TableSettings([], new UnionResolver())),
        new(new TableName("public", Names[3]), s_columns, [0], TableSettings.Default) { HasUniqueKeys = true },
    ];

    /// <summary>The columns that are unique, of the first so many keys.</summary>
    public static readonly IReadOnlyList<int> UniqueOrdinals = [2, 1];

    public static IReadOnlyList<InMemoryTableDefinition> Define(LocalTable[] tables, int uniqueKeys) => [.. tables.Select((t, i) => new InMemoryTableDefinition(t, "value")
    {
        UniqueKeys = i == Unique ? [.. UniqueOrdinals.Take(uniqueKeys).Select(o => new InMemoryUniqueKey(s_columns[o].Name, [o]))] : [],
    })];
}

/// <summary>Joins the tags of two rows; the amount is the later row's.</summary>
internal sealed class UnionResolver : IConflictResolver
{
    public ConflictResolution Resolve(Conflict conflict) =>
        ConflictResolution.Merge(conflict.Remote.With("value", TagSet.Union(conflict.Local["value"]!, conflict.Remote["value"]!)));
}

/// <summary>Tags as text: <c>a1,a2,b1</c>, sorted.</summary>
internal static class TagSet
{
    public static string Union(string left, string right) =>
        string.Join(',', Read(left).Union(Read(right), StringComparer.Ordinal).Order(StringComparer.Ordinal));

    public static string Without(string tags, string tag) => string.Join(',', Read(tags).Where(t => t != tag));

    public static string[] Read(string tags) => tags.Split(',', StringSplitOptions.RemoveEmptyEntries);
}
