using ActiveActive.Changes;
using ActiveActive.Conflicts;
using ActiveActive.Database;
using ActiveActive.Diagnostics;

namespace ActiveActive.Apply;

/// <summary>What a key's current row is where a unique value keeps it, or has kept it, out of sight (convergence R6). Pure.</summary>
internal static class HiddenRows
{
    /// <summary>
    /// The state as the rules are to see it: a hidden row as the row of its key, which it is. Where a local writer has inserted a row meanwhile, with last
    /// update wins or a resolver that one has replaced it: its writer had seen what is hidden. With delta columns the two add up, as any two inserts do.
    /// </summary>
    public static KeyState Reveal(LocalTable table, RowKey key, KeyState state, PlanContext context)
    {
        if (state.Hidden is { } hidden)
        {
            var row = new LocalRow(hidden.Values, 0, hidden.Version.Stamp, hidden.Version.Origin, IsOwnWrite: false);
            return state with { Row = row, Override = hidden.Version, Loser = null };
        }

        if (!table.Settings.HasDeltaColumns || state.Row is null || state.LiveLoser is not { } beside || Safeguards.IsOff(Safeguard.AddHiddenRow)) return state;
        var local = context.VersionOf(key, state);
        var isNewer = beside.Version.IsNewerThan(local);
        var values = isNewer ? RowImages.Overlay(state.Row.Values, beside.Values) : (ColumnValue[])state.Row.Values.Clone();
        foreach (var ordinal in table.DeltaOrdinals) values[ordinal] = Add(table, ordinal, state.Row.Values[ordinal], beside.Values[ordinal]);
        return state with { Row = state.Row with { Values = values }, Override = isNewer ? beside.Version : local, Loser = null };
    }

    /// <summary>The row of a key whose state is revealed; null where it has none.</summary>
    public static UniqueLoser? CurrentOf(RowKey key, KeyState revealed, PlanContext context) =>
        revealed.Row is { } row ? new UniqueLoser(VersionOf(key, revealed, context), row.Values) : null;

    /// <summary>
    /// By which it is ordered among the rows of other keys. A fold counts as the greatest of its siblings: which of them came last, and is its xmin, is
    /// another on every node.
    /// </summary>
    private static RowVersion VersionOf(RowKey key, KeyState state, PlanContext context)
    {
        if (state.Siblings.Count == 0 || Safeguards.IsOff(Safeguard.FoldVersion)) return context.VersionOf(key, state);
        var greatest = state.Siblings[0].Version;
        foreach (var sibling in state.Siblings) greatest = PlanContext.Later(greatest, sibling.Version);
        return greatest;
    }

    private static ColumnValue Add(LocalTable table, int ordinal, ColumnValue local, ColumnValue hidden)
    {
        if (hidden.Text is not { } text || local.Text is not { } sum) return local;
        try
        {
            return ColumnValue.Of(DeltaArithmetic.Add(table.Columns[ordinal].TypeName, sum, "0", text));
        }
        catch (Exception e) when (e is FormatException or OverflowException)
        {
            throw new ReplicationException(ReplicationErrorKind.ApplyRefused,
                $"Delta column '{table.Columns[ordinal].Name}' of a row of {table.Name} that was inserted here can't be added to the row of the same key that is out of sight: {e.Message}", e);
        }
    }
}
