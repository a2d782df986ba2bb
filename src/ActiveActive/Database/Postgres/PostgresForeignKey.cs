using Npgsql;

namespace ActiveActive.Database.Postgres;

/// <summary>A foreign key with what SQL needs of it.</summary>
internal sealed record PostgresForeignKey : ForeignKey
{
    // A foreign key of a partitioned table is there once more for each partition (conparentid). NOT ENFORCED and PERIOD exist from PostgreSQL 18 on; a
    // temporal key asks for a span that several rows can cover.
    private const string Query =
        """
        SELECT n.nspname::text, c.relname::text, k.conname::text, m.nspname::text, p.relname::text, s.nspname::text, r.relname::text, k.confmatchtype = 'f',
               (SELECT array_agg(a.attname::text ORDER BY x.place) FROM unnest(k.conkey) WITH ORDINALITY AS x(number, place)
                JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = x.number),
               (SELECT array_agg(format_type(a.atttypid, -1) ORDER BY x.place) FROM unnest(k.conkey) WITH ORDINALITY AS x(number, place)
                JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = x.number),
               (SELECT array_agg(a.attname::text ORDER BY x.place) FROM unnest(k.confkey) WITH ORDINALITY AS x(number, place)
                JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = x.number),
               (SELECT array_agg(format('OPERATOR(%I.%s)', o.nspname, o.oprname) ORDER BY x.place) FROM unnest(k.conpfeqop) WITH ORDINALITY AS x(id, place)
                JOIN (SELECT q.oid, q.oprname, w.nspname FROM pg_operator q JOIN pg_namespace w ON w.oid = q.oprnamespace) o ON o.oid = x.id),
               (SELECT array_agg(format('OPERATOR(%I.%s)', o.nspname, o.oprname) ORDER BY x.place) FROM unnest(k.conffeqop) WITH ORDINALITY AS x(id, place)
                JOIN (SELECT q.oid, q.oprname, w.nspname FROM pg_operator q JOIN pg_namespace w ON w.oid = q.oprnamespace) o ON o.oid = x.id),
               ARRAY(SELECT a.attname::text FROM pg_index i CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS x(number, place)
                     JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = x.number
                     WHERE i.indrelid = k.conrelid AND i.indisprimary AND x.place <= i.indnkeyatts ORDER BY x.place),
               ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY AS x(number, place) JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = x.number
                     WHERE NOT a.attnotnull AND a.attgenerated = ''
                       AND (coalesce(cardinality(k.confdelsetcols), 0) = 0 OR a.attnum = ANY (k.confdelsetcols)) ORDER BY x.place)
        FROM pg_constraint k
        JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_class p ON p.oid = k.confrelid JOIN pg_namespace m ON m.oid = p.relnamespace
        JOIN pg_class r ON r.oid = coalesce(pg_partition_root(k.confrelid), k.confrelid) JOIN pg_namespace s ON s.oid = r.relnamespace
        WHERE k.contype = 'f' AND k.conparentid = 0 AND NOT c.relispartition
          AND coalesce((to_jsonb(k) ->> 'conenforced')::boolean, true) AND NOT coalesce((to_jsonb(k) ->> 'conperiod')::boolean, false)
        ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C", k.conname COLLATE "C"
        """;

    public required IReadOnlyList<string> PrimaryKey { get; init; }

    /// <summary>The types of the referencing columns, without modifiers.</summary>
    public required IReadOnlyList<string> Types { get; init; }

    /// <summary>By which a referenced column equals a referencing one.</summary>
    public required IReadOnlyList<string> Operators { get; init; }

    /// <summary>By which a referencing column equals another.</summary>
    public required IReadOnlyList<string> OwnOperators { get; init; }

    /// <summary>Those of the tables that take part, by table and name.</summary>
    public static async Task<IReadOnlyList<PostgresForeignKey>> ReadAsync(NpgsqlConnection connection, ReplicatedTables rules, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(Query, connection);
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        var keys = new List<PostgresForeignKey>();
        while (await reader.ReadAsync(cancellationToken))
        {
            var table = new TableName(reader.GetString(0), reader.GetString(1));
            if (!rules.Contains(table)) continue;
            var (name, isMatchFull) = (reader.GetString(2), reader.GetBoolean(7));
            var columns = reader.GetFieldValue<string[]>(8);
            var nullable = reader.GetFieldValue<string[]>(14);
            keys.Add(new PostgresForeignKey
            {
                Table = table,
                Name = name,
                Referenced = new TableName(reader.GetString(3), reader.GetString(4)),
                IsReferencedReplicated = rules.Contains(new TableName(reader.GetString(5), reader.GetString(6))),
                IsMatchFull = isMatchFull,
                Columns = columns,
                Types = reader.GetFieldValue<string[]>(9),
                ReferencedColumns = reader.GetFieldValue<string[]>(10),
                Operators = reader.GetFieldValue<string[]>(11),
                OwnOperators = reader.GetFieldValue<string[]>(12),
                PrimaryKey = reader.GetFieldValue<string[]>(13),
                // Under MATCH FULL nothing is asked for only where all are null.
                NullableColumns = isMatchFull && nullable.Length < columns.Length ? [] : nullable,
                Policy = rules.OrphanRulesOf(table).PolicyOf(name, columns),
            });
        }

        return keys;
    }

    /// <summary>Whether a row that stands in SQL under a name is an orphan.</summary>
    public string IsOrphan(string row)
    {
        var asks = string.Join(IsMatchFull ? " OR " : " AND ", Columns.Select(c => $"{row}.{PostgresNames.Quote(c)} IS NOT NULL"));
        var matches = string.Join(" AND ", Columns.Select((c, i) => $"p.{PostgresNames.Quote(ReferencedColumns[i])} {Operators[i]} {row}.{PostgresNames.Quote(c)}"));
        return $"(({asks}) AND NOT EXISTS (SELECT FROM {PostgresNames.Quote(Referenced)} AS p WHERE {matches}))";
    }

    /// <summary>Finds orphans by primary key, at most $1: the primary key's columns, then the foreign key's.</summary>
    public string FindOrphans()
    {
        var columns = PrimaryKey.Concat(Columns).Select(c => $"c.{PostgresNames.Quote(c)}").ToList();
        var order = columns.Take(PrimaryKey.Count > 0 ? PrimaryKey.Count : columns.Count);
        return $"SELECT {string.Join(", ", columns)} FROM {PostgresNames.Quote(Table)} AS c WHERE {IsOrphan("c")} ORDER BY {string.Join(", ", order)} LIMIT $1";
    }

    /// <summary>Whether a row holds in the foreign key's columns what a found orphan did; parameters are added for the values.</summary>
    public string Holds(string row, IReadOnlyList<string?> values, List<NpgsqlParameter> parameters)
    {
        var conditions = new List<string>();
        for (var i = 0; i < Columns.Count; i++)
        {
            var column = $"{row}.{PostgresNames.Quote(Columns[i])}";
            if (values[i] is { } value)
            {
                parameters.Add(SqlParameters.Text(value));
                conditions.Add($"{column} {OwnOperators[i]} ${parameters.Count}::{Types[i]}");
            }
            else
            {
                conditions.Add($"{column} IS NULL");
            }
        }

        return string.Join(" AND ", conditions);
    }
}
