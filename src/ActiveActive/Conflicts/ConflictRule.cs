using ActiveActive.Apply;
using ActiveActive.Changes;
using ActiveActive.Database;
using ActiveActive.Diagnostics;

namespace ActiveActive.Conflicts;

/// <summary>
/// How a table's concurrent writes come together. Three siblings: <see cref="LastUpdateWinsRule"/> (convergence R1),
/// <see cref="DeltaRule"/> (R2) and <see cref="MergeRule"/> (R8). Each has one method a kind of change, writes to the plan and leaves
/// in the context the state that the plan will have produced.
/// </summary>
internal abstract class ConflictRule
{
    private static readonly LastUpdateWinsRule s_lastUpdateWins = new();
    private static readonly DeltaRule s_delta = new();
    private static readonly MergeRule s_merge = new();

    public static ConflictRule For(LocalTable table) =>
        table.Settings.HasDeltaColumns ? s_delta : table.Settings.Resolver is not null ? s_merge : s_lastUpdateWins;

    public void Apply(MappedChange change, PlanContext context)
    {
        if (change.Superseding is { } version) Supersede(change, version, context);
        else if (change.Kind == ChangeKind.Delete) Delete(change, context);
        else Write(change, context);
    }

    /// <summary>
    /// What stands here, if it is older, was replaced by a version that this node may not see (convergence R9): as by a delete of that version. It never takes the row of that version itself, and whoever had seen what
    /// makes no difference: the order of versions extends that of knowledge.
    /// </summary>
    private static void Supersede(MappedChange change, in RowVersion version, PlanContext context)
    {
        if (change.Table.Settings.Route is null) throw new ReplicationException(ReplicationErrorKind.Corrupt, $"Node '{context.Transaction.Origin}' says that a version of {change.Table.Name} was replaced out of sight, and every node has all rows of that table.");
        var state = context[change.Key];
        if (state.Row is not null)
        {
            if (!version.IsNewerThan(context.VersionOf(change.Key, state))) return;
            context.Plan.Writes.Add(new DeleteRow(change.Table, change.Key));
        }

        context.Plan.Writes.Add(new SetTombstone(change.Table, change.Key, version));
        context[change.Key] = state with { Row = null, Override = null, Tombstone = PlanContext.Later(state.Tombstone, version) };
    }

    /// <summary>An insert or update: what the key becomes.</summary>
    protected abstract void Write(MappedChange change, PlanContext context);

    protected abstract void Delete(MappedChange change, PlanContext context);

    protected static ConflictType TypeOfWrite(MappedChange change) =>
        change.Kind == ChangeKind.Insert ? ConflictType.InsertExists : ConflictType.UpdateOriginDiffers;

    protected static ConflictType TypeOfDelete(MappedChange change) =>
        change.IsTruncate ? ConflictType.TruncateOriginDiffers : ConflictType.DeleteOriginDiffers;

    /// <summary>
    /// The write with all its values. A concurrent winner, or a row to create, must be whole: a value that its update left unchanged may have
    /// another content here. What the log does not hold is asked of the origin. Null where the origin's row has been written again since, or
    /// deleted, so that nobody has the values any more; that later write is on its way.
    /// </summary>
    protected static MappedChange? WholeRow(MappedChange change, PlanContext context)
    {
        if (!change.HasGaps || Safeguards.IsOff(Safeguard.WholeRows)) return change;
        var position = context.Transaction.Position;
        if (context.Fetched.Find(change.Key, position) is { } answer)
        {
            context.Filled.Add(change.Key);
            return answer.Position == position ? change.FilledFrom(answer.Row!) : null;
        }

        var columns = change.Table.KeyOrdinals.Select((ordinal, i) => new KeyValuePair<string, string?>(change.Table.Columns[ordinal].Name, change.Key.Values[i]));
        context.Plan.RowsToFetch.Add((change.Key, new RowToFetch(change.Mapping.Relation.Root, new Row(columns))));
        return change;
    }

    /// <summary>For tables whose log holds whole rows (REPLICA IDENTITY FULL): gaps come from before that was set.</summary>
    protected static MappedChange RequireWholeRow(MappedChange change, PlanContext context) =>
        WholeRow(change, context) ?? throw new ReplicationException(ReplicationErrorKind.ApplyRefused,
            $"An update of {change.Table.Name} from node '{context.Transaction.Origin}' ({context.Transaction.Position}) left a large (TOASTed) column unchanged, whose value the log does not carry, and the row has been written again since. "
            + $"Such tables need REPLICA IDENTITY FULL before they are written: ALTER TABLE {change.Table.Name} REPLICA IDENTITY FULL on every node, then bring the nodes' rows together.");

    /// <summary>
    /// A change that finds no row and leaves none may overlook a local insert that is not committed yet, which then commits before it in
    /// the log, so that every other node counts that insert as unaware of the change. Inserting a row and deleting it again takes the
    /// key's place in the unique index: the insert either is waited for and found, or commits after this transaction.
    /// </summary>
    protected static void TakePlace(MappedChange change, PlanContext context)
    {
        if ((change.Values ?? change.OldValues) is not { } row || Safeguards.IsOff(Safeguard.TakePlace)) return;
        context.Plan.Writes.Add(new InsertRow(change.Table, row));
        context.Plan.Writes.Add(new DeleteRow(change.Table, change.Key));
    }

    protected static void Record(
        MappedChange change, PlanContext context, ConflictType type, ConflictOutcome outcome, KeyState state, RowVersion? localVersion, NodeName winner, string resolver, string reason)
    {
        if (change.IsRepeated || (change.IsTruncate && Safeguards.IsOff(Safeguard.RecordTruncated))) return;
        context.Plan.Conflicts.Add(new ConflictRecord
        {
            Table = change.Table.Name,
            Key = change.Key.Values,
            Type = type,
            LocalRow = state.Row is { } row ? RowImages.ToRow(change.Table, row.Values) : null,
            LocalVersion = localVersion,
            RemoteRow = change.Values is { } values ? RowImages.ToRow(change.Table, values) : null,
            RemoteVersion = context.Incoming,
            Outcome = outcome,
            Winner = winner,
            Resolver = resolver,
            Reason = reason,
        });
    }
}
