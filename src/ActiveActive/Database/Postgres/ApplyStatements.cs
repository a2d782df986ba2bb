using System.Text;
using ActiveActive.Changes;
using Npgsql;

namespace ActiveActive.Database.Postgres;

/// <summary>How one column of a primary key is compared.</summary>
/// <param name="Ordinal">The column in <see cref="LocalTable.Columns"/>.</param>
/// <param name="CastType">Its type without modifiers: a cast with modifiers cuts or rounds, and would find another row.</param>
/// <param name="EqualOperator">The key index's own equality, <c>schema.operator</c>: extension types are not in the search path.</param>
/// <param name="HasTextCast">A cast from text is a function, which may not read what the type writes: regclass's refuses "-".</param>
/// <param name="HasArray">Whether an array of its values is taken apart to just them: not where they are arrays themselves.</param>
internal sealed record KeyColumn(int Ordinal, string CastType, string EqualOperator, bool HasTextCast, bool HasArray)
{
    /// <summary>The type of an array of its values, or of their texts.</summary>
    public string ArrayType => HasArray ? CastType + "[]" : "text[]";

    /// <summary>A value out of an array of <see cref="ArrayType"/>.</summary>
    public string FromElement(string element) => HasArray ? element : FromText(element);

    /// <summary>An expression of type text as a value of the column's type, read by the type's input function.</summary>
    public string FromText(string text) => HasTextCast ? $"((ARRAY[{text}]::text)::{CastType}[])[1]" : $"{text}::{CastType}";
}

/// <summary>The texts of the statements on one local table. Texts repeat exactly, so that Npgsql prepares them.</summary>
internal sealed class ApplyStatements
{
    private readonly LocalTable _table;
    private readonly IReadOnlyList<KeyColumn> _key;
    private readonly IReadOnlyList<KeyColumn> _columns;
    private readonly Dictionary<string, string> _inserts = new(StringComparer.Ordinal);
    private readonly Dictionary<string, string> _updates = new(StringComparer.Ordinal);
    private readonly Dictionary<string, string> _manyInserts = new(StringComparer.Ordinal);
    private readonly Dictionary<string, string> _manyUpdates = new(StringComparer.Ordinal);
    private readonly Dictionary<string, string> _manyDeletes = new(StringComparer.Ordinal);
    private readonly string _reads;

    /// <param name="table">The table.</param>
    /// <param name="key">The primary key's columns, in its order.</param>
    /// <param name="columns">All columns of <see cref="LocalTable.Columns"/>; only those of the key have an operator.</param>
    /// <param name="isPartitioned">Whether it is a partition root.</param>
    public ApplyStatements(LocalTable table, IReadOnlyList<KeyColumn> key, IReadOnlyList<KeyColumn> columns, bool isPartitioned)
    {
        _table = table;
        _key = key;
        _columns = columns;
        // Tables that inherit from an ordinary table are tables of their own.
        Target = (isPartitioned ? "" : "ONLY ") + PostgresNames.Quote(table.Name);
        IsPartitioned = isPartitioned;

        // The stamp is computed in the select list and not joined: after a lock wait PostgreSQL evaluates the list again for the
        // row version that it locked, but keeps the joined rows.
        var stamp = VersionSql.Microseconds("(pg_xact_commit_timestamp_origin(t.xmin)).\"timestamp\"");
        _reads = $"SELECT k.ord, t.xmin, t.xmin = pg_current_xact_id_if_assigned()::xid, {stamp}, "
            + $"(pg_xact_commit_timestamp_origin(t.xmin)).roident, t.tableoid, pg_relation_filenode(t.tableoid), {string.Join(", ", table.Columns.Select(c => "t." + PostgresNames.Quote(c.Name)))} FROM unnest(";
    }

    /// <summary>The table as it stands in FROM, UPDATE, DELETE and TRUNCATE.</summary>
    public string Target { get; }

    public bool IsPartitioned { get; }

    /// <summary>Columns before the table's own in a row read.</summary>
    public const int LeadingColumns = 7;

    /// <summary>Reads (and locks) rows in the order of the keys; one text array per key column, named prefix0, prefix1, …</summary>
    public string ReadKeys(string prefix, bool isLocking)
    {
        var sql = new StringBuilder(_reads);
        for (var i = 0; i < _key.Count; i++) sql.Append(i == 0 ? "" : ", ").Append('@').Append(prefix).Append(i);
        sql.Append(") WITH ORDINALITY AS k(");
        for (var i = 0; i < _key.Count; i++) sql.Append('k').Append(i).Append(", ");
        return sql.Append("ord) JOIN ").Append(Target).Append(" AS t ON ").Append(KeyMatches("t", i => _key[i].FromText($"k.k{i}")))
            .Append(" ORDER BY k.ord").Append(isLocking ? " FOR UPDATE OF t" : "").ToString();
    }

    public NpgsqlBatchCommand Insert(ColumnValue[] values)
    {
        var (mask, parameters) = Set(values, includeIdentity: true);
        if (!_inserts.TryGetValue(mask, out var sql))
        {
            var columns = Columns(mask).ToList();
            sql = columns.Count == 0
                ? $"INSERT INTO {PostgresNames.Quote(_table.Name)} DEFAULT VALUES"
                : $"INSERT INTO {PostgresNames.Quote(_table.Name)} ({string.Join(", ", columns)}) OVERRIDING SYSTEM VALUE VALUES ({string.Join(", ", columns.Select((_, i) => $"${i + 1}"))})";
            _inserts.Add(mask, sql);
        }

        return Command(sql, parameters);
    }

    /// <summary>
    /// Null where the table's only column is GENERATED ALWAYS AS IDENTITY, which no UPDATE can set: the caller replaces the row.
    /// </summary>
    public NpgsqlBatchCommand? Update(RowKey key, ColumnValue[] values)
    {
        if (SetsIdentity(values)) return Replace(key, values);
        var (mask, parameters) = Set(values, includeIdentity: false);
        if (!_updates.TryGetValue(mask, out var sql))
        {
            var set = string.Join(", ", Columns(mask).Select((c, i) => $"{c} = ${i + 1}"));
            if (set.Length == 0)
            {
                // Nothing changes but the row's version.
                var any = _table.Columns.FirstOrDefault(c => !c.IsIdentityAlways);
                if (any is null) return null;
                set = $"{PostgresNames.Quote(any.Name)} = t.{PostgresNames.Quote(any.Name)}";
            }

            var first = parameters.Count + 1;
            sql = $"UPDATE {Target} AS t SET {set} WHERE {KeyMatches("t", i => Parameter(first, i))}";
            _updates.Add(mask, sql);
        }

        foreach (var value in key.Values) parameters.Add(SqlParameters.Text(value));
        return Command(sql, parameters);
    }

    // UPDATE … SET identity = DEFAULT gives the origin a new value, which no UPDATE can set here and an INSERT can: the row is taken out
    // and put back in one statement, so that what does not change need not be known.
    private NpgsqlBatchCommand Replace(RowKey key, ColumnValue[] values)
    {
        var (mask, parameters) = Set(values, includeIdentity: true);
        if (!_updates.TryGetValue(mask, out var sql))
        {
            var number = 0;
            var columns = _table.Columns.Select(c => PostgresNames.Quote(c.Name)).ToList();
            var row = columns.Select((c, i) => mask[i] == '1' ? $"${++number}" : $"old.{c}").ToList();
            sql = $"WITH old AS (DELETE FROM {Target} AS t WHERE {KeyMatches("t", i => Parameter(parameters.Count + 1, i))} RETURNING t.*) "
                + $"INSERT INTO {PostgresNames.Quote(_table.Name)} ({string.Join(", ", columns)}) OVERRIDING SYSTEM VALUE SELECT {string.Join(", ", row)} FROM old";
            _updates.Add(mask, sql);
        }

        foreach (var value in key.Values) parameters.Add(SqlParameters.Text(value));
        return Command(sql, parameters);
    }

    private bool SetsIdentity(ColumnValue[] values)
    {
        for (var i = 0; i < values.Length; i++)
        {
            if (_table.Columns[i].IsIdentityAlways && !values[i].IsUnchanged) return true;
        }

        return false;
    }

    /// <summary>Which columns a write sets; rows with the same mask can be written by one statement.</summary>
    /// <param name="values">What it sets.</param>
    /// <param name="last">The mask of the row before, which it nearly always is.</param>
    public static string MaskOf(ColumnValue[] values, ref string last)
    {
        var isLast = last.Length == values.Length;
        for (var i = 0; isLast && i < values.Length; i++) isLast = last[i] == MaskOf(values[i]);
        return isLast ? last : last = string.Create(values.Length, values, static (span, values) =>
        {
            for (var i = 0; i < span.Length; i++) span[i] = MaskOf(values[i]);
        });
    }

    private static char MaskOf(ColumnValue value) => value.IsUnchanged ? '0' : '1';

    /// <summary>Whether an update can be one of many: it sets no identity column, and some column that can be set.</summary>
    public bool CanUpdateMany(ColumnValue[] values) => !SetsIdentity(values) && _table.Columns.Any(static c => !c.IsIdentityAlways);

    /// <summary>What a statement for many rows of one mask is given. Touches nothing of the statements themselves.</summary>
    /// <param name="mask">Which columns the rows set; empty where they are deleted.</param>
    /// <param name="keys">Their keys; null where they are inserted.</param>
    /// <param name="rows">Their values.</param>
    /// <param name="literals">Holds the values until the statement is executed.</param>
    public List<NpgsqlParameter> Parameters(string mask, IReadOnlyList<RowKey>? keys, IReadOnlyList<ColumnValue[]> rows, ArrayLiterals literals)
    {
        var parameters = new List<NpgsqlParameter>();
        for (var i = 0; keys is not null && i < _key.Count; i++) parameters.Add(literals.Of(keys, i));
        foreach (var ordinal in Ordinals(mask)) parameters.Add(literals.Of(rows, ordinal));
        return parameters;
    }

    /// <summary>Inserts rows of one mask, which sets a column, from <see cref="CopyLines"/>.</summary>
    public string CopyIn(string mask) => $"COPY {PostgresNames.Quote(_table.Name)} ({string.Join(", ", Columns(mask))}) FROM STDIN";

    /// <summary>Inserts rows of one mask, which sets a column.</summary>
    public NpgsqlBatchCommand InsertMany(string mask, List<NpgsqlParameter> parameters)
    {
        if (!_manyInserts.TryGetValue(mask, out var sql))
        {
            var set = Ordinals(mask);
            sql = $"INSERT INTO {PostgresNames.Quote(_table.Name)} ({string.Join(", ", Columns(mask))}) OVERRIDING SYSTEM VALUE "
                + $"SELECT {string.Join(", ", set.Select((ordinal, i) => _columns[ordinal].FromElement($"u.c{i}")))} FROM {Unnest(set.Select(ordinal => _columns[ordinal]))}";
            _manyInserts.Add(mask, sql);
        }

        return Command(sql, parameters);
    }

    /// <summary>Updates rows that exist, of one mask and each under its own key.</summary>
    /// <param name="mask">Which columns the rows set.</param>
    /// <param name="parameters">Their keys and values.</param>
    /// <param name="guard">What the rows must be like besides; null for nothing.</param>
    public NpgsqlBatchCommand UpdateMany(string mask, List<NpgsqlParameter> parameters, SeenGuard? guard)
    {
        var text = mask + Suffix(guard);
        if (!_manyUpdates.TryGetValue(text, out var sql))
        {
            var set = Ordinals(mask);
            // Where nothing is set, nothing changes but the rows' versions.
            var any = PostgresNames.Quote(_table.Columns.First(static c => !c.IsIdentityAlways).Name);
            var assigned = set.Count == 0 ? $"{any} = t.{any}" : string.Join(", ", set.Select((ordinal, i) => $"{PostgresNames.Quote(_table.Columns[ordinal].Name)} = {_columns[ordinal].FromElement($"u.c{_key.Count + i}")}"));
            sql = $"UPDATE {Target} AS t SET {assigned} FROM {Unnest([.. _key, .. set.Select(ordinal => _columns[ordinal])])} WHERE {KeyMatches("t", i => _key[i].FromElement($"u.c{i}"))}{And(guard, _key.Count + set.Count)}";
            _manyUpdates.Add(text, sql);
        }

        return Command(sql, [.. parameters, .. guard?.Parameters() ?? []]);
    }

    /// <param name="parameters">The keys of rows that exist.</param>
    /// <param name="guard">What the rows must be like besides; null for nothing.</param>
    public NpgsqlBatchCommand DeleteMany(List<NpgsqlParameter> parameters, SeenGuard? guard)
    {
        var text = Suffix(guard);
        if (!_manyDeletes.TryGetValue(text, out var sql))
        {
            sql = $"DELETE FROM {Target} AS t USING {Unnest(_key)} WHERE {KeyMatches("t", i => _key[i].FromElement($"u.c{i}"))}{And(guard, _key.Count)}";
            _manyDeletes.Add(text, sql);
        }

        return Command(sql, [.. parameters, .. guard?.Parameters() ?? []]);
    }

    private static string Suffix(SeenGuard? guard) => guard is null ? "" : guard.HasUnseen ? " unseen" : " seen";

    private static string And(SeenGuard? guard, int parameters) => guard is null ? "" : " AND " + guard.Sql(parameters + 1);

    private static string Unnest(IEnumerable<KeyColumn> columns)
    {
        var all = columns.ToList();
        return $"unnest({string.Join(", ", all.Select(static (c, i) => $"${i + 1}::{c.ArrayType}"))}) AS u({string.Join(", ", all.Select(static (_, i) => $"c{i}"))})";
    }

    /// <summary>Of the columns that a mask sets.</summary>
    public static List<int> Ordinals(string mask) => [.. Enumerable.Range(0, mask.Length).Where(i => mask[i] == '1')];

    public NpgsqlBatchCommand Delete(RowKey key) =>
        Command($"DELETE FROM {Target} AS t WHERE {KeyMatches("t", i => Parameter(1, i))}", [.. key.Values.Select(SqlParameters.Text)]);

    /// <summary>Whether the row under a key exists, its key's values being parameters from <paramref name="first"/> on.</summary>
    public string Exists(int first) => $"EXISTS (SELECT FROM {Target} AS t WHERE {KeyMatches("t", i => Parameter(first, i))})";

    /// <summary>The key's columns, in its order.</summary>
    public string KeyOf(string row) => string.Join(", ", _key.Select(k => $"{row}.{PostgresNames.Quote(_table.Columns[k.Ordinal].Name)}"));

    /// <summary>Whether a stored key text (a JSON array) names the row.</summary>
    public string MatchesStoredKey(string row, string key) => KeyMatches(row, i => _key[i].FromText($"({key}::json ->> {i})"));

    // An untyped parameter is read by the input function, whatever casts there are.
    private string Parameter(int first, int key) => $"${first + key}::{_key[key].CastType}";

    private string KeyMatches(string row, Func<int, string> value) => string.Join(" AND ", _key.Select((k, i) =>
        $"{row}.{PostgresNames.Quote(_table.Columns[k.Ordinal].Name)} OPERATOR({k.EqualOperator}) {value(i)}"));

    private (string Mask, List<NpgsqlParameter> Parameters) Set(ColumnValue[] values, bool includeIdentity)
    {
        var parameters = new List<NpgsqlParameter>(values.Length + _key.Count);
        var mask = string.Create(values.Length, (values, _table, includeIdentity, parameters), static (span, state) =>
        {
            for (var i = 0; i < span.Length; i++)
            {
                var isSet = !state.values[i].IsUnchanged && (state.includeIdentity || !state._table.Columns[i].IsIdentityAlways);
                span[i] = isSet ? '1' : '0';
                if (isSet) state.parameters.Add(SqlParameters.Text(state.values[i].Text));
            }
        });
        return (mask, parameters);
    }

    private IEnumerable<string> Columns(string mask) =>
        Enumerable.Range(0, mask.Length).Where(i => mask[i] == '1').Select(i => PostgresNames.Quote(_table.Columns[i].Name));

    private static NpgsqlBatchCommand Command(string sql, List<NpgsqlParameter> parameters)
    {
        var command = new NpgsqlBatchCommand(sql);
        foreach (var parameter in parameters) command.Parameters.Add(parameter);
        return command;
    }
}
