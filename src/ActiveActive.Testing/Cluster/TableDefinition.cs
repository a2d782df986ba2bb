using ActiveActive.Database;
using ActiveActive.Testing.Database;

namespace ActiveActive.Testing;

/// <summary>A table that every node of an <see cref="InMemoryCluster"/> has. How it replicates is said by the nodes' table rules, as in production.</summary>
/// <param name="Name"><c>schema.table</c>; without a dot in <c>public</c>.</param>
/// <param name="Columns">Name and type of each column, for example <c>id integer</c>. Types are not checked; delta columns compute by theirs.</param>
public sealed record TableDefinition(string Name, params IReadOnlyList<string> Columns)
{
    /// <summary>The primary key's columns, in key order. Default: the first column.</summary>
    public IReadOnlyList<string>? Key { get; init; }

    /// <summary>Columns whose values PostgreSQL would store apart (TOAST): the log leaves them out where an update does not set them. Default: none.</summary>
    public IReadOnlyList<string> LargeColumns { get; init; } = [];

    /// <summary>
    /// Unique keys besides the primary key, each as its columns, for example <c>email</c> or <c>tenant, number</c>; <c>NULLS NOT DISTINCT</c> behind the
    /// columns makes nulls equal. Default: none.
    /// </summary>
    public IReadOnlyList<string> UniqueKeys { get; init; } = [];

    /// <summary>
    /// Foreign keys, each to the primary key of another table of the cluster (or of this one), for example <c>owner REFERENCES owners</c> or
    /// <c>country, city REFERENCES places (country, city)</c>; MATCH SIMPLE, NO ACTION. They are named as PostgreSQL names them: <c>pets_owner_fkey</c>. Default: none.
    /// </summary>
    public IReadOnlyList<string> ForeignKeys { get; init; } = [];

    internal TableName FullName => TableName.Parse(Name);

    internal InMemoryTableDefinition Build(ReplicatedTables rules, IReadOnlyList<TableDefinition> tables)
    {
        if (!rules.Contains(FullName)) throw new ArgumentException($"Table {FullName} is excluded from replication: leave it out of the cluster, or mend the table rules.");
        LocalColumn[] columns = [.. Columns.Select(ParseColumn)];
        var names = columns.Select(c => c.Name).ToList();
        var settings = rules.SettingsOf(FullName);
        var unknown = (Key ?? []).Concat(LargeColumns).Concat(settings.DeltaColumns.Select(d => d.Name)).FirstOrDefault(name => !names.Contains(name));
        if (unknown is not null) throw new ArgumentException($"Table {FullName} has no column '{unknown}'; it has: {string.Join(", ", names)}.");
        if (columns.Length == 0 || Key is { Count: 0 }) throw new ArgumentException($"Table {FullName} has no primary key: name its columns, the key first.");
        int[] key = Key is null ? [0] : [.. Key.Select(name => names.IndexOf(name))];
        if (settings.Route is { } route && (!names.Contains(route.Column) || UniqueKeys.Count > 0 || settings.HasDeltaColumns || settings.Resolver is not null))
            throw new ArgumentException($"Table {FullName} has rows that are not on every node (Residency): it needs the column '{route.Column}', and can have no delta columns, resolver or further unique keys.");
        var uniqueKeys = UniqueKeys.Select(text => ParseUniqueKey(text, names)).ToList();
        var table = new LocalTable(FullName, columns, key, settings) { HasUniqueKeys = uniqueKeys.Count > 0 };
        return new InMemoryTableDefinition(table, [.. LargeColumns]) { UniqueKeys = uniqueKeys, ForeignKeys = ParseForeignKeys(table, rules, tables) };
    }

    private List<ForeignKey> ParseForeignKeys(LocalTable table, ReplicatedTables replicated, IReadOnlyList<TableDefinition> tables)
    {
        var rules = replicated.OrphanRulesOf(FullName);
        var keys = ForeignKeys.Select(text => ParseForeignKey(text, table, rules, tables)).ToList();
        if (rules.Unknown(keys).FirstOrDefault() is { } unknown) throw new ArgumentException($"An orphan policy names {unknown}, and table {FullName} has no foreign key of that name or on these columns.");
        if (keys.FirstOrDefault(k => replicated.IsElsewhere(k.Referenced)) is { } elsewhere) throw new ArgumentException($"Foreign key {elsewhere.Name} of table {FullName} refers to {elsewhere.Referenced}, which is not on every node that has {FullName} (OnlyOn).");
        if (keys.FirstOrDefault(k => k.Policy == OrphanPolicy.Quarantine && replicated.Routes.NodesOf(FullName) is not null) is { } routed)
            throw new ArgumentException($"Orphans of foreign key {routed.Name} of table {FullName} can't have the policy {routed.Policy}: they would go into a table that every node has, and {FullName} is on some nodes only (OnlyOn).");
        if (keys.FirstOrDefault(k => k.Policy != OrphanPolicy.Keep && (replicated.Routes.RowRouteOf(FullName) ?? replicated.Routes.RowRouteOf(k.Referenced)) is not null) is { } partial)
            throw new ArgumentException($"Orphans of foreign key {partial.Name} of table {FullName} can't have the policy {partial.Policy}: rows of {FullName} or {partial.Referenced} are not on every node (Residency).");
        var unfit = keys.FirstOrDefault(k => (k.Policy == OrphanPolicy.SetNull && k.NullableColumns.Count == 0) || (k.Policy == OrphanPolicy.Quarantine && table.Settings.HasDeltaColumns));
        return unfit is null ? keys : throw new ArgumentException($"Orphans of foreign key {unfit.Name} of table {FullName} can't have the policy {unfit.Policy}: {(unfit.Policy == OrphanPolicy.SetNull ? "its columns are the primary key's" : "the table has delta columns")}.");
    }

    private ForeignKey ParseForeignKey(string text, LocalTable table, OrphanRules rules, IReadOnlyList<TableDefinition> tables)
    {
        var parts = text.Split("REFERENCES", StringSplitOptions.TrimEntries);
        if (parts.Length != 2) throw new ArgumentException($"Foreign key '{text}' of table {FullName} can't be read: write, for example, 'owner REFERENCES owners'.");
        var columns = ColumnsOf(parts[0]);
        var open = parts[1].IndexOf('(', StringComparison.Ordinal);
        var referenced = TableName.Parse(open < 0 ? parts[1] : parts[1][..open].Trim());
        var parent = tables.FirstOrDefault(t => t.FullName == referenced) ?? throw new ArgumentException($"Foreign key '{text}' of table {FullName} refers to {referenced}, which the cluster has not.");
        var key = parent.Key ?? [.. parent.Columns.Take(1).Select(c => ParseColumn(c).Name)];
        var referencedColumns = open < 0 ? key : ColumnsOf(parts[1][open..]);
        if (columns.FirstOrDefault(c => table.OrdinalOf(c) < 0) is { } unknown) throw new ArgumentException($"Foreign key '{text}' of table {FullName} names the column '{unknown}', which it has not.");
        if (columns.Count != key.Count || !referencedColumns.Order(StringComparer.Ordinal).SequenceEqual(key.Order(StringComparer.Ordinal))) throw new ArgumentException($"Foreign key '{text}' of table {FullName} must name the primary key of {referenced}: {string.Join(", ", key)}.");
        var name = $"{FullName.Name}_{string.Join('_', columns)}_fkey";
        return new ForeignKey
        {
            Table = FullName, Name = name, Columns = columns, Referenced = referenced, ReferencedColumns = referencedColumns, Policy = rules.PolicyOf(name, columns),
            NullableColumns = [.. columns.Where(c => !table.KeyOrdinals.Contains(table.OrdinalOf(c)))],
        };
    }

    private static List<string> ColumnsOf(string list) => [.. list.Trim('(', ')', ' ').Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries)];

    private InMemoryUniqueKey ParseUniqueKey(string text, List<string> names)
    {
        const string nullsNotDistinct = "NULLS NOT DISTINCT";
        var isDistinct = !text.EndsWith(nullsNotDistinct, StringComparison.OrdinalIgnoreCase);
        var columns = (isDistinct ? text : text[..^nullsNotDistinct.Length]).Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        var unknown = columns.FirstOrDefault(c => !names.Contains(c));
        if (unknown is not null || columns.Length == 0) throw new ArgumentException($"Unique key '{text}' of table {FullName} names no column of it ({unknown}); it has: {string.Join(", ", names)}.");
        return new InMemoryUniqueKey($"{FullName.Name}_{string.Join('_', columns)}_key", [.. columns.Select(c => names.IndexOf(c))]) { NullsNotDistinct = !isDistinct };
    }

    private LocalColumn ParseColumn(string column)
    {
        var text = column.Trim();
        var space = text.IndexOf(' ', StringComparison.Ordinal);
        return space > 0 ? new LocalColumn(text[..space], text[space..].Trim())
            : throw new ArgumentException($"Column '{column}' of table {FullName} has no type: write, for example, '{column} text'.");
    }
}
