using System.Globalization;
using System.Text;
using ActiveActive.Changes;
using ActiveActive.Conflicts;
using ActiveActive.Database;
using ActiveActive.Routes;
using ActiveActive.Testing.Database;

namespace ActiveActive.Simulation.Workload;

/// <summary>
/// One table of each regime, and one of each with unique keys. Their columns are <c>id</c>, <c>value</c> (tags with a resolver; large in all) and <c>amount</c>.
/// Where there is a foreign key, also a last-update-wins table of children, with <c>parent</c> for amount, and the library's own of children out of sight.
/// </summary>
internal static class SimulatedTables
{
    public const int LastUpdateWins = 0;
    public const int Delta = 1;
    public const int Merge = 2;
    public const int Unique = 3;
    public const int UniqueDelta = 4;
    public const int UniqueMerge = 5;
    public const int Child = 6;
    public const int Orphan = 7;

    private static readonly string[] s_names = ["register", "account", "tags", "member", "wallet", "label", "child", "orphan"];

    public static IReadOnlyList<string> Names => s_names;

    public static int IndexOf(string name) => Array.IndexOf(s_names, name);

    public static bool HasDeltas(int table) => table is Delta or UniqueDelta;

    public static bool HasResolver(int table) => table is Merge or UniqueMerge;

    public static bool HasUniqueKeys(int table) => table is Unique or UniqueDelta or UniqueMerge;

    private static readonly LocalColumn[] s_columns = [new("id", "text"), new("value", "text"), new("amount", "bigint")];

    private static readonly LocalColumn[] s_childColumns = [s_columns[0], s_columns[1], new("parent", "text")];

    public static string KeyOf(long number) => ((char)('p' + number)).ToString();

    /// <summary>A table's third column as a number: a child's parent is the number of its key, or -1 for none.</summary>
    public static long NumberOf(int table, string? third) => table != Child ? long.Parse(third!, CultureInfo.InvariantCulture) : third is null ? -1 : third[0] - 'p';

    public static ColumnValue ThirdOf(int table, long number) =>
        table != Child ? ColumnValue.Of(number.ToString(CultureInfo.InvariantCulture)) : number < 0 ? ColumnValue.Null : ColumnValue.Of(KeyOf(number));

    public static LocalTable[] Create(SimulationOptions options) =>
    [
        new(new TableName("public", s_names[0]), s_columns, [0], options.Values ? TableSettings.Default with { Route = new RowRoute(ResidencyOf(options)) } : TableSettings.Default),
        new(new TableName("public", s_names[1]), s_columns, [0], new TableSettings([new DeltaColumn("amount")], null)),
        new(new TableName("public", s_names[2]), s_columns, [0], new TableSettings([], new UnionResolver())),
        new(new TableName("public", s_names[3]), s_columns, [0], TableSettings.Default) { HasUniqueKeys = true },
        new(new TableName("public", s_names[4]), s_columns, [0], new TableSettings([new DeltaColumn("amount")], null)) { HasUniqueKeys = true },
        new(new TableName("public", s_names[5]), s_columns, [0], new TableSettings([], new UnionResolver())) { HasUniqueKeys = true },
        new(new TableName("public", s_names[6]), s_childColumns, [0], TableSettings.Default),
    ];

    /// <summary>The columns that are unique, each by itself, of the first so many keys: first the one that a write sets, then (without deltas, too) another.</summary>
    public static IReadOnlyList<int> UniqueOrdinals(int table) => table == UniqueDelta ? [1, 2] : [2, 1];

    public static IReadOnlyList<InMemoryTableDefinition> Define(LocalTable[] tables, SimulationOptions options) => [.. tables.Select((t, i) => new InMemoryTableDefinition(t, "value")
    {
        UniqueKeys = HasUniqueKeys(i) ? [.. UniqueOrdinals(i).Take(options.UniqueKeys).Select(o => new InMemoryUniqueKey(s_columns[o].Name, [o]))] : [],
        ForeignKeys = i == Child && options.Orphans is { } policy ? [ForeignKeyTo(tables[options.Parent], t, policy)] : [],
    })];

    /// <summary>What says which nodes hold which row.</summary>
    public static Residency ResidencyOf(SimulationOptions options)
    {
        var residency = new Residency("amount");
        for (var region = 0; region < options.RegionMasks.Count; region++)
        {
            string[] nodes = [.. Enumerable.Range(0, options.Nodes).Where(n => options.HoldsRow(n, region)).Select(n => ((char)('a' + n)).ToString())];
            _ = region == options.RegionMasks.Count - 1 ? residency.Elsewhere(nodes) : residency.Region(region.ToString(CultureInfo.InvariantCulture), nodes);
        }

        return residency;
    }

    /// <summary>What says which nodes hold which table.</summary>
    public static IEnumerable<TableRule> Rules(SimulationOptions options)
    {
        foreach (var table in options.Tables)
        {
            var rule = new TableRule { Pattern = $"public.{s_names[table]}" };
            for (var node = 0; node < options.Nodes; node++)
            {
                if (options.Holds(node, table)) rule.OnlyOn.Add(((char)('a' + node)).ToString());
            }

            if (options.Values && table == LastUpdateWins) yield return new TableRule { Pattern = rule.Pattern, Residency = ResidencyOf(options) };
            else if (rule.OnlyOn.Count < options.Nodes) yield return rule;
        }
    }

    private static ForeignKey ForeignKeyTo(LocalTable parent, LocalTable child, OrphanPolicy policy) => new()
    {
        Table = child.Name, Name = "child_parent_fkey", Columns = ["parent"], Referenced = parent.Name, ReferencedColumns = ["id"], NullableColumns = ["parent"], Policy = policy,
    };
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
    public static string Union(string left, string right)
    {
        if (left == right || right.Length == 0) return left;
        var (first, second) = (Read(left), Read(right));
        var union = new StringBuilder(left.Length + right.Length + 1);
        for (int i = 0, j = 0; i < first.Length || j < second.Length;)
        {
            var order = i == first.Length ? 1 : j == second.Length ? -1 : string.CompareOrdinal(first[i], second[j]);
            if (union.Length > 0) union.Append(',');
            union.Append(order <= 0 ? first[i] : second[j]);
            if (order <= 0) i++;
            if (order >= 0) j++;
        }

        return union.ToString();
    }

    public static string Without(string tags, string tag) => string.Join(',', Read(tags).Where(t => t != tag));

    public static string[] Read(string tags) => tags.Split(',', StringSplitOptions.RemoveEmptyEntries);
}
