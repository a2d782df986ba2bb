using ActiveActive.Apply;
using ActiveActive.Changes;
using ActiveActive.Database;
using ActiveActive.Diagnostics;

namespace ActiveActive.Conflicts;

/// <summary>
/// Tables with a resolver (convergence R8): the concurrent versions of a key are kept as siblings until stable, a write replaces
/// those that its writer had seen, and the visible row is the fold of the siblings in version order. So the result depends on the
/// set of writes and not on their order of arrival, whatever the resolver computes.
/// </summary>
internal sealed class MergeRule : ConflictRule
{
    protected override void Write(MappedChange change, PlanContext context)
    {
        var state = context[change.Key];
        if (IsTruncated(change, context, state)) return;
        var whole = change;
        if (change.HasGaps && change.Kind == ChangeKind.Update && state.Row is { } row && state.Siblings.Count == 0 && context.HasSeen(context.VersionOf(change.Key, state)))
        {
            whole = change with { Values = RowImages.Overlay(row.Values, change.Values!) };
        }

        Fold(RequireWholeRow(whole, context), context, state);
    }

    protected override void Delete(MappedChange change, PlanContext context)
    {
        var state = context[change.Key];
        if (change.IsTruncate) Cut(change, context, state);
        else if (!IsTruncated(change, context, state)) Fold(change, context, state);
    }

    /// <summary>
    /// What is older than the table's greatest TRUNCATE is dead, whoever has seen that one. A sibling that goes once somebody has seen it would not do: of
    /// two concurrent ones only the greater is kept, and whoever wrote with knowledge of it alone would bring back what the other had taken.
    /// </summary>
    private static bool IsTruncated(MappedChange change, PlanContext context, KeyState state)
    {
        if (state.TableTombstone is not { } truncate || !truncate.IsNewerThan(context.Incoming)) return false;
        var type = change.Kind == ChangeKind.Delete ? ConflictType.DeleteMissing : ConflictType.UpdateMissing;
        Record(change, context, type, ConflictOutcome.Skip, state, truncate, truncate.Origin, change.Table.Settings.ResolverName, "The table was truncated by a later transaction.");
        return true;
    }

    /// <summary>Drops the versions that are not after a TRUNCATE, and folds those again that are.</summary>
    private static void Cut(MappedChange change, PlanContext context, KeyState state)
    {
        var current = CurrentSiblings(change.Key, state, context);
        var kept = current.Where(s => s.Version.IsNewerThan(context.Incoming)).ToList();
        var unseen = current.Where(s => !context.HasSeen(s.Version)).ToList();
        if (unseen.Count > 0 && state.Row is not null)
        {
            var outcome = kept.Count == 0 ? ConflictOutcome.ApplyRemote : kept.Count == current.Count ? ConflictOutcome.KeepLocal : ConflictOutcome.Merge;
            Record(change, context, TypeOfDelete(change), outcome, state, unseen[^1].Version, kept.Count == 0 ? context.Incoming.Origin : kept[^1].Version.Origin, change.Table.Settings.ResolverName,
                $"{kept.Count} of {current.Count} concurrent versions come after the truncate.");
        }

        if (kept.Count < current.Count) WriteResult(change, context, state, kept.Count == 0 ? null : FoldValues(change, kept), kept);
    }

    private static void Fold(MappedChange change, PlanContext context, KeyState state)
    {
        var siblings = CurrentSiblings(change.Key, state, context).Where(s => !context.HasSeen(s.Version)).ToList();
        var incoming = new Sibling(context.Incoming, change.Values);
        if (siblings.Count > 0)
        {
            siblings.Add(incoming);
            siblings.Sort(static (a, b) => a.Version == b.Version ? 0 : a.Version.IsNewerThan(b.Version) ? 1 : -1);
        }

        var result = siblings.Count == 0 ? change.Values : FoldValues(change, siblings);
        if (siblings.Count > 0) RecordMerge(change, context, state, siblings, result);
        WriteResult(change, context, state, result, siblings);
    }

    private static IReadOnlyList<Sibling> CurrentSiblings(RowKey key, KeyState state, PlanContext context)
    {
        if (state.Row is { } row)
        {
            return state.Siblings.Count > 0 && !Safeguards.IsOff(Safeguard.Siblings) ? state.Siblings : [new Sibling(context.VersionOf(key, state), row.Values)];
        }

        if (state.Tombstone is not { } tombstone) return state.Siblings;
        // A local delete saw every sibling that stood here, so it has replaced them.
        return state.Siblings.Any(s => s.Version == tombstone) ? state.Siblings : [new Sibling(tombstone, null)];
    }

    private static ColumnValue[]? FoldValues(MappedChange change, List<Sibling> siblings)
    {
        var table = change.Table;
        var folded = siblings[0].Values;
        var version = siblings[0].Version;
        foreach (var next in siblings.Skip(1))
        {
            // A delete has no row to merge with: against it the later write stays.
            folded = folded is null || next.Values is null ? next.Values : Resolve(table, change, folded, version, next);
            version = next.Version;
        }

        return folded;
    }

    private static ColumnValue[] Resolve(LocalTable table, MappedChange change, ColumnValue[] earlier, RowVersion earlierVersion, Sibling later)
    {
        if (RowImages.AreEqual(table, earlier, later.Values!)) return later.Values!;
        ConflictResolution resolution;
        try
        {
            resolution = table.Settings.Resolver!.Resolve(new Conflict
            {
                Table = table.Name,
                Local = RowImages.ToRow(table, earlier),
                LocalVersion = earlierVersion,
                Remote = RowImages.ToRow(table, later.Values!),
                RemoteVersion = later.Version,
            });
        }
        catch (Exception e)
        {
            throw new ReplicationException(ReplicationErrorKind.ApplyRefused,
                $"Resolver {table.Settings.ResolverName} failed for a row of {table.Name}: {e.GetType().Name}. Its stream waits until the resolver answers.", e);
        }

        return resolution.Outcome switch
        {
            ConflictOutcome.ApplyRemote => later.Values!,
            ConflictOutcome.KeepLocal => earlier,
            _ => RowImages.FromMerged(table, resolution.Merged!, later.Values!, table.Settings.ResolverName),
        };
    }

    private static void RecordMerge(MappedChange change, PlanContext context, KeyState state, List<Sibling> siblings, ColumnValue[]? result)
    {
        var local = state.Row?.Values;
        var isRemote = Same(change.Table, result, change.Values);
        var isLocal = Same(change.Table, result, local);
        if (isRemote && isLocal) return;
        var type = change.Kind == ChangeKind.Delete
            ? local is null ? ConflictType.DeleteMissing : ConflictType.DeleteOriginDiffers
            : local is null ? ConflictType.UpdateMissing : TypeOfWrite(change);
        var localVersion = siblings.Last(s => s.Version != context.Incoming).Version;
        var outcome = isRemote ? ConflictOutcome.ApplyRemote : isLocal ? ConflictOutcome.KeepLocal : ConflictOutcome.Merge;
        var winner = outcome switch
        {
            ConflictOutcome.ApplyRemote => context.Incoming.Origin,
            ConflictOutcome.KeepLocal => localVersion.Origin,
            _ => siblings[^1].Version.Origin,
        };
        Record(change, context, type, outcome, state, localVersion, winner, change.Table.Settings.ResolverName,
            $"{siblings.Count} concurrent versions were folded in the order of their stamps.");
    }

    private static bool Same(LocalTable table, ColumnValue[]? left, ColumnValue[]? right) =>
        left is null ? right is null : right is not null && RowImages.AreEqual(table, left, right);

    private static void WriteResult(MappedChange change, PlanContext context, KeyState state, ColumnValue[]? result, List<Sibling> siblings)
    {
        var writes = context.Plan.Writes;
        if (result is null)
        {
            if (state.Row is not null) writes.Add(new DeleteRow(change.Table, change.Key));
            else TakePlace(change, context);
        }
        else if (state.Row is { } row)
        {
            // Always written, so that xmin is this transaction: siblings are valid for the row version they were folded into.
            var after = RowImages.Overlay(row.Values, result);
            writes.Add(new UpdateRow(change.Table, change.Key, RowImages.Difference(row.Values, after)));
            result = after;
        }
        else
        {
            writes.Add(new InsertRow(change.Table, result));
        }

        var tombstone = state.Tombstone;
        if (change.Values is null && !change.IsTruncate)
        {
            writes.Add(new SetTombstone(change.Table, change.Key, context.Incoming));
            tombstone = PlanContext.Later(tombstone, context.Incoming);
        }

        if (siblings.Count > 0 || state.Siblings.Count > 0) writes.Add(new SetSiblings(change.Table, change.Key, siblings));
        context[change.Key] = result is null
            ? state with { Row = null, Tombstone = tombstone, Override = null, Siblings = siblings }
            : context.Written(result, state with { Tombstone = tombstone }, siblings: siblings);
    }
}
