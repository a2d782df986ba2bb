using ActiveActive.Apply;
using ActiveActive.Changes;
using ActiveActive.Database;
using ActiveActive.Transport;

namespace ActiveActive.Membership;

/// <summary>What is written beside copied rows, so that they decide about later writes as they do at the donor. Pure.</summary>
internal static class CopiedKeyPlan
{
    public static ApplyPlan Of(LocalTable table, IReadOnlyList<CopiedKey> keys)
    {
        var plan = new ApplyPlan { IsInOrder = true };
        foreach (var copied in keys)
        {
            var key = KeyOf(table, copied.Key);
            if (copied.Version is { } version) plan.Writes.Add(new SetOverride(table, key, version) { IsKept = copied.IsKept });
            if (copied.Siblings.Count > 0) plan.Writes.Add(new SetSiblings(table, key, [.. copied.Siblings.Select(s => new Sibling(s.Version, s.Row is null ? null : ValuesOf(table, s.Row)))]));
            if (copied.Loser is { Row: { } row } loser) plan.Writes.Add(new SetLoser(table, key, new UniqueLoser(loser.Version, ValuesOf(table, row)), copied.Winner is null ? null : KeyOf(table, copied.Winner)));
            if (copied.Tombstone is { } deleted) plan.Writes.Add(new SetTombstone(table, key, deleted));
        }

        return plan;
    }

    // By column names: the key's columns may stand in another order here.
    private static RowKey KeyOf(LocalTable table, Row key) => key.Count == 0 ? new RowKey(table.Name, []) : new RowToFetch(table.Name, key).KeyIn(table);

    /// <summary>A column that only exists here is unchanged: it takes its default, should the row be visible one day.</summary>
    private static ColumnValue[] ValuesOf(LocalTable table, Row row)
    {
        var values = RowImages.NothingChanged(table);
        foreach (var (column, text) in row)
        {
            if (table.OrdinalOf(column) is var ordinal and >= 0) values[ordinal] = text is null ? ColumnValue.Null : ColumnValue.Of(text);
        }

        return values;
    }
}
