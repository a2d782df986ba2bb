using ActiveActive.Changes;
using ActiveActive.Database;

namespace ActiveActive.Apply;

/// <content>How a transaction in quarantine is given up.</content>
internal sealed partial class ApplyWorker
{
    /// <summary>Gives a transaction in quarantine up: each of its changes is recorded in the conflict history, in the commit that takes it out.</summary>
    public async ValueTask DiscardAsync(QuarantinedTransaction entry, CancellationToken cancellationToken)
    {
        var withRows = true;
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                await DiscardAsync(entry, withRows, cancellationToken);
                return;
            }
            catch (ReplicationException e) when (e.Kind == ReplicationErrorKind.ApplyRefused && withRows)
            {
                // The history refuses, too, where a character is not in the database's encoding.
                withRows = false;
            }
            catch (ReplicationException e) when (e.Kind == ReplicationErrorKind.Transient && attempt < MaxRetries && !cancellationToken.IsCancellationRequested)
            {
                // It locks the rows that it records, in the order of the transaction: an application's may lock them in another.
                await Task.Delay(DelayAfter(attempt), _timeProvider, cancellationToken);
            }
        }
    }

    private async ValueTask DiscardAsync(QuarantinedTransaction entry, bool withRows, CancellationToken cancellationToken)
    {
        try
        {
            _conflicts.Clear();
            await _session.BeginAsync(cancellationToken);
            for (var i = 0; i < entry.Parts; i++)
            {
                var part = await ReadStoredAsync(entry, i, cancellationToken);
                var plan = new ApplyPlan();
                var local = withRows ? await ReadLocalAsync(part, cancellationToken) : [];
                foreach (var change in part.Changes) plan.Conflicts.Add(RecordDiscard(change, part, entry, local, withRows));
                await _session.ExecuteAsync(plan, cancellationToken);
                _conflicts.AddRange(plan.Conflicts);
            }

            await _session.ReleaseAsync(entry, cancellationToken);
            await _session.CommitAsync(entry.Position, entry.Stamp, cancellationToken);
            await LeaveAsync(entry, cancellationToken);
        }
        catch
        {
            await RollbackAsync();
            throw;
        }
    }

    private ConflictRecord RecordDiscard(Change change, ChangeTransaction part, QuarantinedTransaction entry, Dictionary<RowKey, KeyState> local, bool withRows)
    {
        var image = withRows ? change.NewRow ?? change.OldRow : null;
        var mapping = _mappings.GetValueOrDefault(change.Relation);
        var state = image is not null && mapping is not null ? local.GetValueOrDefault(mapping.KeyOf(image)) : null;
        return new ConflictRecord
        {
            Table = change.Relation.Root,
            Key = image is null ? [] : [.. change.Relation.KeyOrdinals.Select(i => image[i].Text ?? "")],
            Type = ConflictType.Discarded,
            LocalRow = state?.Row is { } row ? RowImages.ToRow(mapping!.Table, row.Values) : null,
            LocalVersion = state?.Row is { } standing ? state.Override ?? VersionOf(mapping!.KeyOf(image!), standing) : state?.Tombstone,
            RemoteRow = withRows && change.NewRow is { } values ? ToRow(change.Relation, values) : null,
            RemoteVersion = part.Version,
            Outcome = ConflictOutcome.Skip,
            Winner = _progress.Self,
            Resolver = "quarantine",
            Reason = $"The transaction was discarded from quarantine (entry {entry.Id}{(withRows ? "" : "; this database can't hold its rows")}). {entry.Reason}",
        };
    }

    /// <summary>What stands here under the keys of what is discarded; nothing of a table that does not fit.</summary>
    private async ValueTask<Dictionary<RowKey, KeyState>> ReadLocalAsync(ChangeTransaction part, CancellationToken cancellationToken)
    {
        var unfit = new HashSet<Relation>();
        foreach (var relation in part.Changes.Select(c => c.Relation).Distinct().Where(r => !_mappings.ContainsKey(r)))
        {
            try
            {
                _mappings = new(_mappings) { [relation] = RelationMapping.Create(relation, await _session.FindTableAsync(relation, cancellationToken), _origin) };
            }
            catch (ReplicationException e) when (e.Kind == ReplicationErrorKind.ApplyRefused)
            {
                unfit.Add(relation);
            }
        }

        var keys = ApplyPlanner.KeysOf(part with { Changes = [.. part.Changes.Where(c => !unfit.Contains(c.Relation))] }, MappingOf);
        var states = await _session.ReadKeysAsync(keys, cancellationToken);
        return keys.Select((key, i) => (key.Key, State: states[i])).ToDictionary(k => k.Key, k => k.State);
    }

    private RowVersion VersionOf(RowKey key, LocalRow row) =>
        _index.TryGetVersion(key, row.Xid, row.Origin, row.Stamp, out var known) ? known : new RowVersion(row.Stamp, row.Origin, default);

    private static Row ToRow(Relation relation, ColumnValue[] values) =>
        new(Enumerable.Range(0, values.Length).Where(i => !values[i].IsUnchanged).Select(i => KeyValuePair.Create(relation.Columns[i].Name, values[i].Text)));
}
