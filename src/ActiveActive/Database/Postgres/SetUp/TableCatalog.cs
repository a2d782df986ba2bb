using Npgsql;

namespace ActiveActive.Database.Postgres.SetUp;

/// <summary>Reads tables, keys and columns from the system catalogs.</summary>
internal static class TableCatalog
{
    private const string RelationsSql =
        """
        SELECT c.oid, n.nspname::text, c.relname::text, c.relkind, coalesce(pg_partition_root(c.oid)::oid, c.oid)
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relpersistence <> 't'
          AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'active_active')
        ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"
        """;

    /// <summary>Tables that could be published, and are not.</summary>
    public const string UnpublishedSql =
        $"""
        SELECT n.nspname::text, c.relname::text
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'
          AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'active_active')
          AND NOT EXISTS (SELECT FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid WHERE p.pubname = '{PostgresNames.Publication}' AND r.prrelid = c.oid)
        """;

    private const string TablesSql =
        """
        SELECT c.oid, c.relpersistence = 'u', c.relreplident, pg_get_userbyid(c.relowner)::text, pg_has_role(c.relowner, 'USAGE'),
               has_schema_privilege(c.relnamespace, 'USAGE'),
               ARRAY(SELECT p FROM unnest('{SELECT,INSERT,UPDATE,DELETE,TRUNCATE}'::text[]) WITH ORDINALITY AS u(p, n)
                     WHERE c.relkind <> 'f' AND NOT has_table_privilege(c.oid, p) ORDER BY n),
               row_security_active(c.oid),
               EXISTS (SELECT FROM pg_inherits h JOIN pg_class k ON k.oid = h.inhrelid WHERE h.inhparent = c.oid AND NOT k.relispartition),
               coalesce(pk.key, '{}'), coalesce(pk.name, ''), coalesce(NOT pk.indimmediate, false), coalesce(pk.indisreplident, false),
               ARRAY(SELECT x.relname::text FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
                     WHERE i.indrelid = c.oid AND i.indisexclusion ORDER BY 1)
        FROM pg_class c
        LEFT JOIN LATERAL (
            SELECT i.indimmediate, i.indisreplident, x.relname::text AS name,
                   ARRAY(SELECT a.attname::text FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, n)
                         JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
                         WHERE k.n <= i.indnkeyatts ORDER BY k.n) AS key
            FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
            WHERE i.indrelid = c.oid AND i.indisprimary) pk ON true
        WHERE c.oid = ANY ($1)
        """;

    // The type below all domains; for an array, range or composite its own name stands. Whether equal values of a key can be written
    // differently is asked of all parts: an element, a bound or an attribute is compared by its own type's equality.
    private const string ColumnsSql =
        """
        WITH RECURSIVE base (oid, root) AS (
            SELECT oid, oid FROM pg_type WHERE typtype <> 'd'
            UNION ALL
            SELECT t.oid, b.root FROM pg_type t JOIN base b ON t.typbasetype = b.oid WHERE t.typtype = 'd'
        )
        SELECT a.attrelid, a.attname::text, format_type(a.atttypid, a.atttypmod), t.typname::text, a.attnotnull,
               a.attgenerated <> '', a.attidentity <> '',
               EXISTS (SELECT FROM pg_index i WHERE i.indrelid = a.attrelid AND i.indisprimary AND a.attnum = ANY (i.indkey)) AND EXISTS (
                   WITH RECURSIVE part (type, modifier, collated) AS (
                       SELECT a.atttypid, a.atttypmod, a.attcollation
                       UNION
                       SELECT x.* FROM part JOIN pg_type p ON p.oid = part.type CROSS JOIN LATERAL (
                           SELECT p.typelem, part.modifier, part.collated WHERE p.typelem <> 0 AND p.typcategory = 'A'
                           UNION ALL SELECT p.typbasetype, p.typtypmod, part.collated WHERE p.typtype = 'd'
                           UNION ALL SELECT r.rngsubtype, -1, r.rngcollation FROM pg_range r WHERE r.rngtypid = p.oid
                           UNION ALL SELECT r.rngtypid, -1, 0 FROM pg_range r WHERE r.rngmultitypid = p.oid
                           UNION ALL SELECT c.atttypid, c.atttypmod, c.attcollation FROM pg_attribute c
                                     WHERE p.typtype = 'c' AND c.attrelid = p.typrelid AND c.attnum > 0 AND NOT c.attisdropped) x)
                   SELECT FROM part JOIN pg_type p ON p.oid = part.type LEFT JOIN pg_collation l ON l.oid = part.collated
                   WHERE p.typname IN ('float4', 'float8', 'interval', 'citext', 'jsonb', 'tsquery', 'cube', 'seg')
                      OR (p.typname IN ('numeric', 'bpchar') AND part.modifier < 0) OR NOT coalesce(l.collisdeterministic, true)),
               s.oid IS NOT NULL OR coalesce(pg_get_expr(ad.adbin, ad.adrelid) ~* '\mnextval\(', false),
               s.schema, s.name, s.increment, s.last
        FROM pg_attribute a
        JOIN base b ON b.oid = a.atttypid
        JOIN pg_type t ON t.oid = b.root
        LEFT JOIN pg_attrdef ad ON ad.adrelid = a.attrelid AND ad.adnum = a.attnum AND a.attgenerated = ''
        LEFT JOIN LATERAL (
            SELECT c.oid, n.nspname::text AS schema, c.relname::text AS name, q.seqincrement AS increment,
                   CASE WHEN has_sequence_privilege(c.oid, 'SELECT,USAGE')
                        THEN coalesce(pg_sequence_last_value(c.oid), q.seqstart - q.seqincrement) END AS last
            FROM pg_depend p
            JOIN pg_sequence q ON q.seqrelid = CASE WHEN p.classid = 'pg_attrdef'::regclass THEN p.refobjid ELSE p.objid END
            JOIN pg_class c ON c.oid = q.seqrelid
            JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE (p.classid = 'pg_attrdef'::regclass AND p.objid = ad.oid AND p.refclassid = 'pg_class'::regclass)
               OR (p.classid = 'pg_class'::regclass AND p.refclassid = 'pg_class'::regclass
                   AND p.refobjid = a.attrelid AND p.refobjsubid = a.attnum AND p.deptype = 'i')
            ORDER BY c.oid LIMIT 1) s ON true
        WHERE a.attrelid = ANY ($1) AND a.attnum > 0 AND NOT a.attisdropped
        ORDER BY a.attrelid, a.attnum
        """;

    public static async Task<IReadOnlyList<RelationFacts>> ReadRelationsAsync(NpgsqlConnection connection, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(RelationsSql, connection);
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        var relations = new List<RelationFacts>();
        while (await reader.ReadAsync(cancellationToken))
        {
            relations.Add(new(reader.GetFieldValue<uint>(0), new TableName(reader.GetString(1), reader.GetString(2)), reader.GetChar(3), reader.GetFieldValue<uint>(4)));
        }

        return relations;
    }

    /// <summary>Reads the tables that take part, each with its partitions.</summary>
    public static async Task<IReadOnlyList<TableFacts>> ReadTablesAsync(
        NpgsqlConnection connection, IReadOnlyList<RelationFacts> relations, ReplicatedTables rules, CancellationToken cancellationToken)
    {
        var roots = relations.Where(r => r.IsTable && !r.IsPartition && rules.Contains(r.Name)).ToList();
        var rootOids = roots.Select(r => r.Oid).ToHashSet();
        var parts = relations.Where(r => rootOids.Contains(r.Root)).ToDictionary(r => r.Oid);
        var tables = await ReadDetailsAsync(connection, parts, cancellationToken);
        var columns = await ReadColumnsAsync(connection, rootOids, cancellationToken);
        return
        [
            .. roots.Where(root => tables.ContainsKey(root.Oid)).Select(root => tables[root.Oid] with
            {
                Settings = rules.SettingsOf(root.Name),
                Columns = [.. columns[root.Oid]],
                Partitions = [.. tables.Values.Where(t => t.Relation.IsPartition && t.Relation.Root == root.Oid).OrderBy(t => t.Name)],
            }),
        ];
    }

    private static async Task<Dictionary<uint, TableFacts>> ReadDetailsAsync(
        NpgsqlConnection connection, Dictionary<uint, RelationFacts> relations, CancellationToken cancellationToken)
    {
        await using var command = Command(TablesSql, connection, relations.Keys);
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        var tables = new Dictionary<uint, TableFacts>();
        while (await reader.ReadAsync(cancellationToken))
        {
            var relation = relations[reader.GetFieldValue<uint>(0)];
            tables.Add(relation.Oid, new TableFacts
            {
                Relation = relation,
                Settings = TableSettings.Default,
                IsUnlogged = reader.GetBoolean(1),
                ReplicaIdentity = reader.GetChar(2),
                Owner = reader.GetString(3),
                MayActAsOwner = reader.GetBoolean(4),
                MayUseSchema = reader.GetBoolean(5),
                MissingPrivileges = reader.GetFieldValue<string[]>(6),
                HidesRows = reader.GetBoolean(7),
                HasInheritors = reader.GetBoolean(8),
                Key = reader.GetFieldValue<string[]>(9),
                KeyConstraint = reader.GetString(10),
                IsKeyDeferrable = reader.GetBoolean(11),
                IsIdentityTheKey = reader.GetBoolean(12),
                ExclusionConstraints = reader.GetFieldValue<string[]>(13),
            });
        }

        return tables;
    }

    private static async Task<ILookup<uint, ColumnFacts>> ReadColumnsAsync(
        NpgsqlConnection connection, IReadOnlyCollection<uint> tables, CancellationToken cancellationToken)
    {
        await using var command = Command(ColumnsSql, connection, tables);
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        var columns = new List<(uint Table, ColumnFacts Column)>();
        while (await reader.ReadAsync(cancellationToken))
        {
            columns.Add((reader.GetFieldValue<uint>(0), new ColumnFacts(reader.GetString(1))
            {
                TypeName = reader.GetString(2),
                BaseType = reader.GetString(3),
                IsNotNull = reader.GetBoolean(4),
                IsGenerated = reader.GetBoolean(5),
                IsIdentity = reader.GetBoolean(6),
                EqualValuesDiffer = reader.GetBoolean(7),
                IsSequenceBacked = reader.GetBoolean(8),
                Sequence = reader.IsDBNull(10)
                    ? null
                    : new(new TableName(reader.GetString(9), reader.GetString(10)), reader.GetInt64(11), reader.IsDBNull(12) ? null : reader.GetInt64(12)),
            }));
        }

        return columns.ToLookup(c => c.Table, c => c.Column);
    }

    private static NpgsqlCommand Command(string sql, NpgsqlConnection connection, IEnumerable<uint> oids)
    {
        var command = new NpgsqlCommand(sql, connection);
        command.Parameters.Add(new NpgsqlParameter { Value = oids.ToArray(), NpgsqlDbType = NpgsqlTypes.NpgsqlDbType.Array | NpgsqlTypes.NpgsqlDbType.Oid });
        return command;
    }
}
