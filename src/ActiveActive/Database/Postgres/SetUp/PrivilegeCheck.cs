using static ActiveActive.Database.Postgres.PostgresNames;
using static ActiveActive.Database.Postgres.SetUp.SetUpCodes;

namespace ActiveActive.Database.Postgres.SetUp;

/// <summary>May the role do what set-up, capture and apply do? docs/setup-role.sql grants all of it.</summary>
internal static class PrivilegeCheck
{
    public static IEnumerable<SetUpProblem> Find(SetUpFacts facts)
    {
        var role = Quote(facts.Role.Name);
        if (!facts.Role.MayReplicate)
        {
            yield return new(ReplicationAttribute, $"Role {facts.Role.Name} has not the attribute REPLICATION, which slots and replication connections need (it is not inherited).",
                $"ALTER ROLE {role} REPLICATION;");
        }

        if (!facts.Role.MayCreateInDatabase && (!facts.Node.HasSchema || facts.Node.Publication is null))
        {
            yield return new(CreateInDatabase, $"Role {facts.Role.Name} may not create the schema and the publication {Schema} in database {facts.Server.Database}.",
                $"GRANT CREATE ON DATABASE {Quote(facts.Server.Database)} TO {role};");
        }

        if (!facts.Role.MaySetReplicationRole)
        {
            yield return new(SetReplicationRole, $"Role {facts.Role.Name} may not set session_replication_role, so triggers and foreign keys would fire a second time on apply.",
                $"GRANT SET ON PARAMETER session_replication_role TO {role};");
        }

        if (facts.Role.MissingFunctions.Count > 0)
        {
            yield return new(OriginFunctions, $"Role {facts.Role.Name} may not execute {string.Join(", ", facts.Role.MissingFunctions)} in database {facts.Server.Database}.",
                $"GRANT EXECUTE ON FUNCTION {string.Join(", ", facts.Role.MissingFunctions.Select(f => "pg_catalog." + f))} TO {role};");
        }

        if (facts.Node.OwnedByOthers.Count > 0)
        {
            yield return new(OwnObjects, $"Role {facts.Role.Name} does not own what an earlier set-up created: {string.Join(", ", facts.Node.OwnedByOthers)}.",
                $"GRANT the owner TO {role}; or connect with the role that ran set-up first.");
        }

        foreach (var problem in facts.Tables.SelectMany(table => FindInTable(facts, table))) yield return problem;
    }

    private static IEnumerable<SetUpProblem> FindInTable(SetUpFacts facts, TableFacts table)
    {
        var role = Quote(facts.Role.Name);
        // Rows are read and written through the root, so privileges and policies of partitions play no part.
        if (!table.MayUseSchema)
        {
            yield return new(SchemaUsage, $"Role {facts.Role.Name} may not use schema {table.Name.Schema} of table {table.Name}.",
                $"GRANT USAGE ON SCHEMA {Quote(table.Name.Schema)} TO {role};");
        }

        if (table.MissingPrivileges.Count > 0)
        {
            var privileges = string.Join(", ", table.MissingPrivileges);
            yield return new(TablePrivileges, $"Role {facts.Role.Name} has not {privileges} on table {table.Name}.",
                $"GRANT {privileges} ON {Quote(table.Name)} TO {role};");
        }

        if (table.HidesRows)
        {
            yield return new(RowSecurity, $"Row-level security of table {table.Name} applies to role {facts.Role.Name}: apply would not see every row.",
                $"ALTER ROLE {role} BYPASSRLS; or GRANT {Quote(table.Owner)} TO {role}; and ALTER TABLE {Quote(table.Name)} NO FORCE ROW LEVEL SECURITY;");
        }

        // Only an owner may publish a table or change its replica identity; where both are done already, it need not be the owner.
        foreach (var part in table.All.Where(part => !part.MayActAsOwner && SetUpPlan.ChangesTable(facts, table, part)))
        {
            yield return new(TableOwnership, $"Table {part.Name} must be published (or its replica identity changed), and role {facts.Role.Name} can't act as its owner {part.Owner}.",
                $"GRANT {Quote(part.Owner)} TO {role};");
        }
    }
}
