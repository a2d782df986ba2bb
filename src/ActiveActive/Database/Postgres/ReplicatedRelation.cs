using Npgsql;

namespace ActiveActive.Database.Postgres;

/// <summary>A published table that the rules match, a partition of one, or the node's own that replicates.</summary>
/// <param name="Oid">Its OID.</param>
/// <param name="Name">Its name.</param>
/// <param name="Root">The published table.</param>
/// <param name="HasRows">Whether it is no partitioned table, so that it can have rows itself.</param>
internal sealed record ReplicatedRelation(uint Oid, TableName Name, TableName Root, bool HasRows)
{
    private const string Sql =
        $"""
        SELECT k.oid, s.nspname::text, k.relname::text, n.nspname::text, c.relname::text, k.relkind = 'r',
               coalesce(k.reltuples, 0)::float8, coalesce(pg_table_size(k.oid), 0), k.relfilenode, coalesce(pg_relation_filenode(k.oid), 0)::oid,
               EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = k.oid AND g.tgname = '{JoinGuard.Trigger}')
        FROM pg_publication p
        JOIN pg_publication_rel r ON r.prpubid = p.oid
        JOIN pg_class c ON c.oid = r.prrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        CROSS JOIN LATERAL (SELECT c.oid UNION SELECT relid FROM pg_partition_tree(c.oid)) AS part(oid)
        JOIN pg_class k ON k.oid = part.oid JOIN pg_namespace s ON s.oid = k.relnamespace
        WHERE p.pubname = '{PostgresNames.Publication}' AND k.relkind IN ('r', 'p')
        ORDER BY s.nspname COLLATE "C", k.relname COLLATE "C"
        """;

    public bool IsRoot => Name == Root;

    /// <summary>About how many rows it has, without its partitions' of it.</summary>
    public long Rows { get; init; }

    /// <summary>How large it is on disk, likewise; without indexes.</summary>
    public long Bytes { get; init; }

    /// <summary>Its file, as the transaction's snapshot shows the catalog.</summary>
    public uint FileShown { get; init; }

    /// <summary>Its file now.</summary>
    public uint File { get; init; }

    /// <summary>Whether <see cref="JoinGuard"/> is on it.</summary>
    public bool IsGuarded { get; init; }

    /// <summary>As it stands in SQL where its partitions are meant with it, and children by inheritance, which set-up refuses, are not.</summary>
    public string Target => (HasRows ? "ONLY " : "") + PostgresNames.Quote(Name);

    public static async Task<IReadOnlyList<ReplicatedRelation>> ReadAllAsync(NpgsqlConnection connection, ReplicatedTables rules, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(Sql, connection);
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        var relations = new List<ReplicatedRelation>();
        while (await reader.ReadAsync(cancellationToken))
        {
            var root = new TableName(reader.GetString(3), reader.GetString(4));
            if (!rules.Contains(root)) continue;
            relations.Add(new(reader.GetFieldValue<uint>(0), new TableName(reader.GetString(1), reader.GetString(2)), root, reader.GetBoolean(5))
            {
                Rows = (long)Math.Max(0, reader.GetDouble(6)),
                Bytes = reader.GetInt64(7),
                FileShown = reader.GetFieldValue<uint>(8),
                File = reader.GetFieldValue<uint>(9),
                IsGuarded = reader.GetBoolean(10),
            });
        }

        return relations;
    }
}
