using System.Text;
using ActiveActive.Changes;
using Npgsql;

namespace ActiveActive.Database.Postgres;

/// <summary>A secondary unique index, as the catalog describes it.</summary>
/// <param name="IsImmediate">Checked as each row is written; else by a trigger, which does not fire for an applier.</param>
/// <param name="NullsNotDistinct">Whether nulls are equal.</param>
/// <param name="Predicate">Of a partial index; null for a whole one.</param>
/// <param name="Keys">Its columns and expressions, as SQL with column names that are not qualified.</param>
/// <param name="Operators">The equality of each, <c>schema.operator</c>.</param>
/// <param name="Collations">The collation of each, <c>schema.collation</c>; empty where its type has none.</param>
/// <param name="Partition">The partition that has it alone, quoted; null where the whole table has it.</param>
/// <param name="PartitionConstraint">Which rows of the table that partition holds.</param>
internal sealed record UniqueIndex(
    bool IsImmediate, bool NullsNotDistinct, string? Predicate, string[] Keys, string[] Operators, string[] Collations, string? Partition, string? PartitionConstraint)
{
    /// <summary>Which rows of the table it holds.</summary>
    public string Holds => PartitionConstraint is null ? Predicate ?? "true" : $"({PartitionConstraint}) AND ({Predicate ?? "true"})";
}

/// <summary>
/// Finds rows that share a value of a secondary unique key: several indexes, on columns or expressions, partial or not, of the table or of a partition. The server computes and compares
/// all values itself, from the index's own definition.
/// </summary>
internal sealed class UniqueKeys
{
    private const string IndexQuery =
        """
        SELECT i.indimmediate, i.indnullsnotdistinct, pg_get_expr(i.indpred, i.indrelid),
               ARRAY(SELECT pg_get_indexdef(i.indexrelid, k, false) FROM generate_series(1, i.indnkeyatts) k ORDER BY k),
               ARRAY(SELECT format('%I.%s', s.nspname, o.oprname)
                     FROM unnest(i.indclass::oid[]) WITH ORDINALITY AS k(opclass, place)
                     JOIN pg_opclass c ON c.oid = k.opclass
                     JOIN pg_amop p ON p.amopfamily = c.opcfamily AND p.amoplefttype = c.opcintype AND p.amoprighttype = c.opcintype
                                   AND p.amopstrategy = 3 AND p.amoppurpose = 's'
                     JOIN pg_operator o ON o.oid = p.amopopr
                     JOIN pg_namespace s ON s.oid = o.oprnamespace
                     ORDER BY k.place),
               ARRAY(SELECT CASE WHEN l.oid IS NULL THEN '' ELSE format('%I.%I', s.nspname, l.collname) END
                     FROM unnest(i.indcollation::oid[]) WITH ORDINALITY AS k(id, place)
                     LEFT JOIN pg_collation l ON l.oid = k.id
                     LEFT JOIN pg_namespace s ON s.oid = l.collnamespace
                     ORDER BY k.place),
               CASE WHEN i.indrelid <> $1::regclass THEN format('%I.%I', n.nspname, p.relname) END,
               CASE WHEN i.indrelid <> $1::regclass THEN COALESCE(pg_get_partition_constraintdef(i.indrelid), 'true') END
        FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am m ON m.oid = x.relam
        JOIN pg_class p ON p.oid = i.indrelid JOIN pg_namespace n ON n.oid = p.relnamespace
        WHERE i.indrelid IN (SELECT $1::regclass UNION SELECT relid FROM pg_partition_tree($1::regclass))
          AND i.indisunique AND NOT i.indisprimary AND i.indisready AND m.amname = 'btree'
          AND NOT EXISTS (SELECT FROM pg_inherits h WHERE h.inhrelid = i.indexrelid)
        ORDER BY i.indexrelid
        """;

    private const string GeneratedQuery =
        """
        SELECT quote_ident(a.attname), pg_get_expr(d.adbin, d.adrelid)
        FROM pg_attribute a JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE a.attrelid = $1::regclass AND a.attgenerated = 's' AND NOT a.attisdropped
        """;

    private readonly LocalTable _table;
    private readonly IReadOnlyList<UniqueIndex> _indexes;
    private readonly string _sql;

    public UniqueKeys(LocalTable table, string target, IReadOnlyList<UniqueIndex> indexes, IReadOnlyList<(string Name, string Expression)> generated, Func<int, string, string> fromText)
    {
        _table = table;
        _indexes = indexes;
        _sql = "";
        if (indexes.Count == 0) return;
        // A name with a space in it is nobody's, so that the columns' own names can stand without a qualifier.
        var columns = string.Join(", ", table.Columns.Select((c, i) => $"{fromText(i, $"(x.row ->> {Literal(c.Name)})")} AS {PostgresNames.Quote(c.Name)}"));
        var computed = string.Concat(generated.Select(g => $", ({g.Expression}) AS {g.Name}"));
        string Values(string source) => $"SELECT r.\"aa id\"{IndexValues()} FROM (SELECT r.*{computed} FROM (SELECT x.id AS \"aa id\", {columns} FROM ({source}) x) r) r";
        var asked = $"WITH u AS MATERIALIZED ({Values("SELECT e.ord - 1 AS id, e.value AS row FROM json_array_elements(@rows::json) WITH ORDINALITY AS e(value, ord)")})";
        var key = string.Join(", ", table.KeyOrdinals.Select(i => "t." + PostgresNames.Quote(table.Columns[i].Name)));
        var visible = string.Join(" UNION ALL ", indexes.Select((index, k) => $"SELECT {key} FROM {index.Partition ?? target} AS t WHERE {MatchesTable(k)}"));
        _sql =
            $"""
            {asked} SELECT u."aa id", f.* FROM u CROSS JOIN LATERAL ({visible}) f;
            {asked}, l AS MATERIALIZED ({Values("SELECT s.key AS id, s.row::json AS row FROM active_active.unique_loser s WHERE s.table_name = @table")})
            SELECT u."aa id", l."aa id" FROM u JOIN l ON {Match("u", "l")};
            {asked} SELECT a."aa id", b."aa id" FROM u a JOIN u b ON a."aa id" < b."aa id" AND ({Match("a", "b")})
            """;
    }

    /// <summary>Whether the table has none any more: nothing clashes.</summary>
    public bool IsEmpty => _indexes.Count == 0;

    public static async ValueTask<IReadOnlyList<UniqueIndex>> ReadAsync(string table, NpgsqlConnection connection, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(IndexQuery, connection);
        command.Parameters.Add(SqlParameters.Text(table));
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        var indexes = new List<UniqueIndex>();
        while (await reader.ReadAsync(cancellationToken))
        {
            indexes.Add(new UniqueIndex(reader.GetBoolean(0), reader.GetBoolean(1), reader.IsDBNull(2) ? null : reader.GetString(2),
                reader.GetFieldValue<string[]>(3), reader.GetFieldValue<string[]>(4), reader.GetFieldValue<string[]>(5),
                reader.IsDBNull(6) ? null : reader.GetString(6), reader.IsDBNull(7) ? null : reader.GetString(7)));
        }

        return indexes;
    }

    public static async ValueTask<IReadOnlyList<(string Name, string Expression)>> ReadGeneratedAsync(string table, NpgsqlConnection connection, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(GeneratedQuery, connection);
        command.Parameters.Add(SqlParameters.Text(table));
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        var columns = new List<(string, string)>();
        while (await reader.ReadAsync(cancellationToken)) columns.Add((reader.GetString(0), reader.GetString(1)));
        return columns;
    }

    /// <param name="rows">Rows in the table's column order.</param>
    /// <param name="connection">The session's.</param>
    /// <param name="prefix">A statement to send ahead, ending in a semicolon; or empty.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    public async ValueTask<UniqueClashes> FindAsync(IReadOnlyList<ColumnValue[]> rows, NpgsqlConnection connection, string prefix, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(prefix + _sql, connection) { AllResultTypesAreUnknown = true };
        command.Parameters.Add(new NpgsqlParameter { ParameterName = "rows", NpgsqlDbType = NpgsqlTypes.NpgsqlDbType.Text, Value = RowText.WriteAll(_table, rows) });
        command.Parameters.Add(new NpgsqlParameter { ParameterName = "table", NpgsqlDbType = NpgsqlTypes.NpgsqlDbType.Text, Value = _table.Name.ToString() });
        var stored = new List<(int, RowKey)>();
        var pairs = new List<(int, int)>();
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        while (await reader.ReadAsync(cancellationToken))
        {
            var values = new string[_table.KeyOrdinals.Count];
            for (var i = 0; i < values.Length; i++) values[i] = reader.GetString(i + 1);
            Add(new RowKey(_table.Name, values));
        }

        await reader.NextResultAsync(cancellationToken);
        while (await reader.ReadAsync(cancellationToken)) Add(new RowKey(_table.Name, KeyText.Read(reader.GetString(1))));
        await reader.NextResultAsync(cancellationToken);
        while (await reader.ReadAsync(cancellationToken)) pairs.Add((Number(reader, 0), Number(reader, 1)));
        return new UniqueClashes(stored, pairs);

        void Add(RowKey key)
        {
            var row = Number(reader, 0);
            for (var i = 0; i < key.Values.Count; i++)
            {
                if (rows[row][_table.KeyOrdinals[i]].Text == key.Values[i]) continue;
                stored.Add((row, key));
                return;
            }
        }
    }

    private static int Number(NpgsqlDataReader reader, int column) => int.Parse(reader.GetString(column), System.Globalization.CultureInfo.InvariantCulture);

    private static string Literal(string text) => $"'{text.Replace("'", "''", StringComparison.Ordinal)}'";

    /// <summary>For each index the value of each key, and whether the index holds the row, over a relation that has the table's columns.</summary>
    private string IndexValues()
    {
        var sql = new StringBuilder();
        for (var k = 0; k < _indexes.Count; k++)
        {
            sql.Append($", ({_indexes[k].Holds}) AS \"aa p{k}\"");
            for (var j = 0; j < _indexes[k].Keys.Length; j++) sql.Append($", {KeyOf(k, j)} AS \"aa v{k} {j}\"");
        }

        return sql.ToString();
    }

    private string KeyOf(int index, int key)
    {
        var (expression, collation) = (_indexes[index].Keys[key], _indexes[index].Collations[key]);
        return collation.Length == 0 ? $"({expression})" : $"({expression}) COLLATE {collation}";
    }

    // Written as the index has it, so that the server can use it.
    private string MatchesTable(int k) => $"u.\"aa p{k}\" AND ({_indexes[k].Predicate ?? "true"}) AND "
        + string.Join(" AND ", _indexes[k].Keys.Select((_, j) => Equal(k, j, KeyOf(k, j), $"u.\"aa v{k} {j}\"")));

    private string Match(string left, string right) => string.Join(" OR ", _indexes.Select((index, k) => $"({left}.\"aa p{k}\" AND {right}.\"aa p{k}\" AND "
        + string.Join(" AND ", index.Keys.Select((_, j) => Equal(k, j, $"{left}.\"aa v{k} {j}\"", $"{right}.\"aa v{k} {j}\""))) + ")"));

    private string Equal(int k, int j, string left, string right)
    {
        var equal = $"{left} OPERATOR({_indexes[k].Operators[j]}) {right}";
        return _indexes[k].NullsNotDistinct ? $"({equal} OR ({left} IS NULL AND {right} IS NULL))" : equal;
    }
}
