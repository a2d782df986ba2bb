using static ActiveActive.Database.Postgres.PostgresNames;
using static ActiveActive.Database.Postgres.SetUp.SetUpCodes;

namespace ActiveActive.Database.Postgres.SetUp;

/// <summary>Can each table's rows be told apart and captured on every node alike?</summary>
internal static class TableCheck
{
    public static IEnumerable<SetUpProblem> Find(SetUpFacts facts) => facts.Tables.SelectMany(FindInTable);

    private static IEnumerable<SetUpProblem> FindInTable(TableFacts table)
    {
        foreach (var problem in FindInKey(table)) yield return problem;
        if (table.Name.Schema.Contains('.', StringComparison.Ordinal))
        {
            yield return new(DottedSchema, $"The schema of table {table.Name} has a dot in its name ({table.Name.Schema}): where tables are named by one text, it would be taken for another one.",
                $"ALTER SCHEMA {Quote(table.Name.Schema)} RENAME TO …; or exclude '{table.Name}'.");
        }

        foreach (var part in table.All)
        {
            if (part.Relation.Kind == 'f')
            {
                yield return new(ForeignPartition, $"Partition {part.Name} of {table.Name} is a foreign table: its changes are not in this server's WAL.",
                    $"ALTER TABLE {Quote(table.Name)} DETACH PARTITION {Quote(part.Name)}; or exclude '{table.Name}'.");
                continue;
            }

            if (part.IsUnlogged)
            {
                yield return new(Unlogged, $"Table {part.Name} is unlogged: its changes are not in the WAL.",
                    $"ALTER TABLE {Quote(part.Name)} SET LOGGED; or exclude '{table.Name}'.");
            }

            foreach (var constraint in part.ExclusionConstraints)
            {
                yield return new(ExclusionConstraint,
                    $"Table {part.Name} has the exclusion constraint {constraint}: rows of two nodes may exclude each other, and there is no rule yet by which all nodes keep the same one.",
                    $"ALTER TABLE {Quote(part.Name)} DROP CONSTRAINT {Quote(constraint)}; or exclude '{table.Name}'.");
            }

            // With NOTHING, PostgreSQL refuses every update once the table is published; with another index the log lacks the key.
            // Where set-up makes it FULL, and on a root, which holds no rows, it does not matter.
            if (part.Relation.Kind == 'r' && !table.Settings.NeedsFullReplicaIdentity
                && (part.ReplicaIdentity is 'n' || (part.ReplicaIdentity is 'i' && !part.IsIdentityTheKey)))
            {
                yield return new(ReplicaIdentity,
                    $"The replica identity of table {part.Name} is {(part.ReplicaIdentity is 'n' ? "NOTHING" : "another index than the primary key's")}: changes would not name the row that they change.",
                    $"ALTER TABLE {Quote(part.Name)} REPLICA IDENTITY DEFAULT;");
            }
        }

        if (table.HasInheritors)
        {
            yield return new(Inheritance, $"Table {table.Name} has child tables by inheritance: a change of one of its rows would reach theirs, too.",
                $"Turn the children into partitions or separate tables (ALTER TABLE … NO INHERIT {Quote(table.Name)};), or exclude '{table.Name}'.");
        }
    }

    private static IEnumerable<SetUpProblem> FindInKey(TableFacts table)
    {
        if (table.Key.Count == 0)
        {
            yield return new(NoPrimaryKey, $"Table {table.Name} has no primary key, so its rows can't be told apart.",
                $"ALTER TABLE {Quote(table.Name)} ADD PRIMARY KEY (…); with columns that name a row, or exclude '{table.Name}'.");
            yield break;
        }

        if (table.IsKeyDeferrable)
        {
            yield return new(DeferrableKey, $"The primary key {table.KeyConstraint} of table {table.Name} is deferrable: PostgreSQL does not log it as the row's identity.",
                $"ALTER TABLE {Quote(table.Name)} DROP CONSTRAINT {Quote(table.KeyConstraint)}, ADD PRIMARY KEY ({string.Join(", ", table.Key.Select(Quote))});");
        }

        foreach (var column in table.Key.Select(table.Find).OfType<ColumnFacts>())
        {
            if (column.IsGenerated)
            {
                yield return new(GeneratedKey, $"Key column {column.Name} of table {table.Name} is generated: generated columns are not published.",
                    $"Build the primary key of {table.Name} from ordinary columns, or exclude '{table.Name}'.");
            }

            if (column.EqualValuesDiffer)
            {
                yield return new(KeyType,
                    $"Key column {column.Name} of table {table.Name} has the type {column.TypeName} (or a collation) under which equal values can be written differently, so two nodes may not recognise the same row.",
                    $"Give it a type with one text per value (bigint, uuid, text with a deterministic collation, numeric with precision and scale), or exclude '{table.Name}'.");
            }
        }
    }
}
