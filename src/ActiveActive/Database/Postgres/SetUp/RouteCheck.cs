using static ActiveActive.Database.Postgres.SetUp.SetUpCodes;

namespace ActiveActive.Database.Postgres.SetUp;

/// <summary>Can it be told of every row which nodes hold it, and does one of them see all versions of it?</summary>
internal static class RouteCheck
{
    public static IEnumerable<SetUpProblem> Find(SetUpFacts facts)
    {
        foreach (var table in facts.Tables)
        {
            if (table.Settings.Route is not { } route) continue;
            if (table.Find(route.Column) is not { IsGenerated: false })
            {
                yield return new(ResidencyColumn, $"Where rows of table {table.Name} are is decided by its column {route.Column}, which it does not have, or which is generated and not sent.",
                    $"Name another column in Residency(…) of the rule that matches '{table.Name}' (names are case-sensitive).");
            }

            if (table.Settings.HasDeltaColumns || table.Settings.Resolver is not null)
            {
                yield return new(ResidencyRule, $"Table {table.Name} has rows that are not on every node (Residency), and {(table.Settings.HasDeltaColumns ? "delta columns" : "a resolver")}: sums and merges need every version. Last update wins alone goes with it.",
                    $"Remove one of the two from the rules that match '{table.Name}'; or use OnlyOn, which is for whole tables.");
            }

            var nodes = facts.Options.Peers.Append(facts.Options.Node).Where(n => facts.Options.Tables.Routes.Holds(n, table.Name));
            if (!nodes.Any(route.IsHome))
            {
                yield return new(ResidencyHome, $"No node is in every region of table {table.Name} (Residency, Elsewhere included): nobody would see all versions of a row that moves, and tell the others which of them stands.",
                    $"Name one node in every region of the rule that matches '{table.Name}'.");
            }

            foreach (var key in facts.ForeignKeys.Where(k => k.Policy != OrphanPolicy.Keep && k.Table == table.Name))
            {
                yield return new(ResidencyOrphans, $"Foreign key {key.Name} of table {table.Name} has the orphan policy {key.Policy}, and rows of {table.Name} are not on every node: nobody may say more of one than its nodes know.", $"OnOrphan(\"{key.Name}\", OrphanPolicy.Keep).");
            }
        }

        foreach (var key in facts.ForeignKeys.Where(k => k.Policy != OrphanPolicy.Keep && facts.Options.Tables.Routes.RowRouteOf(k.Referenced) is not null))
        {
            yield return new(ResidencyOrphans, $"Foreign key {key.Name} of table {key.Table} has the orphan policy {key.Policy} and refers to {key.Referenced}, whose rows are not on every node: what is an orphan here may be none on another node.", $"OnOrphan(\"{key.Name}\", OrphanPolicy.Keep).");
        }
    }
}
