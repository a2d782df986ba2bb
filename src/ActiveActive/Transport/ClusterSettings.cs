using ActiveActive.Database;

namespace ActiveActive.Transport;

/// <summary>The settings that must be the same on every node, as names and values that the handshake compares.</summary>
internal static class ClusterSettings
{
    public static IReadOnlyList<KeyValuePair<string, string>> Of(IEnumerable<TableRule> rules, IConflictResolver? defaultResolver)
    {
        var settings = new SortedDictionary<string, string>(StringComparer.Ordinal);
        foreach (var group in rules.GroupBy(r => r.Pattern, StringComparer.Ordinal))
        {
            var deltas = string.Join(",", group.SelectMany(r => r.DeltaColumns).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal));
            var resolver = group.Select(r => r.Resolver?.GetType().FullName).LastOrDefault(name => name is not null) ?? "";
            settings[$"table {group.Key}"] = $"delta columns ({deltas}), resolver ({resolver}){OrphanPolicies(group)}{Nodes([.. group])}{(group.Any(r => r.Exclude) ? ", excluded" : "")}";
        }

        settings["default resolver"] = defaultResolver?.GetType().FullName ?? "last_update_wins";
        return [.. settings];
    }

    private static string OrphanPolicies(IEnumerable<TableRule> rules)
    {
        var policies = new SortedDictionary<string, OrphanPolicy>(StringComparer.Ordinal);
        foreach (var rule in rules)
        {
            if (rule.OnOrphan is { } all) policies["*"] = all;
            foreach (var (key, policy) in rule.OnOrphanOf) policies[OrphanRules.Normalize(key)] = policy;
        }

        return policies.Count == 0 ? "" : $", on orphan ({string.Join("; ", policies.Select(p => $"{p.Key}: {p.Value}"))})";
    }

    private static string Nodes(IReadOnlyCollection<TableRule> rules) => rules.LastOrDefault(static r => r.Residency is not null)?.Residency is not { } residency ? Only(rules)
        : $"{Only(rules)}, rows by {residency.Column} ({string.Join("; ", residency.Regions.OrderBy(static r => r.Key, StringComparer.Ordinal).Select(static r => $"{r.Key}: {NamesOf(r.Value)}"))}; else: {NamesOf(residency.Rest)})";

    private static string NamesOf(IEnumerable<string> nodes) => string.Join(",", nodes.Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal)) is { Length: > 0 } names ? names : "all";

    private static string Only(IEnumerable<TableRule> rules) =>
        string.Concat(rules.Where(static r => r.OnlyOn.Count > 0).Select(static r => $", only on ({NamesOf(r.OnlyOn)})").Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal));

    /// <summary>A sentence for each setting that differs; empty where all agree.</summary>
    public static IReadOnlyList<string> Differences(
        NodeName self, IReadOnlyList<KeyValuePair<string, string>> own, NodeName peer, IReadOnlyList<KeyValuePair<string, string>> theirs)
    {
        var mine = own.ToDictionary(StringComparer.Ordinal);
        var others = theirs.ToDictionary(StringComparer.Ordinal);
        return [.. mine.Keys.Union(others.Keys, StringComparer.Ordinal).Order(StringComparer.Ordinal)
            .Where(name => mine.GetValueOrDefault(name) != others.GetValueOrDefault(name))
            .Select(name => $"{name}: '{mine.GetValueOrDefault(name, "not set")}' on '{self}', '{others.GetValueOrDefault(name, "not set")}' on '{peer}'")];
    }
}
