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
    private const string WrittenAgain = "It left a large value unchanged and was written again at its origin: the row comes with that write.";

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
            if (state.Tombstone is { } tombstone && !context.HasSeen(tombstone))
            {
                Record(change, context, ConflictType.DeleteMissing, ConflictOutcome.Skip, state, tombstone, tombstone.Origin, Name, "The row had been deleted concurrently.");
            }

            if (!Safeguards.IsOff(Safeguard.TombstoneWithoutRow)) Bury(change, context, state);
            return;
        }

        var local = context.VersionOf(change.Key, state);
        var seen = context.HasSeen(local);
        if (seen || incoming.IsNewerThan(local) || (change.IsTruncate && Safeguards.IsOff(Safeguard.LaterRowsStay)))
        {
            if (!seen) Record(change, context, TypeOfDelete(change), ConflictOutcome.ApplyRemote, state, local, incoming.Origin, Name, "The delete is the later write.");
            NoteReplaced(change, context, state.Row.Values, null, incoming);
            context.Plan.Writes.Add(new DeleteRow(change.Table, change.Key));
            Bury(change, context, state);
        }
        else
        {
            // A losing delete needs no tombstone: the row that stands has the later version.
            Record(change, context, TypeOfDelete(change), ConflictOutcome.KeepLocal, state, local, local.Origin, Name, "The row was written after the delete.");
        }
    }

    private static void WritePresent(MappedChange change, PlanContext context, KeyState state)
    {
        var local = context.VersionOf(change.Key, state);
        var seen = context.HasSeen(local);
        if (!seen && !context.Incoming.IsNewerThan(local))
        {
            if (!RowImages.AreEqual(change.Table, state.Row!.Values, change.Values!)) Record(change, context, TypeOfWrite(change), ConflictOutcome.KeepLocal, state, local, local.Origin, Name, "The local row is the later write.");
            NoteReplaced(change, context, change.Values!, state.Row!.Values, local);
            return;
        }

        NoteReplaced(change, context, state.Row!.Values, change.Values, context.Incoming);
        // What an update left unchanged stands here, if its writer had seen this row: then it is the one that the update replaced.
        var whole = seen && change.Kind == ChangeKind.Update ? change : WholeRow(change, context);
        if (whole is null)
        {
            if (Safeguards.IsOff(Safeguard.AbsentUntilReplaced)) return;
            if (!seen) Record(change, context, TypeOfWrite(change), ConflictOutcome.ApplyRemote, state, local, context.Incoming.Origin, Name, $"The remote row is the later write. {WrittenAgain}");
            context.Plan.Writes.Add(new DeleteRow(change.Table, change.Key));
            Bury(change, context, state);
            return;
        }

        var equal = RowImages.AreEqual(change.Table, state.Row!.Values, whole.Values!);
        if (!seen && !equal) Record(whole, context, TypeOfWrite(change), ConflictOutcome.ApplyRemote, state, local, context.Incoming.Origin, Name, "The remote row is the later write.");
        if (equal && !seen && Safeguards.IsOff(Safeguard.EqualRowsAreWritten)) return;
        // Equal rows are written, too: the row must show the later version, or a third write would be compared with the wrong one.
        var after = RowImages.Overlay(state.Row!.Values, whole.Values!);
        context.Plan.Writes.Add(new UpdateRow(change.Table, change.Key, RowImages.Difference(state.Row.Values, after)));
        context[change.Key] = context.Written(after, state);
    }

    private static void WriteMissing(MappedChange change, PlanContext context, KeyState state)
    {
        var isConcurrent = state.Tombstone is { } tombstone && !context.HasSeen(tombstone);
        if (isConcurrent && !context.Incoming.IsNewerThan(state.Tombstone!.Value))
        {
            Record(change, context, ConflictType.UpdateMissing, ConflictOutcome.KeepLocal, state, state.Tombstone, state.Tombstone.Value.Origin, Name, "A later write deleted the row, or left it absent for a time.");
            NoteReplaced(change, context, change.Values!, null, state.Tombstone!.Value);
            return;
        }

        var whole = WholeRow(change, context);
        // Without a concurrent tombstone the writer had seen all that this node has: the row is absent since an earlier write's values were gone.
        if (isConcurrent)
        {
            Record(whole ?? change, context, ConflictType.UpdateMissing, ConflictOutcome.ApplyRemote, state, state.Tombstone, context.Incoming.Origin, Name,
                $"The write is later than the delete: {(whole is null ? "it stays. " + WrittenAgain : "the row is created again.")}");
        }

        if (whole is null)
        {
            Bury(change, context, state);
            return;
        }

        context.Plan.Writes.Add(new InsertRow(change.Table, whole.Values!));
        context[change.Key] = context.Written(whole.Values!, state);
    }

    /// <summary>Where rows are not on every node: who may have the replaced version, and is not told by the write that replaced it, must be told by somebody.</summary>
    private static void NoteReplaced(MappedChange change, PlanContext context, ColumnValue[] replaced, ColumnValue[]? standing, in RowVersion version)
    {
        // A truncate every node of the table gets.
        if (change.Table.Settings.Route is not { } route || change.IsTruncate || version == context[change.Key].TableTombstone) return;
        var ordinal = change.Table.OrdinalOf(route.Column);
        var told = version == context.Incoming ? change.OldValues : null;
        context.Plan.Replaced.Add(new ReplacedVersion(change.Table, change.Key, replaced[ordinal], standing?[ordinal], told?[ordinal], version));
    }

    /// <summary>
    /// The key's place is kept for a version: a delete's, or that of a write whose values nobody has any more. No row stands there until the write that
    /// replaced it at its origin arrives. An older row in its place would let a local update of it look as if it had changed the newer one.
    /// </summary>
    private static void Bury(MappedChange change, PlanContext context, KeyState state)
    {
        if (!change.IsTruncate) context.Plan.Writes.Add(new SetTombstone(change.Table, change.Key, context.Incoming));
        context[change.Key] = state with { Row = null, Override = null, Tombstone = PlanContext.Later(state.Tombstone, context.Incoming) };
    }
}
