using static ActiveActive.Database.Postgres.PostgresNames;
using static ActiveActive.Database.Postgres.SetUp.SetUpCodes;

namespace ActiveActive.Database.Postgres.SetUp;

/// <summary>Can the orphan policies of the table rules be followed?</summary>
internal static class OrphanPolicyCheck
{
    public static IEnumerable<SetUpProblem> Find(SetUpFacts facts)
    {
        foreach (var table in facts.Tables)
        {
            var keys = facts.ForeignKeys.Where(k => k.Table == table.Name).ToList();
            foreach (var unknown in facts.Options.Tables.OrphanRulesOf(table.Name).Unknown(keys))
            {
                var has = keys.Count == 0 ? "it has none" : $"it has {string.Join(", ", keys.Select(k => $"{k.Name} ({string.Join(", ", k.Columns)})"))}";
                yield return new(OrphanKeyMissing, $"An orphan policy names {unknown}, and table {table.Name} has no enforced foreign key of that name or on these columns; {has}.",
                    $"Correct the rule that matches '{table.Name}': the constraint's name, or its referencing columns in its order (names are case-sensitive).");
            }

            foreach (var problem in keys.SelectMany(key => FindInKey(table, key, facts.Options.Tables))) yield return problem;
        }
    }

    private static IEnumerable<SetUpProblem> FindInKey(TableFacts table, ForeignKey key, ReplicatedTables rules)
    {
        var keep = $"or leave it to itself: OnOrphan(\"{key.Name}\", OrphanPolicy.Keep).";
        if (key.Policy == OrphanPolicy.SetNull && key.NullableColumns.Count == 0)
        {
            yield return new(OrphanNotNullable, $"Orphans of foreign key {key.Name} of table {table.Name} are to be set to NULL, and {string.Join(", ", key.Columns)} can't be: NOT NULL, part of the primary key or generated{(key.IsMatchFull ? " (MATCH FULL needs all of them)" : "")}.",
                $"ALTER TABLE {Quote(table.Name)} {string.Join(", ", key.Columns.Select(c => $"ALTER COLUMN {Quote(c)} DROP NOT NULL"))}; {keep}");
        }

        if (key.Policy == OrphanPolicy.Quarantine && table.Settings.HasDeltaColumns)
        {
            yield return new(OrphanDelta, $"Orphans of foreign key {key.Name} of table {table.Name} are to be moved out of sight, and the table has delta columns: what other nodes add meanwhile would be lost.",
                $"Choose OrphanPolicy.SetNull, {keep}");
        }

        if (key.Policy == OrphanPolicy.Quarantine && rules.Routes.NodesOf(table.Name) is not null && table.Settings.Route is null)
        {
            yield return new(OrphanRouted, $"Orphans of foreign key {key.Name} of table {table.Name} are to be moved out of sight, into a table that every node has, and {table.Name} is on some nodes only (OnlyOn).",
                $"Choose OrphanPolicy.SetNull, {keep}");
        }

        if (key.Policy != OrphanPolicy.Keep && !key.IsReferencedReplicated)
        {
            yield return new(OrphanParentExcluded, $"Foreign key {key.Name} of table {table.Name} has the orphan policy {key.Policy} and refers to {key.Referenced}, which is not replicated: what is an orphan here may be none on another node.",
                $"Replicate {key.Referenced}, {keep}");
        }
    }
}
