using System.Runtime.CompilerServices;
using Npgsql;

namespace ActiveActive.Database.Postgres;

/// <summary>
/// Looks for rows of replicated tables whose foreign key names a missing row. The answer is a function of the rows alone, so nodes with equal rows
/// give equal answers.
/// </summary>
internal static class ForeignKeyCheck
{
    // A foreign key of a partitioned table is there once more for each partition (conparentid). NOT ENFORCED exists from PostgreSQL 18 on.
    private const string ForeignKeys =
        """
        SELECT n.nspname::text, c.relname::text, k.conname::text, m.nspname::text, p.relname::text, k.confmatchtype = 'f',
               (SELECT array_agg(a.attname::text ORDER BY x.place) FROM unnest(k.conkey) WITH ORDINALITY AS x(number, place)
                JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = x.number),
               (SELECT array_agg(a.attname::text ORDER BY x.place) FROM unnest(k.confkey) WITH ORDINALITY AS x(number, place)
                JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = x.number),
               (SELECT array_agg(format('OPERATOR(%I.%s)', s.nspname, o.oprname) ORDER BY x.place) FROM unnest(k.conpfeqop) WITH ORDINALITY AS x(id, place)
                JOIN pg_operator o ON o.oid = x.id JOIN pg_namespace s ON s.oid = o.oprnamespace),
               ARRAY(SELECT a.attname::text FROM pg_index i CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS x(number, place)
                     JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = x.number
                     WHERE i.indrelid = k.conrelid AND i.indisprimary AND x.place <= i.indnkeyatts ORDER BY x.place)
        FROM pg_constraint k
        JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_class p ON p.oid = k.confrelid JOIN pg_namespace m ON m.oid = p.relnamespace
        WHERE k.contype = 'f' AND k.conparentid = 0 AND COALESCE((to_jsonb(k) ->> 'conenforced')::boolean, true)
          AND EXISTS (SELECT FROM pg_publication_rel r JOIN pg_publication u ON u.oid = r.prpubid
                      WHERE u.pubname = $1 AND k.conrelid IN (r.prrelid, pg_partition_root(r.prrelid)))
        ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C", k.conname COLLATE "C"
        """;

    /// <summary>At most so many, by table, foreign key and primary key.</summary>
    public static async IAsyncEnumerable<OrphanedRow> FindAsync(NpgsqlConnection connection, int limit, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        foreach (var key in await ReadForeignKeysAsync(connection, cancellationToken))
        {
            await using var command = new NpgsqlCommand(Query(key), connection) { AllResultTypesAreUnknown = true };
            command.Parameters.Add(SqlParameters.Number(limit));
            await using var reader = await command.ExecuteReaderAsync(cancellationToken);
            while (await reader.ReadAsync(cancellationToken))
            {
                limit--;
                yield return new OrphanedRow(
                    key.Table, [.. Enumerable.Range(0, key.PrimaryKey.Length).Select(reader.GetString)], key.Name,
                    [.. Enumerable.Range(key.PrimaryKey.Length, key.Columns.Length).Select(i => reader.IsDBNull(i) ? null : reader.GetString(i))], key.Referenced);
            }

            if (limit == 0) yield break;
        }
    }

    private static async ValueTask<List<ForeignKey>> ReadForeignKeysAsync(NpgsqlConnection connection, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(ForeignKeys, connection);
        command.Parameters.Add(SqlParameters.Text(PostgresNames.Publication));
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        var keys = new List<ForeignKey>();
        while (await reader.ReadAsync(cancellationToken))
        {
            keys.Add(new ForeignKey(
                reader.GetString(2), new TableName(reader.GetString(0), reader.GetString(1)), new TableName(reader.GetString(3), reader.GetString(4)), reader.GetBoolean(5),
                reader.GetFieldValue<string[]>(6), reader.GetFieldValue<string[]>(7), reader.GetFieldValue<string[]>(8), reader.GetFieldValue<string[]>(9)));
        }

        return keys;
    }

    private static string Query(ForeignKey key)
    {
        var primary = key.PrimaryKey.Select(c => $"c.{PostgresNames.Quote(c)}").ToList();
        var columns = key.Columns.Select(c => $"c.{PostgresNames.Quote(c)}").ToList();
        // MATCH SIMPLE asks for nothing where any column is null, MATCH FULL only where all are.
        var asks = string.Join(key.IsMatchFull ? " OR " : " AND ", columns.Select(c => $"{c} IS NOT NULL"));
        var matches = string.Join(" AND ", columns.Select((c, i) => $"p.{PostgresNames.Quote(key.ReferencedColumns[i])} {key.Operators[i]} {c}"));
        return $"""
            SELECT {string.Join(", ", primary.Concat(columns))} FROM {PostgresNames.Quote(key.Table)} AS c
            WHERE ({asks}) AND NOT EXISTS (SELECT FROM {PostgresNames.Quote(key.Referenced)} AS p WHERE {matches})
            ORDER BY {string.Join(", ", primary.Count > 0 ? primary : columns)} LIMIT $1
            """;
    }

    private sealed record ForeignKey(
        string Name, TableName Table, TableName Referenced, bool IsMatchFull, string[] Columns, string[] ReferencedColumns, string[] Operators, string[] PrimaryKey);
}
