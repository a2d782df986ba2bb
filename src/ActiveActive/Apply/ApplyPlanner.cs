using ActiveActive.Changes;
using ActiveActive.Conflicts;
using ActiveActive.Database;
using ActiveActive.Progress;

namespace ActiveActive.Apply;

/// <summary>
/// Decides what one part of a transaction writes, from the rows that stand under its keys. A pure function: the same transaction
/// over the same states gives the same plan on every node and in every simulation.
/// </summary>
internal static class ApplyPlanner
{
    /// <param name="transaction">The part.</param>
    /// <param name="mapping">The mapping of each relation in it.</param>
    /// <param name="states">What stands under each of its keys; changed to what will stand there after the plan.</param>
    /// <param name="index">Which write a visible row shows.</param>
    /// <param name="fetched">What the origin has answered about the transaction's rows.</param>
    public static ApplyPlan Plan(
        ChangeTransaction transaction,
        Func<Relation, RelationMapping> mapping,
        Dictionary<RowKey, KeyState> states,
        TransactionIndex index,
        FetchedRows fetched) => Plan(new PlanContext(transaction, states, index, fetched), mapping);

    /// <summary>The same with a context that the caller goes on with.</summary>
    public static ApplyPlan Plan(PlanContext context, Func<Relation, RelationMapping> mapping)
    {
        var mapped = new List<MappedChange>(2);
        foreach (var change in context.Transaction.Changes)
        {
            var relation = mapping(change.Relation);
            if (change.Kind == ChangeKind.Truncate)
            {
                Truncate(relation, context);
                continue;
            }

            mapped.Clear();
            MappedChange.AddTo(mapped, change, relation);
            // The values that a key change left unchanged come from the old key's row, read before its half deletes it.
            var moved = mapped.Count == 2 && mapped[1].HasGaps ? FillFromOldKey(mapped[1], context) : null;
            foreach (var write in mapped)
            {
                ConflictRule.For(write.Table).Apply(moved is not null && write.Kind == ChangeKind.Insert ? moved : write, context);
            }
        }

        return context.Plan;
    }

    /// <summary>The keys that planning will ask for.</summary>
    public static List<LocalKey> KeysOf(ChangeTransaction transaction, Func<Relation, RelationMapping> mapping)
    {
        var keys = new List<LocalKey>(transaction.Changes.Count);
        var seen = new HashSet<RowKey>();
        var mapped = new List<MappedChange>(2);
        foreach (var change in transaction.Changes)
        {
            if (change.Kind == ChangeKind.Truncate) continue;
            mapped.Clear();
            MappedChange.AddTo(mapped, change, mapping(change.Relation));
            foreach (var write in mapped)
            {
                if (seen.Add(write.Key)) keys.Add(new LocalKey(write.Table, write.Key));
            }
        }

        return keys;
    }

    private static MappedChange FillFromOldKey(MappedChange insert, PlanContext context)
    {
        var old = context[insert.MovedFrom!.Value];
        return old.Row is null || !context.HasSeen(context.VersionOf(old))
            ? insert
            : insert with { Values = RowImages.Overlay(old.Row.Values, insert.Values!) };
    }

    private static void Truncate(RelationMapping mapping, PlanContext context)
    {
        var table = mapping.Table;
        if (mapping.Relation.Name != mapping.Relation.Root)
        {
            context.Plan.Writes.Add(new TruncateTable(table, context.Incoming, mapping.Relation.Name) { Later = context.CorrectedLater() });
            return;
        }

        context.Plan.Writes.Add(new TruncateTable(table, context.Incoming) { Later = context.CorrectedLater() });
        foreach (var key in context.Keys.Where(k => k.Table == table.Name).ToList())
        {
            var state = context[key];
            // As TruncateTable does it: in a table with delta columns only a newer delete keeps what was written after it (R2).
            var survives = table.Settings.HasDeltaColumns
                ? state.Row is not null && state.Tombstone is { } greatest && greatest.IsNewerThan(context.Incoming)
                : state.Row is { IsOwnWrite: false } && context.VersionOf(state).IsNewerThan(context.Incoming);
            context[key] = state with
            {
                Row = survives ? state.Row : null,
                Override = survives ? state.Override : null,
                Siblings = survives ? state.Siblings : [],
                Tombstone = PlanContext.Later(state.Tombstone, context.Incoming),
            };
        }
    }
}
