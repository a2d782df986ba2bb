using ActiveActive.Changes;
using ActiveActive.Database;
using ActiveActive.Diagnostics;

namespace ActiveActive.Testing.Database;

/// <summary>Finds and treats orphans in memory; see the seam.</summary>
internal sealed class InMemoryOrphanSession(InMemoryServer server) : IOrphanSession
{
    public ValueTask<IReadOnlyList<ForeignKey>> ReadForeignKeysAsync(CancellationToken cancellationToken)
    {
        lock (server.Gate)
        {
            server.ThrowIfDown();
            return new([.. server.Tables.SelectMany(t => t.ForeignKeys).OrderBy(k => k.Table).ThenBy(k => k.Name, StringComparer.Ordinal)]);
        }
    }

    public ValueTask<IReadOnlyList<OrphanedRow>> ReadOrphansAsync(ForeignKey key, int limit, CancellationToken cancellationToken)
    {
        lock (server.Gate)
        {
            server.ThrowIfDown();
            var table = server.TableOf(key.Table);
            return new([.. table.Cells.Where(c => c.Committed is { } row && server.IsOrphan(key, row.Values, static cell => cell?.Committed))
                .OrderBy(c => c.Key.ToText(), StringComparer.Ordinal).Take(limit)
                .Select(c => new OrphanedRow(key.Table, c.Key.Values, key.Name, ValuesOf(table, key, c.Committed!.Values), key.Referenced, key.Policy))]);
        }
    }

    public async ValueTask<bool> RepairAsync(ForeignKey key, OrphanedRow orphan, CancellationToken cancellationToken)
    {
        using var transaction = Begin(isReplica: key.Policy == OrphanPolicy.Quarantine);
        var table = server.TableOf(key.Table);
        var rowKey = new RowKey(key.Table, [.. orphan.Key]);
        if (await transaction.ReadForUpdateAsync(table.Definition, rowKey, cancellationToken) is not { } row) return false;
        server.OrphanLocked?.Invoke(rowKey);
        if (!Safeguards.IsOff(Safeguard.RepairWhatIsStillOrphaned) && !IsStill(table, key, orphan, row, transaction)) return false;
        var isWritten = key.Policy switch
        {
            OrphanPolicy.SetNull => await transaction.UpdateAsync(table.Definition, rowKey, WithNulls(table, key), cancellationToken),
            OrphanPolicy.Quarantine => await HideAsync(transaction, table, key, rowKey, row, cancellationToken),
            _ => false,
        };
        if (isWritten) await CommitAsync(transaction);
        return isWritten;
    }

    public ValueTask<IReadOnlyList<QuarantinedOrphan>> ReadQuarantinedAsync(TableName? table, int limit, CancellationToken cancellationToken)
    {
        lock (server.Gate)
        {
            server.ThrowIfDown();
            if (server.FindOrphanTable() is not { } orphans) return new([]);
            return new([.. orphans.Cells.Where(c => c.Committed is not null).Select(c => InMemoryOrphans.Read(c.Committed!.Values))
                .Where(o => table is null || o.Table == table).OrderBy(o => o.Table).ThenBy(o => KeyText.Write([.. o.Key]), StringComparer.Ordinal).Take(limit)]);
        }
    }

    public async ValueTask<OrphanReturn> ReturnAsync(RowKey key, IReadOnlyList<ForeignKey> keys, bool isDryRun, CancellationToken cancellationToken)
    {
        using var transaction = Begin(isReplica: true);
        var (table, orphans) = (server.TableOf(key.Table), server.TableOf(ReplicatedTables.Orphans));
        var entry = InMemoryOrphans.KeyOf(key);
        if (await transaction.ReadForUpdateAsync(orphans.Definition, entry, cancellationToken) is not { } stored || InMemoryOrphans.Read(stored).IsReplaced) return OrphanReturn.Gone;
        server.OrphanLocked?.Invoke(key);
        var outcome = OrphanReturn.Replaced;
        if (transaction.Read(table.Definition, key) is null)
        {
            var row = RowText.Read(table.Definition, InMemoryOrphans.RowOf(stored));
            if (keys.Any(k => IsOrphan(k, row, transaction))) return OrphanReturn.Waits;
            outcome = OrphanReturn.Returned;
            if (isDryRun) return outcome;
            if (!await transaction.InsertAsync(table.Definition, row, cancellationToken)) throw new ReplicationException(ReplicationErrorKind.ApplyRefused, $"A unique value of a row of {key.Table} that was an orphan is taken.");
            await transaction.DeleteAsync(orphans.Definition, entry, cancellationToken);
        }
        else if (!isDryRun)
        {
            await transaction.UpdateAsync(orphans.Definition, entry, InMemoryOrphans.Replaced(), cancellationToken);
        }

        if (!isDryRun) await CommitAsync(transaction);
        return outcome;
    }

    public async ValueTask<bool> DiscardAsync(RowKey key, CancellationToken cancellationToken)
    {
        using var transaction = Begin(isReplica: true);
        if (!await transaction.DeleteAsync(server.TableOf(ReplicatedTables.Orphans).Definition, InMemoryOrphans.KeyOf(key), cancellationToken)) return false;
        await CommitAsync(transaction);
        return true;
    }

    public ValueTask DisposeAsync() => default;

    private async ValueTask<bool> HideAsync(InMemoryTransaction transaction, InMemoryTable table, ForeignKey key, RowKey rowKey, ColumnValue[] row, CancellationToken cancellationToken)
    {
        var orphans = server.TableOf(ReplicatedTables.Orphans).Definition;
        var values = InMemoryOrphans.Write(rowKey, key.Name, RowText.Write(table.Definition, row));
        return (await transaction.UpdateAsync(orphans, InMemoryOrphans.KeyOf(rowKey), values, cancellationToken) || await transaction.InsertAsync(orphans, values, cancellationToken))
            && await transaction.DeleteAsync(table.Definition, rowKey, cancellationToken);
    }

    private InMemoryTransaction Begin(bool isReplica)
    {
        lock (server.Gate)
        {
            server.ThrowIfDown();
            var transaction = server.BeginLocal();
            transaction.IsReplica = isReplica;
            return transaction;
        }
    }

    private async ValueTask CommitAsync(InMemoryTransaction transaction) => await transaction.CommitAsync(_ => server.OrphanTreated?.Invoke(transaction));

    private bool IsStill(InMemoryTable table, ForeignKey key, OrphanedRow orphan, ColumnValue[] row, InMemoryTransaction transaction) =>
        ValuesOf(table, key, row).SequenceEqual(orphan.Values) && IsOrphan(key, row, transaction);

    private bool IsOrphan(ForeignKey key, ColumnValue[] row, InMemoryTransaction transaction)
    {
        lock (server.Gate) return server.IsOrphan(key, row, cell => cell?.SeenBy(transaction));
    }

    private static string?[] ValuesOf(InMemoryTable table, ForeignKey key, ColumnValue[] row) => [.. key.Columns.Select(c => row[table.Definition.OrdinalOf(c)].Text)];

    private static ColumnValue[] WithNulls(InMemoryTable table, ForeignKey key)
    {
        var values = new ColumnValue[table.Definition.Columns.Count];
        Array.Fill(values, ColumnValue.Unchanged);
        foreach (var column in key.NullableColumns) values[table.Definition.OrdinalOf(column)] = ColumnValue.Null;
        return values;
    }
}
