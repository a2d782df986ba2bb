using static ActiveActive.Database.Postgres.SetUp.SetUpCodes;

namespace ActiveActive.Database.Postgres.SetUp;

/// <summary>Does every rule of the options name tables that exist, and roots instead of partitions?</summary>
internal static class RuleCheck
{
    public static IEnumerable<SetUpProblem> Find(SetUpFacts facts)
    {
        foreach (var rule in facts.Options.Tables.Rules)
        {
            if (IsElsewhere(facts, rule)) continue;
            var one = new ReplicatedTables([new TableRule { Pattern = rule.Pattern }]);
            var matches = facts.Relations.Where(r => one.Contains(r.Name)).ToList();
            if (!matches.Any(r => r.IsTable))
            {
                if (FindNothing(facts, rule, matches) is { } problem) yield return problem;
            }
        }

        foreach (var problem in FindPartitions(facts)) yield return problem;
    }

    /// <summary>Whether it names tables that are on other nodes: they need not exist here.</summary>
    private static bool IsElsewhere(SetUpFacts facts, TableRule rule) => (rule.OnlyOn.Count > 0 && !rule.OnlyOn.Contains(facts.Options.Node.Value))
        || (ReplicatedTables.IsExact(rule) && rule.Pattern.Length > 0 && facts.Options.Tables.IsElsewhere(TableName.Parse(rule.Pattern)));

    private static SetUpProblem? FindNothing(SetUpFacts facts, TableRule rule, List<RelationFacts> matches)
    {
        var name = TableName.Parse(rule.Pattern is "" ? "*" : rule.Pattern);
        if (ReplicatedTables.IsExact(rule))
        {
            if (ReplicatedTables.IsSystemSchema(name.Schema))
            {
                return new(NotATable, $"A rule names {name}: tables of schema {name.Schema} never replicate.", $"Remove the rule '{rule.Pattern}'.");
            }

            return matches.Count > 0
                ? new(NotATable, $"A rule names {name}, which is a {KindOf(matches[0].Kind)}: only tables replicate.", $"Name the tables behind it instead of '{rule.Pattern}'.")
                : new(TableMissing, $"A rule names table {name}, which does not exist in database {facts.Server.Database}.",
                    $"Create the table (on every node) before replication starts, or correct the rule '{rule.Pattern}'; names are case-sensitive.");
        }

        // A wildcard that excludes may wait for tables that come later; one that includes is a typing error or a forgotten migration.
        return rule.Exclude
            ? null
            : new(PatternMatchesNothing, $"The rule '{rule.Pattern}' matches no table in database {facts.Server.Database}.",
                "Create the tables (on every node) before replication starts, or correct or remove the rule; names are case-sensitive.");
    }

    private static IEnumerable<SetUpProblem> FindPartitions(SetUpFacts facts)
    {
        var names = facts.Relations.ToDictionary(r => r.Oid, r => r.Name);
        var rules = facts.Options.Tables;
        var excludes = new ReplicatedTables(rules.Rules.Where(r => r.Exclude).Select(r => new TableRule { Pattern = r.Pattern }));
        foreach (var partition in facts.Relations.Where(r => r.IsTable && r.IsPartition))
        {
            if (!names.TryGetValue(partition.Root, out var root)) continue;
            var rootReplicates = rules.Contains(root);
            if (rootReplicates && rules.Routes.NodesOf(root) is { } nodes && rules.Routes.NodesOf(partition.Name)?.IsSubsetOf(nodes) != true)
            {
                yield return new(PartitionRoute, $"Partition {partition.Name} of {root} has by its own name no route as narrow as that of {root} ({string.Join(", ", nodes.Order())}): were it detached or dropped, what is still to be sent of it could go to other nodes.",
                    $"Let a rule with the same OnlyOn match it: Replicate(\"{root}*\", table => table.OnlyOn({string.Join(", ", nodes.Order().Select(n => $"\"{n}\""))})), or rename it.");
            }

            if (rootReplicates && rules.Routes.RowRouteOf(root) is { } route && rules.Routes.RowRouteOf(partition.Name) != route)
            {
                yield return new(PartitionRoute, $"Partition {partition.Name} of {root} is not matched by the rule that says which nodes hold rows of {root}: were it detached or dropped, what is still to be sent of it could go to other nodes.",
                    $"Let that rule match it, too, for example by the pattern '{root}*', or rename it.");
            }

            if (rules.IsElsewhere(root)) continue;
            if (rules.Contains(partition.Name) && !rootReplicates)
            {
                yield return new(PartitionNamed, $"A rule matches {partition.Name}, a partition of {root}, which takes no part: partitions replicate with their root.",
                    $"Replicate '{root}', or exclude '{partition.Name}', too.");
            }
            else if (rootReplicates && excludes.Contains(partition.Name))
            {
                yield return new(PartitionNamed, $"A rule excludes {partition.Name}, a partition of {root}, which replicates: partitions replicate with their root.",
                    $"Exclude '{root}', or remove the exclusion of '{partition.Name}'.");
            }
        }
    }

    private static string KindOf(char kind) => kind switch
    {
        'v' => "view",
        'm' => "materialised view",
        'f' => "foreign table",
        _ => "relation of kind " + kind,
    };
}
