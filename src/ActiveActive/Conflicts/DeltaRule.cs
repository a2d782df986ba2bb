using ActiveActive.Apply;
using ActiveActive.Changes;
using ActiveActive.Database;
using ActiveActive.Diagnostics;

namespace ActiveActive.Conflicts;

/// <summary>
/// Tables with delta columns (convergence R2, rule E): deltas add up whoever wins the rest of the row; after the greatest delete
/// of a key only what was written by someone who had seen that delete counts.
/// </summary>
internal sealed class DeltaRule : ConflictRule
{
    private const string Name = "delta";

    protected override void Write(MappedChange change, PlanContext context)
    {
        var state = context[change.Key];
        if (state.Tombstone is { } tombstone && !context.HasSeen(tombstone) && !Safeguards.IsOff(Safeguard.RuleE))
        {
            Record(change, context, ConflictType.UpdateMissing, ConflictOutcome.Skip, state, tombstone, tombstone.Origin, Name, "Written without knowledge of the greatest delete of this key: it does not count.");
        }
        else if (state.Row is not null)
        {
            AddTo(change, context, state);
        }
        else if (change.Kind == ChangeKind.Insert)
        {
            var whole = RequireWholeRow(change, context);
            context.Plan.Writes.Add(new InsertRow(change.Table, whole.Values!));
            context[change.Key] = context.Written(whole.Values!, state);
        }
        else
        {
            Record(change, context, ConflictType.UpdateMissing, ConflictOutcome.Skip, state, state.Tombstone, context.Incoming.Origin, Name, "There is no row to add to, and a table with delta columns never re-creates one from an update.");
        }
    }

    protected override void Delete(MappedChange change, PlanContext context)
    {
        var state = context[change.Key];
        if (state.Tombstone is { } tombstone && tombstone.IsNewerThan(context.Incoming))
        {
            if (!context.HasSeen(tombstone)) Record(change, context, change.IsTruncate ? TypeOfDelete(change) : ConflictType.DeleteMissing, ConflictOutcome.Skip, state, tombstone, tombstone.Origin, Name, "A later delete of this key is known.");
            return;
        }

        if (state.Row is not null)
        {
            var local = context.VersionOf(change.Key, state);
            if (!context.HasSeen(local)) Record(change, context, TypeOfDelete(change), ConflictOutcome.ApplyRemote, state, local, context.Incoming.Origin, Name, "In a table with delta columns a delete removes what was written without knowledge of it.");
            context.Plan.Writes.Add(new DeleteRow(change.Table, change.Key));
        }
        else
        {
            TakePlace(change, context);
            if (state.Tombstone is null) Record(change, context, ConflictType.DeleteMissing, ConflictOutcome.Skip, state, null, context.Incoming.Origin, Name, "There was no row to delete.");
        }

        if (!change.IsTruncate) context.Plan.Writes.Add(new SetTombstone(change.Table, change.Key, context.Incoming));
        context[change.Key] = state with { Row = null, Override = null, Tombstone = context.Incoming };
    }

    private static void AddTo(MappedChange change, PlanContext context, KeyState state)
    {
        var local = context.VersionOf(change.Key, state);
        var seen = context.HasSeen(local);
        var wins = seen || context.Incoming.IsNewerThan(local);
        if (!seen && wins) change = RequireWholeRow(change, context);
        if (!seen && !RowImages.AreEqual(change.Table, state.Row!.Values, change.Values!))
        {
            Record(change, context, TypeOfWrite(change), wins ? ConflictOutcome.ApplyRemote : ConflictOutcome.Merge, state, local, wins ? context.Incoming.Origin : local.Origin, Name,
                wins ? "The remote row is the later write; deltas add up." : "The local row is the later write; the remote deltas were added to it.");
        }

        var after = wins ? RowImages.Overlay(state.Row!.Values, change.Values!) : (ColumnValue[])state.Row!.Values.Clone();
        foreach (var ordinal in change.Table.DeltaOrdinals) after[ordinal] = Add(change, state.Row.Values, ordinal, context);

        context.Plan.Writes.Add(new UpdateRow(change.Table, change.Key, RowImages.Difference(state.Row.Values, after)));
        // The row now carries this transaction's stamp; where that one lost, its true version is still the local one.
        if (!wins && !Safeguards.IsOff(Safeguard.VersionOverride)) context.Plan.Writes.Add(new SetOverride(change.Table, change.Key, local));
        context[change.Key] = context.Written(after, state, wins ? null : local);
    }

    private static ColumnValue Add(MappedChange change, ColumnValue[] local, int ordinal, PlanContext context)
    {
        var column = change.Table.Columns[ordinal];
        if (change.Kind == ChangeKind.Update && change.OldValues is null)
        {
            throw new ReplicationException(ReplicationErrorKind.ApplyRefused,
                $"An update of {change.Table.Name} from node '{context.Transaction.Origin}' came without the old row, which delta column '{column.Name}' needs. Run there: ALTER TABLE {change.Table.Name} REPLICA IDENTITY FULL.");
        }

        try
        {
            var oldText = change.OldValues is null ? "0" : Text(change.OldValues[ordinal]);
            return ColumnValue.Of(DeltaArithmetic.Add(column.TypeName, Text(local[ordinal]), oldText, Text(change.Values![ordinal])));
        }
        catch (Exception e) when (e is FormatException or OverflowException)
        {
            throw new ReplicationException(ReplicationErrorKind.ApplyRefused,
                $"The delta of column '{column.Name}' ({column.TypeName}) of {change.Table.Name} from node '{context.Transaction.Origin}' ({context.Transaction.Position}) can't be added: {e.Message}", e);
        }
    }

    private static string Text(ColumnValue value) => value.Text ?? throw new FormatException("A delta column held NULL; it must be NOT NULL on every node.");
}
