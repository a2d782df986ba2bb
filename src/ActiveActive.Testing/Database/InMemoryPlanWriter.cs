using ActiveActive.Apply;
using ActiveActive.Changes;
using ActiveActive.Database;
using ActiveActive.Diagnostics;

namespace ActiveActive.Testing.Database;

/// <summary>Performs the writes of a plan.</summary>
internal sealed class InMemoryPlanWriter(InMemoryServer server)
{
    public async ValueTask WriteAsync(InMemoryTransaction transaction, PlannedWrite write, CancellationToken cancellationToken)
    {
        var table = server.TableOf(write.Table);
        switch (write)
        {
            case InsertRow insert:
                if (!await transaction.InsertAsync(insert.Table, insert.Values, cancellationToken)) throw Overtaken(write, "already holds a row under the key to insert");
                lock (server.Gate) transaction.DropOwnNotes(table, table.KeyOf(insert.Values));
                break;
            case UpdateRow update:
                if (!await transaction.UpdateAsync(update.Table, update.Key, update.Values, cancellationToken)) throw Overtaken(write, "does not hold the row to update");
                lock (server.Gate) transaction.DropOwnNotes(table, update.Key);
                break;
            case DeleteRow delete:
                if (!await transaction.DeleteAsync(delete.Table, delete.Key, cancellationToken)) throw Overtaken(write, "does not hold the row to delete");
                lock (server.Gate) transaction.DropOwnNotes(table, delete.Key);
                break;
            case TruncateTable truncate:
                await TruncateAsync(transaction, table, truncate, cancellationToken);
                break;
            default:
                lock (server.Gate) WriteNote(transaction, table, write);
                break;
        }
    }

    private static void WriteNote(InMemoryTransaction transaction, InMemoryTable table, PlannedWrite write)
    {
        transaction.ThrowIfNotOpen();
        switch (write)
        {
            case SetTombstone tombstone:
                transaction.WriteNote(table.Tombstones, tombstone.Key, new InMemoryNote(transaction.Xid, tombstone.Version, []));
                break;
            case SetOverride { Version: { } version } set:
                transaction.WriteNote(table.Overrides, set.Key, new InMemoryNote(set.Xid ?? transaction.Xid, version, []) { IsKept = set.IsKept });
                break;
            case SetOverride drop:
                transaction.WriteNote(table.Overrides, drop.Key, null);
                break;
            case SetLoser set:
                transaction.WriteNote(table.Losers, set.Key, set.Loser is { } loser ? new InMemoryNote(0, loser.Version, [new Sibling(loser.Version, loser.Values)]) { Winner = set.Winner } : null);
                break;
            case SetSiblings { Siblings.Count: > 0 } set:
                var xid = table.Find(set.Key)?.SeenBy(transaction) is null ? InMemoryNote.NoRow : transaction.Xid;
                transaction.WriteNote(table.Siblings, set.Key, new InMemoryNote(xid, default, [.. set.Siblings]));
                break;
            case SetSiblings drop:
                transaction.WriteNote(table.Siblings, drop.Key, null);
                break;
            default:
                throw new InvalidOperationException($"A write of kind {write.GetType().Name} is not known to the in-memory database.");
        }
    }

    /// <summary>The rows are looked at one by one, each under its lock, since a local writer may change one while another is waited for.</summary>
    private async ValueTask TruncateAsync(
        InMemoryTransaction transaction, InMemoryTable table, TruncateTable truncate, CancellationToken cancellationToken)
    {
        // A table in memory has no leaves but itself.
        if (truncate.Partition is { } partition && partition != table.Definition.Name)
        {
            throw new ReplicationException(ReplicationErrorKind.ApplyRefused,
                $"A peer truncated {partition}, a partition of {table.Definition.Name} that this database does not have.");
        }

        var keys = new List<RowKey>();
        lock (server.Gate)
        {
            foreach (var cell in table.Cells)
            {
                if (cell.SeenBy(transaction) is { } row && !Survives(transaction, table, cell.Key, row, truncate)) keys.Add(cell.Key);
            }
        }

        foreach (var key in keys)
        {
            if (await transaction.LockExistingAsync(table, key, cancellationToken) is not { } row) continue;
            if (Survives(transaction, table, key, row, truncate)) continue;
            await transaction.DeleteAsync(truncate.Table, key, cancellationToken);
            lock (server.Gate) transaction.DropOwnNotes(table, key);
        }

        if (truncate.Partition is not null) return;
        lock (server.Gate)
        {
            foreach (var (key, note) in table.Losers.All)
            {
                if (!note.Version.IsNewerThan(truncate.Version)) transaction.WriteNote(table.Losers, key, null);
            }
        }

        if (Safeguards.IsOff(Safeguard.TableTombstone)) return;
        lock (server.Gate) transaction.WriteNote(table.Tombstones, table.WholeTable, new InMemoryNote(transaction.Xid, truncate.Version, []));
    }

    /// <summary>
    /// What this transaction wrote before, in operation order, goes. A row of the truncate's own origin goes, too: the origin's log orders
    /// them, and stamps are not compared (convergence R4). In a table with delta columns every row goes whose key has no later delete (R2).
    /// </summary>
    private bool Survives(InMemoryTransaction transaction, InMemoryTable table, RowKey key, InMemoryRow row, TruncateTable truncate)
    {
        var truncated = truncate.Version;
        lock (server.Gate)
        {
            if (table.Definition.Settings.HasDeltaColumns)
            {
                return transaction.ReadNote(table.Tombstones, key) is { } deleted && deleted.Version.IsNewerThan(truncated)
                    || transaction.ReadNote(table.Tombstones, table.WholeTable) is { } whole && whole.Version.IsNewerThan(truncated);
            }

            if (ReferenceEquals(row.WrittenBy, transaction.Record) || Safeguards.IsOff(Safeguard.LaterRowsStay)) return false;
            var (stamp, origin) = server.StampOf(row.WrittenBy);
            var version = transaction.OverrideOf(table, key, row) ?? new RowVersion(stamp, origin, default);
            return version.Origin != truncated.Origin && (version.IsNewerThan(truncated) || truncate.Later.Xids.Contains(row.WrittenBy.Xid));
        }
    }

    // Someone changed the key after it was read; read again, it is decided anew.
    private static ReplicationException Overtaken(PlannedWrite write, string what) =>
        new(ReplicationErrorKind.Transient, $"Table {write.Table} {what}: another transaction got there first.");
}
