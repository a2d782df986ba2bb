using System.Text;
using ActiveActive.Changes;
using Npgsql;

namespace ActiveActive.Database.Postgres;

/// <summary>How one column of a primary key is compared.</summary>
/// <param name="Ordinal">The column in <see cref="LocalTable.Columns"/>.</param>
/// <param name="CastType">Its type without modifiers: a cast with modifiers cuts or rounds, and would find another row.</param>
/// <param name="EqualOperator">The key index's own equality, <c>schema.operator</c>: extension types are not in the search path.</param>
/// <param name="HasTextCast">A cast from text is a function, which may not read what the type writes: regclass's refuses "-".</param>
internal sealed record KeyColumn(int Ordinal, string CastType, string EqualOperator, bool HasTextCast)
{
    /// <summary>An expression of type text as a value of the column's type, read by the type's input function.</summary>
    public string FromText(string text) => HasTextCast ? $"((ARRAY[{text}]::text)::{CastType}[])[1]" : $"{text}::{CastType}";
}

/// <summary>The texts of the statements on one local table. Texts repeat exactly, so that Npgsql prepares them.</summary>
internal sealed class ApplyStatements
{
    private readonly LocalTable _table;
    private readonly IReadOnlyList<KeyColumn> _key;
    private readonly Dictionary<string, string> _inserts = new(StringComparer.Ordinal);
    private readonly Dictionary<string, string> _updates = new(StringComparer.Ordinal);
    private readonly string _reads;

    public ApplyStatements(LocalTable table, IReadOnlyList<KeyColumn> key, bool isPartitioned)
    {
        _table = table;
        _key = key;
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
