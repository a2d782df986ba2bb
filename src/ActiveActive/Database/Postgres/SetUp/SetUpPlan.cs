using static ActiveActive.Database.Postgres.PostgresNames;

namespace ActiveActive.Database.Postgres.SetUp;

/// <summary>What is missing, as SQL. Pure; empty for a database that is set up, so that a second run writes nothing.</summary>
internal static class SetUpPlan
{
    private const string PublishedActions = "publish = 'insert, update, delete, truncate', publish_via_partition_root = false";

    /// <summary>Notes the files that tables have now: their rows show their writers.</summary>
    public const string NoteFiles =
        """
        INSERT INTO active_active.table_file (table_oid, file)
        SELECT oid, pg_catalog.pg_relation_filenode(oid) FROM pg_catalog.pg_class WHERE relkind = 'r' AND oid >= 16384 AND pg_catalog.pg_relation_filenode(oid) <> oid
        ON CONFLICT (table_oid) DO UPDATE SET file = excluded.file
        """;

    /// <summary>The statements of the one transaction of set-up, in their order; the rows of the node's own tables are not among them.</summary>
    public static IReadOnlyList<string> Statements(SetUpFacts facts)
    {
        var statements = new List<string>();
        for (var step = facts.Node.SchemaStep; step < PostgresSchema.Steps.Count; step++)
        {
            statements.Add(PostgresSchema.Steps[step]);
            statements.Add($"INSERT INTO active_active.schema_version (step) VALUES ({step + 1})");
        }

        // There is no log yet: what its rows show, every node counts as seen.
        if (facts.Node.Checkpoint is null) statements.Add(NoteFiles);
        var identities = facts.Tables.SelectMany(table => table.All.Where(part => NeedsFull(table, part))).Select(part => part.Name).ToList();
        var added = facts.Tables.Where(table => IsToBeAdded(facts, table)).Select(table => table.Name).ToList();
        // A transaction that wrote to the table before it was published and commits after would be decoded without it: the lock
        // lets all such writers end first. A new slot waits for them itself.
        if (facts.Node.Checkpoint is not null && added.Count > 0)
        {
            // With its partitions, whose writers may lock them alone; without children by inheritance.
            var locked = facts.Tables.Where(table => IsToBeAdded(facts, table)).Select(table => $"{(table.Relation.Kind == 'p' ? "" : "ONLY ")}{Quote(table.Name)}");
            statements.Add($"LOCK TABLE {string.Join(", ", locked)} IN SHARE ROW EXCLUSIVE MODE");
        }

        // The node's own table needs no lock: the node writes to it only once set-up is done.
        if (facts.Node.Publication?.Tables.Any(p => p.Name == ReplicatedTables.Orphans && !p.IsFiltered) != true) added.Add(ReplicatedTables.Orphans);
        statements.AddRange(identities.Select(name => $"ALTER TABLE ONLY {Quote(name)} REPLICA IDENTITY FULL"));
        statements.AddRange(PublicationStatements(facts, added));
        // The node's own is for what it settles itself, which is nobody's write.
        statements.AddRange(facts.Options.Peers.Append(facts.Options.Node).Except(facts.Node.Origins).Order()
            .Select(peer => $"SELECT pg_catalog.pg_replication_origin_create('{Origin(facts.Server.DatabaseOid, peer)}')"));
        return statements;
    }

    /// <summary>Whether set-up must publish a table or change a part's replica identity, which only an owner may.</summary>
    public static bool ChangesTable(SetUpFacts facts, TableFacts table, TableFacts part) =>
        NeedsFull(table, part) || (ReferenceEquals(table, part) && IsToBeAdded(facts, table));

    private static bool NeedsFull(TableFacts table, TableFacts part) =>
        table.Settings.NeedsFullReplicaIdentity && part.ReplicaIdentity != 'f' && part.Relation.IsTable;

    public static bool IsToBeAdded(SetUpFacts facts, TableFacts table) =>
        facts.Node.Publication is not { } publication || !publication.Tables.Any(p => p.Oid == table.Relation.Oid && !p.IsFiltered);

    private static IEnumerable<string> PublicationStatements(SetUpFacts facts, List<TableName> added)
    {
        var options = facts.Server.Version >= 180000 ? $"{PublishedActions}, publish_generated_columns = none" : PublishedActions;
        if (facts.Node.Publication is not { } publication)
        {
            yield return $"CREATE PUBLICATION {Publication}{(added.Count == 0 ? "" : $" FOR TABLE {List(added)}")} WITH ({options})";
            yield break;
        }

        if (publication.Schemas.Count > 0)
        {
            yield return $"ALTER PUBLICATION {Publication} DROP TABLES IN SCHEMA {string.Join(", ", publication.Schemas.Select(Quote))}";
        }

        var wanted = facts.Tables.Select(t => t.Relation.Oid).ToHashSet();
        var dropped = publication.Tables.Where(p => (!wanted.Contains(p.Oid) && p.Name != ReplicatedTables.Orphans) || p.IsFiltered).Select(p => p.Name).Order().ToList();
        if (dropped.Count > 0) yield return $"ALTER PUBLICATION {Publication} DROP TABLE {List(dropped)}";
        if (added.Count > 0) yield return $"ALTER PUBLICATION {Publication} ADD TABLE {List(added)}";
        if (!publication.HasRightOptions) yield return $"ALTER PUBLICATION {Publication} SET ({options})";
    }

    // Without ONLY, children by inheritance would be published, too; a root's partitions always are.
    private static string List(IEnumerable<TableName> tables) => string.Join(", ", tables.Select(name => $"ONLY {Quote(name)}"));
}
