using ActiveActive.Changes;
using ActiveActive.Database;

namespace ActiveActive.Apply;

/// <summary>
/// The plan of transactions of one origin whose writer had seen every row that it writes, which is nearly always so: it needs no look at the rows. Whether it is so,
/// the writes themselves show (<see cref="IApplySession.TryWriteSeenAsync"/>); where it is not, nothing was done, and <see cref="ApplyPlanner"/> decides. A pure
/// function; for seen rows both give the same.
/// </summary>
internal sealed class SeenPlanner
{
    // Of one transaction all rows are its own.
    private readonly Dictionary<RowKey, RowVersion>? _rows;

    private SeenPlanner(bool isGroup) => _rows = isGroup ? [] : null;

    /// <summary>The writes of rows, in their order.</summary>
    public ApplyPlan Writes { get; } = new();

    /// <summary>The tombstones of what is deleted.</summary>
    public ApplyPlan Tombstones { get; } = new();

    /// <summary>The keys under which no row may have stood.</summary>
    public List<RowKey> Inserted { get; } = [];

    /// <summary>Of several transactions: the rows that stand after them, and whose they are.</summary>
    public IEnumerable<(RowKey Key, RowVersion Version)> Rows => _rows!.Select(static r => (r.Key, r.Value));

    /// <summary>Whether writes of a table can be planned so: what a row becomes depends on nothing but the write.</summary>
    private static bool Takes(LocalTable table) => table.IsWrittenInAnyOrder && !table.Settings.HasDeltaColumns && table.Settings.Resolver is null && table.Settings.Route is null;

    /// <summary>Null where it takes more than this to plan them.</summary>
    public static SeenPlanner? TryPlan(MappedPart part)
    {
        if (part.HasTruncate) return null;
        var planner = new SeenPlanner(part.IsGroup);
        foreach (var (write, version) in part.Writes)
        {
            // What a key change left unchanged stands in the old key's row.
            if (!Takes(write.Table) || write.Kind == ChangeKind.Superseded || (write.Kind == ChangeKind.Insert && write.HasGaps) || (write.Kind == ChangeKind.Update && SetsIdentity(write))) return null;
            planner.Add(write, version);
        }

        return planner;
    }

    // Nearly always to what it is, which only a look shows; and no UPDATE can.
    private static bool SetsIdentity(MappedChange update)
    {
        for (var i = 0; i < update.Values!.Length; i++)
        {
            if (update.Table.Columns[i].IsIdentityAlways && !update.Values[i].IsUnchanged && !update.Table.KeyOrdinals.Contains(i)) return true;
        }

        return false;
    }

    // The key stands as it is; and a key that is GENERATED ALWAYS AS IDENTITY can't be set.
    private static ColumnValue[] WithoutKey(MappedChange update)
    {
        foreach (var ordinal in update.Table.KeyOrdinals) update.Values![ordinal] = ColumnValue.Unchanged;
        return update.Values!;
    }

    private void Add(MappedChange write, in RowVersion version)
    {
        switch (write.Kind)
        {
            case ChangeKind.Insert:
                Writes.Writes.Add(new InsertRow(write.Table, write.Values!) { Key = write.Key });
                Inserted.Add(write.Key);
                if (_rows is not null) _rows[write.Key] = version;
                break;
            case ChangeKind.Update:
                Writes.Writes.Add(new UpdateRow(write.Table, write.Key, WithoutKey(write)));
                if (_rows is not null) _rows[write.Key] = version;
                break;
            default:
                Writes.Writes.Add(new DeleteRow(write.Table, write.Key));
                Tombstones.Writes.Add(new SetTombstone(write.Table, write.Key, version));
                _rows?.Remove(write.Key);
                break;
        }
    }
}
