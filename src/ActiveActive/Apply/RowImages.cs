using ActiveActive.Changes;
using ActiveActive.Database;

namespace ActiveActive.Apply;

/// <summary>Conversions and comparisons of row images in local column order.</summary>
internal static class RowImages
{
    public static Row ToRow(LocalTable table, ColumnValue[] values)
    {
        var columns = new List<KeyValuePair<string, string?>>(values.Length);
        for (var i = 0; i < values.Length; i++)
        {
            if (!values[i].IsUnchanged) columns.Add(new(table.Columns[i].Name, values[i].Text));
        }

        return new Row(columns);
    }

    /// <summary>The image of a resolver's row; columns it does not name come from <paramref name="rest"/>.</summary>
    /// <exception cref="ReplicationException">ApplyRefused: the row names a column that the table does not have, or another key.</exception>
    public static ColumnValue[] FromMerged(LocalTable table, Row merged, ColumnValue[] rest, string resolver)
    {
        var values = (ColumnValue[])rest.Clone();
        foreach (var (column, text) in merged)
        {
            var ordinal = table.OrdinalOf(column);
            if (ordinal < 0)
            {
                throw new ReplicationException(ReplicationErrorKind.ApplyRefused,
                    $"Resolver {resolver} returned a row of {table.Name} with a column '{column}', which the table does not have. Build the merged row with Row.With from one of the two given rows.");
            }

            values[ordinal] = text is null ? ColumnValue.Null : ColumnValue.Of(text);
        }

        foreach (var ordinal in table.KeyOrdinals)
        {
            if (values[ordinal] != rest[ordinal])
            {
                throw new ReplicationException(ReplicationErrorKind.ApplyRefused,
                    $"Resolver {resolver} changed the primary key column '{table.Columns[ordinal].Name}' of {table.Name}. A merge keeps the key.");
            }
        }

        return values;
    }

    /// <summary>Whether two images agree in every column that both hold; delta columns are left out, since they never conflict.</summary>
    public static bool AreEqual(LocalTable table, ColumnValue[] left, ColumnValue[] right)
    {
        for (var i = 0; i < left.Length; i++)
        {
            if (left[i].IsUnchanged || right[i].IsUnchanged || left[i] == right[i]) continue;
            if (!table.DeltaOrdinals.Contains(i)) return false;
        }

        return true;
    }

    /// <summary>The row that stands after <paramref name="changes"/> were written over <paramref name="before"/>.</summary>
    public static ColumnValue[] Overlay(ColumnValue[] before, ColumnValue[] changes)
    {
        var after = (ColumnValue[])changes.Clone();
        for (var i = 0; i < after.Length; i++)
        {
            if (after[i].IsUnchanged) after[i] = before[i];
        }

        return after;
    }

    /// <summary>The columns of <paramref name="after"/> that differ from <paramref name="before"/>; the others read as Unchanged.</summary>
    public static ColumnValue[] Difference(ColumnValue[] before, ColumnValue[] after)
    {
        var difference = (ColumnValue[])after.Clone();
        for (var i = 0; i < difference.Length; i++)
        {
            if (difference[i] == before[i]) difference[i] = ColumnValue.Unchanged;
        }

        return difference;
    }

    public static ColumnValue[] NothingChanged(LocalTable table)
    {
        var values = new ColumnValue[table.Columns.Count];
        Array.Fill(values, ColumnValue.Unchanged);
        return values;
    }
}
