using ActiveActive.Apply;
using ActiveActive.Changes;
using ActiveActive.Database;
using ActiveActive.Diagnostics;
using ActiveActive.Progress;

namespace ActiveActive.Testing.Database;

/// <summary>Performs the writes of a plan.</summary>
internal sealed class InMemoryPlanWriter(InMemoryServer server)
{
    public async ValueTask WriteAsync(InMemoryTransaction transaction, PlannedWrite write, CancellationToken cancellationToken)
    {
        var table = server.TableOf(write.Table);
        switch (write)
        {
            case InsertRow or UpdateRow or DeleteRow:
                if (!await TryWriteRowAsync(transaction, write, cancellationToken))
                    throw new ReplicationException(ReplicationErrorKind.Transient, $"Table {write.Table} {(write is InsertRow ? "holds" : "does not hold")} the row of a {write.GetType().Name}: another transaction got there first.");
                break;
            case TruncateTable truncate:
                await TruncateAsync(transaction, table, truncate, cancellationToken);
                break;
            default:
                lock (server.Gate) WriteNote(transaction, table, write);
                break;
        }
    }

    /// <summary>Writes a row; false where it does not stand as it must.</summary>
    public async ValueTask<bool> TryWriteRowAsync(InMemoryTransaction transaction, PlannedWrite write, CancellationToken cancellationToken)
    {
        var table = server.TableOf(write.Table);
        var (isWritten, key) = write switch
        {
            InsertRow insert => (await transaction.InsertAsync(insert.Table, insert.Values, cancellationToken), table.KeyOf(insert.Values)),
            UpdateRow update => (await transaction.UpdateAsync(update.Table, update.Key, update.Values, cancellationToken), update.Key),
            DeleteRow delete => (await transaction.DeleteAsync(delete.Table, delete.Key, cancellationToken), delete.Key),
            _ => throw new InvalidOperationException($"A write of kind {write.GetType().Name} writes no row."),
        };
        if (!isWritten) return false;
        lock (server.Gate) transaction.DropOwnNotes(table, key);
        return true;
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
                if (cell.SeenBy(transaction) is { } row && !IsUnseen(transaction, table, cell.Key, row, truncate.Unseen)) keys.Add(cell.Key);
            }
        }

        foreach (var key in keys)
        {
            if (await transaction.LockExistingAsync(table, key, cancellationToken) is not { } row) continue;
            lock (server.Gate)
            {
                if (IsUnseen(transaction, table, key, row, truncate.Unseen)) continue;
            }

            await transaction.DeleteAsync(truncate.Table, key, cancellationToken);
            lock (server.Gate) transaction.DropOwnNotes(table, key);
        }

        if (truncate.Partition is not null) return;
        lock (server.Gate)
        {
            foreach (var (key, note) in transaction.NotesOf(table.Losers).ToList())
            {
                if (!note.Version.IsNewerThan(truncate.Version)) transaction.WriteNote(table.Losers, key, null);
            }
        }

        if (Safeguards.IsOff(Safeguard.TableTombstone)) return;
        lock (server.Gate) transaction.WriteNote(table.Tombstones, table.WholeTable, new InMemoryNote(transaction.Xid, truncate.Version, []));
    }

    /// <summary>The keys of rows, or of versions that came to none, which a truncate decides about one by one. Under the gate.</summary>
    public List<LocalKey> FindUnseen(InMemoryTransaction transaction, LocalTable definition, IReadOnlyCollection<ShownVersion> unseen)
    {
        var table = server.TableOf(definition);
        var keys = table.Cells.Where(c => c.SeenBy(transaction) is { } row && IsUnseen(transaction, table, c.Key, row, unseen)).Select(c => c.Key);
        var absent = transaction.NotesOf(table.Siblings).Where(s => s.Note.Xid == InMemoryNote.NoRow && table.Find(s.Key)?.SeenBy(transaction) is null).Select(s => s.Key);
        return [.. keys.Concat(absent).Select(k => new LocalKey(definition, k))];
    }

    private bool IsUnseen(InMemoryTransaction transaction, InMemoryTable table, RowKey key, InMemoryRow row, IReadOnlyCollection<ShownVersion> unseen)
    {
        if (transaction.OverrideOf(table, key, row) is not null || transaction.ReadNote(table.Siblings, key)?.Xid == row.WrittenBy.Xid) return true;
        if (ReferenceEquals(row.WrittenBy, transaction.Record)) return false;
        var (stamp, origin) = server.StampOf(row.WrittenBy);
        return unseen.Any(u => stamp.IsKnown ? u.Stamp == stamp && u.Origin == origin : (int)(row.WrittenBy.Xid - u.Xid) >= 0);
    }

    // Someone changed the key after it was read; read again, it is decided anew.
}
