using System.Runtime.CompilerServices;
using ActiveActive.Changes;
using Npgsql;

namespace ActiveActive.Database.Postgres;

/// <summary>The local tables as apply needs them, read from the catalog and kept until <see cref="Forget"/>.</summary>
internal sealed class LocalTableCatalog(ReplicatedTables rules, NewTablePublisher? newTables = null)
{
    // The key's table is a scalar sub-select: joined to it, the plan walks the keys of all tables, for every table.
    private const string Query =
        """
        WITH target AS (
            SELECT c.oid, n.nspname, c.relname, c.relkind, c.relispartition
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relkind IN ('r', 'p') AND (n.nspname = $1 AND c.relname = $2 OR n.nspname = $3 AND c.relname = $4)
            ORDER BY n.nspname = $1 AND c.relname = $2 DESC
            LIMIT 1)
        SELECT target.nspname::text, target.relname::text, target.relkind = 'p', a.attname::text,
               format_type(a.atttypid, a.atttypmod), format_type(a.atttypid, -1), a.attidentity = 'a', a.attgenerated <> '',
               key.place, key.operator,
               EXISTS (SELECT FROM pg_cast x WHERE x.castsource = 'text'::regtype AND x.castmethod = 'f' AND x.casttarget IN (t.oid, t.typbasetype)
                       AND x.casttarget NOT IN ('name'::regtype, '"char"'::regtype)),
               t.typtype IN ('b', 'e') AND t.typcategory <> 'A' AND t.typdelim = ',' AND t.typarray <> 0,
               EXISTS (SELECT FROM pg_trigger g WHERE g.tgenabled IN ('A', 'R') AND (g.tgrelid = target.oid OR g.tgrelid IN (SELECT relid FROM pg_partition_tree(target.oid))))
               OR EXISTS (SELECT FROM pg_rewrite r WHERE r.ev_class = target.oid AND r.ev_enabled IN ('A', 'R')),
               EXISTS (SELECT FROM active_active.unique_loser l WHERE l.table_name = target.nspname || '.' || target.relname),
               EXISTS (SELECT FROM pg_publication p WHERE p.pubname = 'active_active' AND NOT EXISTS (SELECT FROM pg_publication_rel r WHERE r.prpubid = p.oid AND r.prrelid = target.oid)),
               target.relispartition,
               EXISTS (SELECT FROM pg_class l JOIN pg_namespace s ON s.oid = l.relnamespace
                       WHERE s.nspname = $3 AND l.relname = $4 AND l.relkind IN ('r', 'p') AND l.oid <> target.oid AND target.oid <> coalesce(pg_partition_root(l.oid), l.oid))
        FROM target
        JOIN pg_attribute a ON a.attrelid = target.oid AND a.attnum > 0 AND NOT a.attisdropped
        JOIN pg_type t ON t.oid = a.atttypid
        LEFT JOIN (
            SELECT k.attnum, k.place, equality.operator
            FROM pg_index i
            CROSS JOIN LATERAL unnest(i.indkey::int2[], i.indclass::oid[]) WITH ORDINALITY AS k(attnum, opclass, place)
            CROSS JOIN LATERAL (
                SELECT format('%I.%s', s.nspname, o.oprname) AS operator
                FROM pg_opclass c
                JOIN pg_amop p ON p.amopfamily = c.opcfamily AND p.amoplefttype = c.opcintype AND p.amoprighttype = c.opcintype
                              AND p.amopstrategy = 3 AND p.amoppurpose = 's'
                JOIN pg_am m ON m.oid = p.amopmethod AND m.amname = 'btree'
                JOIN pg_operator o ON o.oid = p.amopopr
                JOIN pg_namespace s ON s.oid = o.oprnamespace
                WHERE c.oid = k.opclass) equality
            WHERE i.indrelid = (SELECT oid FROM target) AND i.indisprimary AND i.indimmediate AND i.indisvalid AND k.place <= i.indnkeyatts
        ) key ON key.attnum = a.attnum
        ORDER BY a.attnum
        """;

    private readonly Dictionary<(TableName, TableName), LocalTable> _tables = [];

    // Not a dictionary: a caller may still hold a table that was forgotten here.
    private readonly ConditionalWeakTable<LocalTable, ApplyStatements> _statements = [];
    private readonly ConditionalWeakTable<LocalTable, UniqueKeys> _uniqueKeys = [];

    /// <summary>The statements on a table that this catalog has found.</summary>
    public ApplyStatements StatementsOf(LocalTable table) => _statements.TryGetValue(table, out var statements)
        ? statements
        : throw new InvalidOperationException($"Table {table} was not found by this session.");

    /// <summary>The secondary unique keys of a table that this catalog has found.</summary>
    public UniqueKeys UniqueKeysOf(LocalTable table) => _uniqueKeys.TryGetValue(table, out var keys)
        ? keys
        : throw new InvalidOperationException($"Table {table} has no secondary unique keys, or was not found by this session.");

    public void Forget() => _tables.Clear();

    /// <exception cref="ReplicationException">The table takes no part here, or has no primary key that tells rows apart.</exception>
    public ValueTask<LocalTable?> FindAsync(Relation relation, NpgsqlConnection connection, CancellationToken cancellationToken) => FindAsync(relation, connection, mayPublish: false, cancellationToken);

    /// <param name="relation">The peer's table.</param>
    /// <param name="connection">The session.</param>
    /// <param name="mayPublish">Whether a new table may be published on the spot: not while the session's transaction holds locks that set-up could wait for.</param>
    /// <param name="cancellationToken">Ends it.</param>
    public ValueTask<LocalTable?> FindAsync(Relation relation, NpgsqlConnection connection, bool mayPublish, CancellationToken cancellationToken) =>
        FindAsync(relation, connection, mayPublish, isPublished: false, cancellationToken);

    private async ValueTask<LocalTable?> FindAsync(Relation relation, NpgsqlConnection connection, bool mayPublish, bool isPublished, CancellationToken cancellationToken)
    {
        if (_tables.TryGetValue((relation.Root, relation.Name), out var known)) return known;
        var columns = new List<CatalogColumn>();
        var name = default(TableName);
        var isPartitioned = false;
        var hasTriggers = false;
        var hasLosers = false;
        var isUnpublished = false;
        var isPartition = false;
        var isApart = false;
        await using (var command = new NpgsqlCommand(Query, connection))
        {
            foreach (var text in (ReadOnlySpan<string>)[relation.Root.Schema, relation.Root.Name, relation.Name.Schema, relation.Name.Name])
            {
                command.Parameters.Add(SqlParameters.Text(text));
            }

            await using var reader = await command.ExecuteReaderAsync(cancellationToken);
            while (await reader.ReadAsync(cancellationToken))
            {
                name = new TableName(reader.GetString(0), reader.GetString(1));
                isPartitioned = reader.GetBoolean(2);
                hasTriggers = reader.GetBoolean(12);
                hasLosers = reader.GetBoolean(13);
                isUnpublished = reader.GetBoolean(14);
                isPartition = reader.GetBoolean(15);
                isApart = reader.GetBoolean(16);
                columns.Add(new(
                    new LocalColumn(reader.GetString(3), reader.GetString(4), reader.GetBoolean(6)),
                    reader.GetString(5), reader.GetBoolean(7), reader.IsDBNull(8) ? 0 : reader.GetInt64(8), reader.IsDBNull(9) ? "" : reader.GetString(9), reader.GetBoolean(10), reader.GetBoolean(11)));
            }
        }

        if (columns.Count == 0) return null;
        // Under one node's name for a row another node's deletes of it would not be found.
        if (isApart)
        {
            throw new ReplicationException(ReplicationErrorKind.ApplyRefused,
                $"Table {relation.Name} is a partition of {relation.Root} on the peer, and not here. Attach it here, or detach it there.");
        }

        if (isPartition)
        {
            throw new ReplicationException(ReplicationErrorKind.ApplyRefused, relation.Name == relation.Root
                ? $"Table {name} is a partition here, and a table of its own on the peer. Detach it here, or attach it there."
                : $"Table {name} is a partition of another table than {relation.Root} here. Give the partitions the same root on every node.");
        }

        var quoted = PostgresNames.Quote(name);
        var indexes = await UniqueKeys.ReadAsync(quoted, connection, cancellationToken);
        var generated = indexes.Count == 0 ? [] : await UniqueKeys.ReadGeneratedAsync(quoted, connection, cancellationToken);
        var table = Describe(name, columns, isPartitioned, hasTriggers, hasLosers, indexes, generated);
        if (isUnpublished)
        {
            // Its own writes would not be seen, neither by peers nor by capture here.
            var problem = newTables is null || isPublished ? null : mayPublish ? await newTables.PublishAsync(name, cancellationToken) : newTables.Note(name);
            if (problem is null && newTables is not null && mayPublish && !isPublished) return await FindAsync(relation, connection, mayPublish, isPublished: true, cancellationToken);
            throw problem is null
                ? new ReplicationException(ReplicationErrorKind.Transient, $"Table {name} was created since the node started, and is not published yet.")
                : new ReplicationException(ReplicationErrorKind.ApplyRefused, $"Table {name} was created since the node started, and is not published. {problem}");
        }

        _tables.Add((relation.Root, relation.Name), table);
        return table;
    }

    private LocalTable Describe(
        TableName name, List<CatalogColumn> columns, bool isPartitioned, bool hasTriggers, bool hasLosers, IReadOnlyList<UniqueIndex> indexes, IReadOnlyList<(string Name, string Expression)> generated)
    {
        if (!rules.Contains(name))
        {
            throw new ReplicationException(ReplicationErrorKind.ApplyRefused,
                $"Table {name} is not replicated on this node. Make the table rules of all nodes equal.");
        }

        // A generated column can not be part of the key: its origin does not send it.
        var stored = columns.Where(c => !c.IsGenerated).ToList();
        var key = stored.Select((column, ordinal) => (column, ordinal)).Where(c => c.column.KeyPlace > 0).OrderBy(c => c.column.KeyPlace).ToList();
        if (key.Count == 0 || columns.Any(c => c.IsGenerated && c.KeyPlace > 0))
        {
            throw new ReplicationException(ReplicationErrorKind.ApplyRefused,
                $"Table {name} has no primary key of plain columns (not deferrable, not generated, not WITHOUT OVERLAPS). Add one.");
        }

        var table = new LocalTable(name, [.. stored.Select(c => c.Column)], [.. key.Select(k => k.ordinal)], rules.SettingsOf(name))
        {
            // Rows that lost a value of a key which is gone since come back as others do.
            HasUniqueKeys = indexes.Count > 0 || hasLosers,
            HasTriggers = hasTriggers,
            HasDeferrableKeys = indexes.Any(static i => !i.IsImmediate),
        };
        var statements = new ApplyStatements(table, [.. key.Select(k => ColumnOf(k.ordinal))], [.. stored.Select((_, ordinal) => ColumnOf(ordinal))], isPartitioned);
        _statements.Add(table, statements);
        if (table.HasUniqueKeys) _uniqueKeys.Add(table, new UniqueKeys(table, statements.Target, indexes, generated, (ordinal, text) => ColumnOf(ordinal).FromText(text)));
        return table;

        KeyColumn ColumnOf(int ordinal) => new(ordinal, stored[ordinal].CastType, stored[ordinal].EqualOperator, stored[ordinal].HasTextCast, stored[ordinal].HasArray);
    }

    private sealed record CatalogColumn(LocalColumn Column, string CastType, bool IsGenerated, long KeyPlace, string EqualOperator, bool HasTextCast, bool HasArray);
}
