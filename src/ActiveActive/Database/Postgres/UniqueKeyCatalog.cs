using Npgsql;

namespace ActiveActive.Database.Postgres;

/// <summary>Reads the secondary unique keys of all tables, for the comparison with other nodes.</summary>
internal static class UniqueKeyCatalog
{
    // A partition's own index is one that hangs on no index above it. Its bounds tell what the key is of, whatever the partition's place in the tree.
    private const string Sql =
        """
        SELECT n.nspname::text, r.relname::text,
               ARRAY(SELECT pg_get_indexdef(i.indexrelid, k, false) || COALESCE((
                         SELECT format(' COLLATE %I.%I', s.nspname, l.collname)
                         FROM pg_collation l JOIN pg_namespace s ON s.oid = l.collnamespace
                         WHERE l.oid = i.indcollation[k - 1] AND l.collname NOT IN ('default', 'C', 'POSIX') AND NOT l.collisdeterministic), '')
                     FROM generate_series(1, i.indnkeyatts) k),
               i.indnullsnotdistinct, pg_get_expr(i.indpred, i.indrelid),
               CASE WHEN i.indrelid <> r.oid THEN format('partition %I.%I ', pn.nspname, p.relname) || (
                   SELECT string_agg(pg_get_expr(a.relpartbound, a.oid), ' ' ORDER BY t.depth)
                   FROM pg_partition_ancestors(i.indrelid) WITH ORDINALITY AS t(relid, depth) JOIN pg_class a ON a.oid = t.relid
                   WHERE a.relpartbound IS NOT NULL) END
        FROM pg_index i
        JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am m ON m.oid = x.relam
        JOIN pg_class p ON p.oid = i.indrelid JOIN pg_namespace pn ON pn.oid = p.relnamespace
        JOIN pg_class r ON r.oid = COALESCE(pg_partition_root(i.indrelid)::oid, i.indrelid)
        JOIN pg_namespace n ON n.oid = r.relnamespace
        WHERE i.indisunique AND NOT i.indisprimary AND NOT i.indisexclusion AND i.indisvalid AND m.amname = 'btree' AND r.relkind IN ('r', 'p')
          AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'active_active')
          AND NOT EXISTS (SELECT FROM pg_inherits h WHERE h.inhrelid = i.indexrelid)
        """;

    public static async ValueTask<IReadOnlyList<UniqueKey>> ReadAsync(NpgsqlDataSource source, ReplicatedTables rules, CancellationToken cancellationToken)
    {
        await using var command = source.CreateCommand(Sql);
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        var keys = new HashSet<UniqueKey>();
        while (await reader.ReadAsync(cancellationToken))
        {
            var table = new TableName(reader.GetString(0), reader.GetString(1));
            if (!rules.Contains(table)) continue;
            keys.Add(UniqueKey.Of(table, reader.GetFieldValue<string[]>(2), reader.GetBoolean(3), reader.IsDBNull(4) ? null : reader.GetString(4), reader.IsDBNull(5) ? null : reader.GetString(5)));
        }

        return [.. keys.OrderBy(static k => k.Table).ThenBy(static k => k.Definition, StringComparer.Ordinal)];
    }
}
