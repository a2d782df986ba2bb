using ActiveActive.Apply;
using ActiveActive.Changes;
using ActiveActive.Database;
using ActiveActive.Diagnostics;

namespace ActiveActive.Conflicts;

/// <summary>
/// One register per key; a delete is a write (convergence R1). What the writer had seen, it replaces; of concurrent writes the one
/// with the later <c>(stamp, node)</c> stays.
/// </summary>
internal sealed class LastUpdateWinsRule : ConflictRule
{
    private const string Name = "last_update_wins";

    protected override void Write(MappedChange change, PlanContext context)
    {
        var state = context[change.Key];
        if (state.Row is null) WriteMissing(change, context, state);
        else WritePresent(change, context, state);
    }

    protected override void Delete(MappedChange change, PlanContext context)
    {
        var state = context[change.Key];
        var incoming = context.Incoming;
        if (state.Row is null)
        {
            if (state.Tombstone is not { } tombstone || !context.HasSeen(tombstone))
            {
                Record(change, context, ConflictType.DeleteMissing, ConflictOutcome.Skip, state, state.Tombstone, state.Tombstone?.Origin ?? incoming.Origin, Name,
                    state.Tombstone is null ? "There was no row to delete." : "The row had been deleted concurrently.");
            }

            if (!Safeguards.IsOff(Safeguard.TombstoneWithoutRow)) Bury(change, context, state);
            return;
        }

        var local = context.VersionOf(state);
        var seen = context.HasSeen(local);
        if (seen || incoming.IsNewerThan(local))
        {
            if (!seen) Record(change, context, ConflictType.DeleteOriginDiffers, ConflictOutcome.ApplyRemote, state, local, incoming.Origin, Name, "The delete is the later write.");
            context.Plan.Writes.Add(new DeleteRow(change.Table, change.Key));
            Bury(change, context, state);
        }
        else
        {
            // A losing delete needs no tombstone: the row that stands has the later version.
            Record(change, context, ConflictType.DeleteOriginDiffers, ConflictOutcome.KeepLocal, state, local, local.Origin, Name, "The row was written after the delete.");
        }
    }

    private static void WritePresent(MappedChange change, PlanContext context, KeyState state)
    {
        var local = context.VersionOf(state);
        var seen = context.HasSeen(local);
        var equal = RowImages.AreEqual(change.Table, state.Row!.Values, change.Values!);
        if (!seen && !context.Incoming.IsNewerThan(local))
        {
            if (!equal) Record(change, context, TypeOfWrite(change), ConflictOutcome.KeepLocal, state, local, local.Origin, Name, "The local row is the later write.");
            return;
        }

        if (!seen)
        {
            RequireWholeRow(change, context);
            if (!equal) Record(change, context, TypeOfWrite(change), ConflictOutcome.ApplyRemote, state, local, context.Incoming.Origin, Name, "The remote row is the later write.");
        }

        if (equal && !seen && Safeguards.IsOff(Safeguard.EqualRowsAreWritten)) return;
        // Equal rows are written, too: the row must show the later version, or a third write would be compared with the wrong one.
        var after = RowImages.Overlay(state.Row.Values, change.Values!);
        context.Plan.Writes.Add(new UpdateRow(change.Table, change.Key, RowImages.Difference(state.Row.Values, after)));
        context[change.Key] = PlanContext.Written(after, state);
    }

    private static void WriteMissing(MappedChange change, PlanContext context, KeyState state)
    {
        if (state.Tombstone is { } tombstone && !context.HasSeen(tombstone))
        {
            if (!context.Incoming.IsNewerThan(tombstone))
            {
                Record(change, context, ConflictType.UpdateMissing, ConflictOutcome.KeepLocal, state, tombstone, tombstone.Origin, Name, "The row was deleted after this write.");
                return;
            }

            RequireWholeRow(change, context);
            Record(change, context, ConflictType.UpdateMissing, ConflictOutcome.ApplyRemote, state, tombstone, context.Incoming.Origin, Name, "The write is later than the delete: the row is created again.");
        }
        else if (change.Kind == ChangeKind.Update)
        {
            RequireWholeRow(change, context);
            Record(change, context, ConflictType.UpdateMissing, ConflictOutcome.ApplyRemote, state, state.Tombstone, context.Incoming.Origin, Name, "There was no row to update: it is created from the whole remote row.");
        }

        context.Plan.Writes.Add(new InsertRow(change.Table, change.Values!));
        context[change.Key] = PlanContext.Written(change.Values!, state);
    }

    private static void Bury(MappedChange change, PlanContext context, KeyState state)
    {
        context.Plan.Writes.Add(new SetTombstone(change.Table, change.Key, context.Incoming));
        context[change.Key] = state with { Row = null, Override = null, Tombstone = PlanContext.Later(state.Tombstone, context.Incoming) };
    }
}
