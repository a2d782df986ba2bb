using ActiveActive.Changes;
using ActiveActive.Database;

namespace ActiveActive.Capture;

/// <summary>Finds the deletes of a local transaction: they are entered as tombstones BEFORE the transaction is published (convergence R1).</summary>
internal static class LocalDeletes
{
    public static void AddTombstones(ChangeTransaction transaction, List<Tombstone> tombstones)
    {
        foreach (var change in transaction.Changes)
        {
            switch (change.Kind)
            {
                // A single partition's TRUNCATE has no tombstone: one of the root would cover rows that it left alone.
                case ChangeKind.Truncate when change.Relation.Name == change.Relation.Root:
                    tombstones.Add(new Tombstone(change.Relation.Root, "", transaction.Version));
                    break;
                case ChangeKind.Delete:
                    tombstones.Add(Bury(change, transaction));
                    break;
                case ChangeKind.Update when change.OldRow is { } old && !SameKey(change.Relation, old, change.NewRow!):
                    tombstones.Add(Bury(change, transaction));
                    break;
            }
        }
    }

    private static Tombstone Bury(Change change, ChangeTransaction transaction) =>
        new(change.Relation.Root, change.Relation.KeyOf(change.OldRow!).ToText(), transaction.Version);

    private static bool SameKey(Relation relation, ColumnValue[] old, ColumnValue[] now)
    {
        foreach (var ordinal in relation.KeyOrdinals)
        {
            if (old[ordinal] != now[ordinal]) return false;
        }

        return true;
    }
}
