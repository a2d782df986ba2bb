using ActiveActive.Database;
using NpgsqlTypes;

namespace ActiveActive.Apply;

/// <summary>A row of which a transaction's origin is asked for what the transaction left unchanged.</summary>
/// <param name="Table">The table as the origin names it; the root of a partitioned one.</param>
/// <param name="Key">The primary key by column names.</param>
internal sealed record RowToFetch(TableName Table, Row Key)
{
    /// <summary>The key in the order of a table that may have its key columns in another one.</summary>
    /// <exception cref="ReplicationException">ApplyRefused: the table's primary key has other columns.</exception>
    public Changes.RowKey KeyIn(LocalTable table)
    {
        var values = new string[table.KeyOrdinals.Count];
        for (var i = 0; i < values.Length; i++)
        {
            var column = table.Columns[table.KeyOrdinals[i]].Name;
            values[i] = Key.Count == values.Length && Key.TryGetValue(column, out var text) && text is not null ? text
                : throw new ReplicationException(ReplicationErrorKind.ApplyRefused, $"The primary key of {table.Name} was changed: a peer asks for a row by other columns. Make the keys equal on every node.");
        }

        return new Changes.RowKey(table.Name, values);
    }
}

/// <summary>A row as it stands at the origin that was asked.</summary>
/// <param name="Position">The place in the origin's log of the write that the row shows; zero where another node's write stands there, or no row.</param>
/// <param name="Row">The whole row, where the write is the one asked for, or a later one of the origin itself; else null.</param>
internal sealed record FetchedRow(NpgsqlLogSequenceNumber Position, Row? Row);
