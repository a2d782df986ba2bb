using ActiveActive.Changes;
using ActiveActive.Database;

namespace ActiveActive.Testing.Database;

/// <summary>What a statement makes of a row, and which images of it the log holds. Pure.</summary>
internal static class InMemoryRowImages
{
    public static ColumnValue[] ForInsert(ColumnValue[] values)
    {
        var row = (ColumnValue[])values.Clone();
        for (var i = 0; i < row.Length; i++)
        {
            if (row[i].IsUnchanged) row[i] = ColumnValue.Null;
        }

        return row;
    }

    public static ColumnValue[] ForUpdate(ColumnValue[] old, ColumnValue[] values)
    {
        var row = (ColumnValue[])values.Clone();
        for (var i = 0; i < row.Length; i++)
        {
            if (row[i].IsUnchanged) row[i] = old[i];
        }

        return row;
    }

    public static bool HaveSameKey(LocalTable table, ColumnValue[] left, ColumnValue[] right)
    {
        var ordinals = table.KeyOrdinals;
        for (var i = 0; i < ordinals.Count; i++)
        {
            if (!string.Equals(left[ordinals[i]].Text, right[ordinals[i]].Text, StringComparison.Ordinal)) return false;
        }

        return true;
    }

    /// <summary>
    /// The old row is logged whole under REPLICA IDENTITY FULL, else only its key and only where that changes. A TOASTed value that the
    /// statement left alone is in the log with the old row or not at all.
    /// </summary>
    public static Change Update(InMemoryTable table, ColumnValue[] old, ColumnValue[] set, ColumnValue[] row, bool keyChanged)
    {
        var isFull = table.Definition.Settings.NeedsFullReplicaIdentity;
        var logged = (ColumnValue[])row.Clone();
        for (var i = 0; !isFull && i < logged.Length; i++)
        {
            if (set[i].IsUnchanged && table.IsToast(i) && !old[i].IsNull) logged[i] = ColumnValue.Unchanged;
        }

        return isFull ? Change.Update(table.Relation, (ColumnValue[])old.Clone(), oldIsKeyOnly: false, logged)
            : keyChanged ? Change.Update(table.Relation, KeyOnly(table.Definition, old), oldIsKeyOnly: true, logged)
            : Change.Update(table.Relation, null, oldIsKeyOnly: false, logged);
    }

    public static Change Delete(InMemoryTable table, ColumnValue[] old) => table.Definition.Settings.NeedsFullReplicaIdentity
        ? Change.Delete(table.Relation, (ColumnValue[])old.Clone(), oldIsKeyOnly: false)
        : Change.Delete(table.Relation, KeyOnly(table.Definition, old), oldIsKeyOnly: true);

    private static ColumnValue[] KeyOnly(LocalTable table, ColumnValue[] row)
    {
        var key = new ColumnValue[row.Length];
        foreach (var ordinal in table.KeyOrdinals) key[ordinal] = row[ordinal];
        return key;
    }
}
