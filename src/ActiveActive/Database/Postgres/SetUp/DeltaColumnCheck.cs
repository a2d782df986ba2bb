using static ActiveActive.Database.Postgres.PostgresNames;
using static ActiveActive.Database.Postgres.SetUp.SetUpCodes;

namespace ActiveActive.Database.Postgres.SetUp;

/// <summary>Can the delta columns be added up, with the same result on every node?</summary>
internal static class DeltaColumnCheck
{
    public static IEnumerable<SetUpProblem> Find(SetUpFacts facts)
    {
        foreach (var table in facts.Tables)
        {
            if (table.Settings is { HasDeltaColumns: true, Resolver: { } resolver })
            {
                yield return new(DeltaAndResolver, $"Table {table.Name} has delta columns ({string.Join(", ", table.Settings.DeltaColumns.Select(d => d.Name))}) and the resolver {resolver.GetType().Name}: only one of both is possible.",
                    $"Remove the delta columns or the resolver from the rules that match '{table.Name}'.");
            }

            foreach (var delta in table.Settings.DeltaColumns)
            {
                foreach (var problem in FindInColumn(table, delta.Name)) yield return problem;
            }
        }
    }

    private static IEnumerable<SetUpProblem> FindInColumn(TableFacts table, string name)
    {
        if (table.Find(name) is not { } column)
        {
            yield return new(DeltaMissing, $"Delta column {name} does not exist in table {table.Name}.",
                $"Correct the rule that matches '{table.Name}' (names are case-sensitive), or ALTER TABLE {Quote(table.Name)} ADD COLUMN {Quote(name)} numeric NOT NULL DEFAULT 0;");
            yield break;
        }

        if (!column.IsNotNull)
        {
            yield return new(DeltaNullable, $"Delta column {name} of table {table.Name} may be null, and nothing can be added to null.",
                $"UPDATE {Quote(table.Name)} SET {Quote(name)} = 0 WHERE {Quote(name)} IS NULL; ALTER TABLE {Quote(table.Name)} ALTER COLUMN {Quote(name)} SET NOT NULL;");
        }

        if (column.BaseType is "float4" or "float8")
        {
            yield return new(DeltaType, $"Delta column {name} of table {table.Name} is {column.TypeName}: floating-point addition gives another result in another order, so nodes would differ in the last digits.",
                $"ALTER TABLE {Quote(table.Name)} ALTER COLUMN {Quote(name)} TYPE numeric;");
        }
        else if (column.BaseType is not ("int2" or "int4" or "int8" or "numeric" or "money"))
        {
            yield return new(DeltaType, $"Delta column {name} of table {table.Name} is {column.TypeName}, which does not add up.",
                $"Use smallint, integer, bigint, numeric or money, or remove the delta column from the rule that matches '{table.Name}'.");
        }

        if (table.Key.Contains(name))
        {
            yield return new(DeltaInKey, $"Delta column {name} is part of the primary key of table {table.Name}.",
                $"Remove the delta column from the rule that matches '{table.Name}'.");
        }

        if (column.IsGenerated || column.IsIdentity)
        {
            yield return new(DeltaGenerated, $"Delta column {name} of table {table.Name} is {(column.IsGenerated ? "generated" : "an identity column")}: its values are not the application's.",
                $"ALTER TABLE {Quote(table.Name)} ALTER COLUMN {Quote(name)} DROP {(column.IsGenerated ? "EXPRESSION" : "IDENTITY")}; or remove the delta column from the rule.");
        }
    }
}
