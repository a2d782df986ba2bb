using ActiveActive.Changes;
using ActiveActive.Database;

namespace ActiveActive.Simulation.Cluster;

/// <summary>A session of the orphan watch; others go on between its looks and its writes.</summary>
internal sealed class LifeOrphanSession(LifeDatabase life, IOrphanSession inner) : IOrphanSession
{
    public async ValueTask<IReadOnlyList<ForeignKey>> ReadForeignKeysAsync(CancellationToken cancellationToken)
    {
        await life.PauseAsync();
        return await inner.ReadForeignKeysAsync(cancellationToken);
    }

    public async ValueTask<IReadOnlyList<OrphanedRow>> ReadOrphansAsync(ForeignKey key, int limit, CancellationToken cancellationToken)
    {
        await life.PauseAsync();
        var orphans = await inner.ReadOrphansAsync(key, limit, cancellationToken);
        var now = life.Node.Knowledge;
        life.OrphanSights = orphans.Select(o => (o.Key[0], o.Values[0]!)).ToDictionary(o => o, o => life.OrphanSights.TryGetValue(o, out var before) ? (before.Count + 1, before.First) : (1, now));
        await life.PauseAsync();
        return orphans;
    }

    public async ValueTask<bool> RepairAsync(ForeignKey key, OrphanedRow orphan, CancellationToken cancellationToken)
    {
        await life.PauseAsync();
        var isWritten = await inner.RepairAsync(key, orphan, cancellationToken);
        await life.PauseAsync();
        return isWritten;
    }

    public async ValueTask<IReadOnlyList<QuarantinedOrphan>> ReadQuarantinedAsync(TableName? table, int limit, CancellationToken cancellationToken)
    {
        await life.PauseAsync();
        return await inner.ReadQuarantinedAsync(table, limit, cancellationToken);
    }

    public async ValueTask<OrphanReturn> ReturnAsync(RowKey key, IReadOnlyList<ForeignKey> keys, bool isDryRun, CancellationToken cancellationToken)
    {
        await life.PauseAsync();
        var outcome = await inner.ReturnAsync(key, keys, isDryRun, cancellationToken);
        await life.PauseAsync();
        return outcome;
    }

    public ValueTask<bool> DiscardAsync(RowKey key, CancellationToken cancellationToken) => inner.DiscardAsync(key, cancellationToken);

    public ValueTask DisposeAsync() => inner.DisposeAsync();
}
