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
        var changes = context.Transaction.Changes;
        for (var at = 0; at < changes.Count; at++)
        {
            var change = changes[at];
            var relation = mapping(change.Relation);
            if (change.Kind == ChangeKind.Truncate)
            {
                Truncate(relation, KeysIn(context.Transaction, relation, mapping), at, mapping, context);
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
    public static List<LocalKey> KeysOf(ChangeTransaction transaction, Func<Relation, RelationMapping> mapping) => new MappedPart([transaction], mapping).Keys;

    private static MappedChange FillFromOldKey(MappedChange insert, PlanContext context)
    {
        // A row that an earlier part wrote, or whose values were fetched, may not be the one that was moved: then the moved one is fetched itself.
        var from = insert.MovedFrom!.Value;
        var old = context[from];
        return old.Row is null || old.Row is { IsOwnWrite: true, OwnVersion: null } || context.Filled.Contains(from) || !context.HasSeen(context.VersionOf(from, old))
            ? insert
            : insert with { Values = RowImages.Overlay(old.Row.Values, insert.Values!) };
    }

    /// <summary>
    /// What becomes of rows that the writer of a TRUNCATE may not have seen: for each it is a delete, which may lose. The rows that it had seen need no
    /// look at each.
    /// </summary>
    /// <param name="context">The part that holds the TRUNCATE, and what stands under some keys of the table.</param>
    /// <param name="mapping">Of the truncated table.</param>
    /// <param name="isRepeated">Whether an earlier part truncated the table, too, and recorded what that came to.</param>
    public static void PlanTruncate(PlanContext context, RelationMapping mapping, bool isRepeated) => DeleteEach([.. context.Keys], mapping, context, isRepeated);

    private static void Truncate(RelationMapping mapping, IReadOnlyList<RowKey> keys, int at, Func<Relation, RelationMapping> mappings, PlanContext context)
    {
        var isFirst = context.Truncated.Add(mapping.Relation.Name);
        DeleteEach(isFirst ? keys : WrittenSinceTruncate(at, mapping, mappings, context), mapping, context, isRepeated: !isFirst);
        var isPartition = mapping.Relation.Name != mapping.Relation.Root;
        context.Plan.Writes.Add(new TruncateTable(mapping.Table, context.Incoming, context.FindUnseen(), isPartition ? mapping.Relation.Name : null));
        if (isPartition) return;
        foreach (var key in keys)
        {
            context[key] = context[key] with
            {
                Tombstone = PlanContext.Later(context[key].Tombstone, context.Incoming), TableTombstone = PlanContext.Later(context[key].TableTombstone, context.Incoming),
            };
        }
    }

    /// <summary>What another TRUNCATE finds of the transaction's own; of others' rows it leaves what the one before it has left.</summary>
    private static List<RowKey> WrittenSinceTruncate(int at, RelationMapping truncated, Func<Relation, RelationMapping> mapping, PlanContext context)
    {
        var changes = context.Transaction.Changes;
        var from = at;
        while (from > 0 && !(changes[from - 1].Kind == ChangeKind.Truncate && changes[from - 1].Relation.Name == truncated.Relation.Name)) from--;
        var since = context.Transaction with { Changes = [.. changes.Skip(from).Take(at - from)] };
        return [.. KeysIn(since, truncated, mapping).Where(k => context[k].Row is { IsOwnWrite: true })];
    }

    private static void DeleteEach(IReadOnlyList<RowKey> keys, RelationMapping mapping, PlanContext context, bool isRepeated)
    {
        foreach (var key in keys)
        {
            if (context[key].Row is null && context[key].Siblings.Count == 0) continue;
            ConflictRule.For(mapping.Table).Apply(new MappedChange(ChangeKind.Delete, mapping, key, null, null) { IsTruncate = true, IsRepeated = isRepeated }, context);
        }
    }

    /// <summary>The keys that a part writes in a table or, where that is a partition, in it.</summary>
    private static List<RowKey> KeysIn(ChangeTransaction transaction, RelationMapping truncated, Func<Relation, RelationMapping> mapping)
    {
        var isPartition = truncated.Relation.Name != truncated.Relation.Root;
        var written = transaction.Changes.Where(c => isPartition ? c.Relation.Name == truncated.Relation.Name : mapping(c.Relation).Table == truncated.Table);
        return [.. KeysOf(transaction with { Changes = [.. written] }, mapping).Select(k => k.Key)];
    }
}
