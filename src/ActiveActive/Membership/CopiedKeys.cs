using ActiveActive.Apply;
using ActiveActive.Changes;
using ActiveActive.Database;
using ActiveActive.Progress;
using ActiveActive.Transport;

namespace ActiveActive.Membership;

/// <summary>What a joining node is told of keys beside the rows, and what it writes of that. Pure.</summary>
internal static class CopiedKeys
{
    /// <summary>What must be told of a key; null for nothing: the row is stable.</summary>
    public static CopiedKey? Of(LocalTable table, SnapshotKey key, TransactionIndex index)
    {
        var version = key.Override;
        if (version is null && key.Xid != 0 && index.TryGetVersion(key.Key, key.Xid, key.Origin, key.Stamp, out var shown)) version = shown;
        if (version is null && key.Siblings.Count == 0 && key.Loser is null) return null;
        return new CopiedKey(ToRow(table, key.Key.Values))
        {
            Version = version,
            IsKept = key.Override is not null && key.IsOverrideKept,
            Siblings = [.. key.Siblings.Select(s => new CopiedVersion(s.Version, s.Values is null ? null : RowImages.ToRow(table, s.Values)))],
            Loser = key.Loser is { } loser ? new CopiedVersion(loser.Version, RowImages.ToRow(table, loser.Values)) : null,
            Winner = key.Winner is { } winner ? ToRow(table, winner.Values) : null,
        };
    }

    public static CopiedKey Of(LocalTable table, Tombstone tombstone) =>
        new(tombstone.Key.Length == 0 ? new Row([]) : ToRow(table, KeyText.Read(tombstone.Key))) { Tombstone = tombstone.Version };

    public static ApplyPlan Plan(LocalTable table, IReadOnlyList<CopiedKey> keys)
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

    private static Row ToRow(LocalTable table, IReadOnlyList<string> values) => new(table.KeyOrdinals.Select((ordinal, i) => KeyValuePair.Create(table.Columns[ordinal].Name, (string?)values[i])));

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
