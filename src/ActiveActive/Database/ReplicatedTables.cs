using System.Text.RegularExpressions;
using ActiveActive.Routes;

namespace ActiveActive.Database;

/// <summary>Resolves the options' table rules: does a table take part, and with which settings? Pure.</summary>
internal sealed class ReplicatedTables
{
    private readonly IReadOnlyList<(TableRule Rule, Regex Pattern)> _rules;
    private readonly IConflictResolver? _defaultResolver;
    private readonly NodeName? _self;

    /// <param name="rules">The options' rules.</param>
    /// <param name="defaultResolver">Of tables without one of their own.</param>
    /// <param name="self">The node for which is asked; null for tables that any node holds.</param>
    public ReplicatedTables(IEnumerable<TableRule> rules, IConflictResolver? defaultResolver = null, NodeName? self = null)
    {
        _rules = [.. rules.Select(rule => (rule, Compile(rule.Pattern)))];
        _defaultResolver = defaultResolver;
        _self = self;
        Routes = new TableRoutes(Rules);
    }

    /// <summary>Which nodes hold which tables.</summary>
    public TableRoutes Routes { get; }

    /// <summary>The one table of the library's own that replicates, by last update wins and whatever the rules say: rows that the orphan policy has moved out of sight.</summary>
    public static readonly TableName Orphans = new("active_active", "orphan");

    public IEnumerable<TableRule> Rules => _rules.Select(r => r.Rule);

    public static bool IsSystemSchema(string schema) =>
        schema is "active_active" or "pg_catalog" or "information_schema" || schema.StartsWith("pg_", StringComparison.Ordinal);

    /// <summary>Whether a table takes part on this node.</summary>
    public bool Contains(TableName table) => Matches(table) && IsHeld(table);

    /// <summary>Whether a table takes part, and not on this node: here it is as if no rule named it.</summary>
    public bool IsElsewhere(TableName table) => Matches(table) && !IsHeld(table);

    private bool IsHeld(TableName table) => _self is not { } self || Routes.Holds(self, table);

    private bool Matches(TableName table)
    {
        if (table == Orphans) return true;
        if (IsSystemSchema(table.Schema)) return false;
        var found = false;
        foreach (var (rule, pattern) in _rules)
        {
            if (!pattern.IsMatch(table.ToString())) continue;
            if (rule.Exclude) return false;
            found = true;
        }

        return found;
    }

    /// <summary>The settings of a table that takes part: delta columns of all matching rules, the last rule's resolver.</summary>
    public TableSettings SettingsOf(TableName table)
    {
        if (table == Orphans) return TableSettings.Default;
        var deltas = new List<DeltaColumn>();
        IConflictResolver? resolver = null;
        foreach (var (rule, pattern) in _rules)
        {
            if (rule.Exclude || !pattern.IsMatch(table.ToString())) continue;
            foreach (var column in rule.DeltaColumns)
            {
                if (!deltas.Any(d => d.Name == column)) deltas.Add(new DeltaColumn(column));
            }

            resolver = rule.Resolver ?? resolver;
        }

        var route = Routes.RowRouteOf(table);
        return deltas.Count == 0 && resolver is null && _defaultResolver is null && route is null
            ? TableSettings.Default
            : new TableSettings(deltas, resolver ?? (deltas.Count == 0 ? _defaultResolver : null)) { Route = route };
    }

    /// <summary>What becomes of transactions that can't be applied, by the last matching rule that says it; also for a table that is not there.</summary>
    public ApplyErrorPolicy OnApplyError(TableName table, ApplyErrorPolicy otherwise)
    {
        foreach (var (rule, pattern) in _rules)
        {
            if (rule.OnApplyError is { } policy && pattern.IsMatch(table.ToString())) otherwise = policy;
        }

        return otherwise;
    }

    /// <summary>What becomes of orphans, foreign key by foreign key: what the last matching rule says of each.</summary>
    public OrphanRules OrphanRulesOf(TableName table)
    {
        var all = OrphanPolicy.Keep;
        var byKey = new Dictionary<string, OrphanPolicy>(StringComparer.Ordinal);
        foreach (var (rule, pattern) in _rules)
        {
            if (rule.Exclude || !pattern.IsMatch(table.ToString())) continue;
            all = rule.OnOrphan ?? all;
            foreach (var (key, policy) in rule.OnOrphanOf) byKey[OrphanRules.Normalize(key)] = policy;
        }

        return new OrphanRules(all, byKey);
    }

    /// <summary>Whether a rule's table is known to have keys that do not collide.</summary>
    public bool AllowsSequenceKeys(TableName table) =>
        _rules.Any(r => r.Rule.AllowSequenceKeys && r.Pattern.IsMatch(table.ToString()));

    /// <summary>A full name without a wildcard: it must exist.</summary>
    public static bool IsExact(TableRule rule) => !rule.Pattern.Contains('*', StringComparison.Ordinal);

    public static Regex Compile(string pattern) => new(
        "^" + Regex.Escape(pattern.Contains('.', StringComparison.Ordinal) ? pattern : "public." + pattern).Replace("\\*", ".*", StringComparison.Ordinal) + "$",
        RegexOptions.CultureInvariant);
}
