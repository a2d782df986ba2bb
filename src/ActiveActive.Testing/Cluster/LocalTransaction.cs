using System.Globalization;
using ActiveActive.Changes;
using ActiveActive.Database;
using ActiveActive.Testing.Database;

namespace ActiveActive.Testing;

/// <summary>
/// A transaction of the application on an <see cref="InMemoryNode"/>: READ COMMITTED, with row locks as in PostgreSQL. Values are PostgreSQL's
/// text output, as in <see cref="Row"/>. One caller at a time.
/// </summary>
public sealed class LocalTransaction
{
    private readonly InMemoryDatabase _database;
    private readonly InMemoryTransaction _transaction;

    internal LocalTransaction(InMemoryDatabase database, InMemoryTransaction transaction)
    {
        _database = database;
        _transaction = transaction;
    }

    /// <summary>Inserts a row; a column that is not named becomes NULL.</summary>
    /// <returns>False where the key is taken.</returns>
    public Task<bool> InsertAsync(string table, params ReadOnlySpan<(string Column, string? Text)> columns) => InsertAsync(table, Row.Of(columns));

    /// <summary>Inserts a row; a column that is not named becomes NULL.</summary>
    /// <returns>False where the key is taken.</returns>
    public async Task<bool> InsertAsync(string table, Row row)
    {
        var target = _database.Table(table);
        return await _transaction.InsertAsync(target, ValuesOf(target, row));
    }

    /// <summary>Sets columns of the row whose key the key columns name.</summary>
    /// <returns>False where there is no such row.</returns>
    public Task<bool> UpdateAsync(string table, params ReadOnlySpan<(string Column, string? Text)> columns) => UpdateAsync(table, Row.Of(columns));

    /// <summary>Sets columns of the row whose key the key columns name.</summary>
    /// <returns>False where there is no such row.</returns>
    public Task<bool> UpdateAsync(string table, Row row)
    {
        ArgumentNullException.ThrowIfNull(row);
        return UpdateAsync(table, [.. _database.Table(table).KeyOrdinals.Select(i => row[_database.Table(table).Columns[i].Name] ?? "")], row);
    }

    /// <summary>Sets columns, also those of the key, of the row under a key.</summary>
    /// <returns>False where there is no such row, or where the new key is taken.</returns>
    public async Task<bool> UpdateAsync(string table, IReadOnlyList<string> key, Row row)
    {
        var target = _database.Table(table);
        return await _transaction.UpdateAsync(target, KeyOf(target, key), ValuesOf(target, row));
    }

    /// <summary>Adds to a number, as <c>SET column = column + amount</c> does: under the row's lock.</summary>
    /// <returns>False where there is no such row.</returns>
    public async Task<bool> AddAsync(string table, string column, decimal amount, params string[] key)
    {
        if (await ReadForUpdateAsync(table, key) is not { } row) return false;
        var sum = decimal.Parse(row[column] ?? "0", CultureInfo.InvariantCulture) + amount;
        return await UpdateAsync(table, key, Row.Of((column, sum.ToString(CultureInfo.InvariantCulture))));
    }

    /// <summary>Deletes the row under a key.</summary>
    /// <returns>False where there is none.</returns>
    public async Task<bool> DeleteAsync(string table, params string[] key)
    {
        var target = _database.Table(table);
        return await _transaction.DeleteAsync(target, KeyOf(target, key));
    }

    /// <summary>TRUNCATE.</summary>
    public async Task TruncateAsync(string table) => await _transaction.TruncateAsync(_database.Table(table));

    /// <summary>The row under a key as this transaction sees it; null where there is none.</summary>
    public Row? Read(string table, params string[] key)
    {
        var target = _database.Table(table);
        return RowOf(target, _transaction.Read(target, KeyOf(target, key)));
    }

    /// <summary>SELECT … FOR UPDATE: waits for the row's lock; null where there is no row.</summary>
    public async Task<Row?> ReadForUpdateAsync(string table, params string[] key)
    {
        var target = _database.Table(table);
        return RowOf(target, await _transaction.ReadForUpdateAsync(target, KeyOf(target, key)));
    }

    internal static RowKey KeyOf(LocalTable table, IReadOnlyList<string> key)
    {
        ArgumentNullException.ThrowIfNull(key);
        return key.Count == table.KeyOrdinals.Count ? new RowKey(table.Name, [.. key])
            : throw new ArgumentException($"The key of {table.Name} has {table.KeyOrdinals.Count} columns ({string.Join(", ", table.KeyOrdinals.Select(i => table.Columns[i].Name))}); {key.Count} values were given.");
    }

    internal static Row? RowOf(LocalTable table, ColumnValue[]? values) =>
        values is null ? null : new Row(values.Select((v, i) => KeyValuePair.Create(table.Columns[i].Name, v.Text)));

    private static ColumnValue[] ValuesOf(LocalTable table, Row row)
    {
        ArgumentNullException.ThrowIfNull(row);
        var values = new ColumnValue[table.Columns.Count];
        Array.Fill(values, ColumnValue.Unchanged);
        foreach (var (column, text) in row)
        {
            var ordinal = table.OrdinalOf(column);
            if (ordinal < 0) throw new ArgumentException($"Table {table.Name} has no column '{column}'; it has: {string.Join(", ", table.Columns.Select(c => c.Name))}.");
            values[ordinal] = text is null ? ColumnValue.Null : ColumnValue.Of(text);
        }

        return values;
    }
}
