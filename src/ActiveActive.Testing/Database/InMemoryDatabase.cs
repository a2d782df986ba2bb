using System.Runtime.CompilerServices;
using ActiveActive.Apply;
using ActiveActive.Changes;
using ActiveActive.Database;
using ActiveActive.Progress;
using NpgsqlTypes;

namespace ActiveActive.Testing.Database;

/// <summary>
/// The database seam in memory: tables, row locks, a log with positions and commit timestamps, replication origins, and what a crash
/// leaves of them. It behaves as PostgreSQL does in all that the seam promises and repeats exactly: no clock but the given one, no
/// randomness, no threads of its own. Methods complete synchronously unless they wait for a lock or for the log. Any thread may call it.
/// </summary>
internal sealed partial class InMemoryDatabase : ILocalDatabase
{
    private readonly InMemoryDatabaseOptions _options;
    private readonly InMemoryServer _server;
    private readonly bool _ownsServer;
    private InMemoryLease? _lease;

    public InMemoryDatabase(InMemoryDatabaseOptions options)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(options.MaxChangesPerPart, 1);
        _options = options;
        _server = new InMemoryServer(options);
        _ownsServer = true;
    }

    private InMemoryDatabase(InMemoryDatabase other)
    {
        _options = other._options;
        _server = other._server;
    }

    /// <summary>The same database as another instance of the application reaches it. Disposing it leaves the server running.</summary>
    public InMemoryDatabase ForInstance() => new(this);

    public OwnTransactions OwnTransactions { get; } = new();

    /// <summary>Whether the server runs: false between a <see cref="Crash"/> that leaves it down and <see cref="Start"/>.</summary>
    public bool IsRunning
    {
        get
        {
            lock (_server.Gate) return _server.IsRunning;
        }
    }

    public async ValueTask<ILeaderLease> LeadAsync(Action<string?> standsBy, CancellationToken cancellationToken)
    {
        InMemoryLease lease;
        bool isFirst;
        lock (_server.Gate)
        {
            _server.ThrowIfDown();
            lease = _server.Queue(out isFirst);
        }

        try
        {
            if (!isFirst) standsBy(null);
            await lease.WaitAsync(cancellationToken);
            return _lease = lease;
        }
        catch
        {
            await lease.DisposeAsync();
            throw;
        }
    }

    public ValueTask<IReadOnlyList<SetUpProblem>> CheckAsync(CancellationToken cancellationToken) => new([]);

    public ValueTask<DatabaseIdentity> SetUpAsync(bool isJoining, CancellationToken cancellationToken)
    {
        lock (_server.Gate)
        {
            _server.ThrowIfDown();
            _server.CommitUnpublished();

            // The slot is made once; what was committed before it is not captured.
            if (!isJoining && _server.ResyncFrom is null) _server.Checkpoint ??= new CaptureCheckpoint(_server.Log.End, CommitTimestamp.Unknown, DependencyVector.Empty);
            return new(new DatabaseIdentity(_options.SystemIdentifier, 1, 1, _options.Incarnation, 0));
        }
    }

    public ValueTask<CaptureCheckpoint?> FindCheckpointAsync(CancellationToken cancellationToken)
    {
        lock (_server.Gate)
        {
            _server.ThrowIfDown();
            return new(_server.Checkpoint);
        }
    }

    public ValueTask SaveCheckpointAsync(CaptureCheckpoint checkpoint, CancellationToken cancellationToken)
    {
        lock (_server.Gate)
        {
            _server.ThrowIfDown();
            if (_server.Checkpoint is null) throw NotSetUp();
            _server.CommitUnpublished();
            _server.Checkpoint = checkpoint;
            return default;
        }
    }

    public ValueTask<IChangeStream> OpenChangeStreamAsync(NpgsqlLogSequenceNumber start, SlotCopy? copy, CancellationToken cancellationToken)
    {
        lock (_server.Gate)
        {
            _server.ThrowIfDown();
            if (_server.Checkpoint is null) throw NotSetUp();
            return new(_server.OpenStream(start, copy));
        }
    }

    public ValueTask SaveTombstonesAsync(IReadOnlyList<Tombstone> tombstones, CancellationToken cancellationToken)
    {
        lock (_server.Gate)
        {
            _server.ThrowIfDown();
            _server.CommitUnpublished();
            foreach (var tombstone in tombstones)
            {
                var table = _server.TableOf(tombstone.Table);
                var key = tombstone.Key.Length == 0 ? table.WholeTable : new RowKey(tombstone.Table, KeyText.Read(tombstone.Key));
                table.Tombstones.Write(key, new InMemoryNote(0, tombstone.Version, []));
            }

            return default;
        }
    }

    public ValueTask<IReadOnlyList<uint>> ReadUnfinishedAsync(CancellationToken cancellationToken)
    {
        lock (_server.Gate)
        {
            _server.ThrowIfDown();
            return new(_server.Unfinished());
        }
    }

    public ValueTask<LogMarker> WriteMarkerAsync(CommitTimestamp floor, CancellationToken cancellationToken)
    {
        lock (_server.Gate)
        {
            _server.ThrowIfDown();
            var (marker, xid) = _server.WriteMarker(floor);
            OwnTransactions.Note(xid, OwnTransactions.Generation);
            return new(marker);
        }
    }

    public ValueTask PublishAsync(IReadOnlyList<Change> changes, CancellationToken cancellationToken)
    {
        Publish(changes);
        return default;
    }

    /// <summary>The same; returns the commit.</summary>
    internal InMemoryCommit Publish(IReadOnlyList<Change> changes)
    {
        lock (_server.Gate)
        {
            _server.ThrowIfDown();
            var commit = _server.Publish(changes);
            OwnTransactions.Note(commit.Xid, OwnTransactions.Generation);
            return commit;
        }
    }

    public ValueTask<NewTables> PublishNewTablesAsync(CancellationToken cancellationToken) => new(new NewTables([], null));

    public ValueTask<IApplySession> OpenApplySessionAsync(NodeName origin, CancellationToken cancellationToken)
    {
        lock (_server.Gate)
        {
            _server.ThrowIfDown();
            OwnTransactions.Renew();
            return new(_server.OpenSession(origin, OwnTransactions, _lease));
        }
    }

    public async IAsyncEnumerable<StoredRow?> ReadRowsAsync(IReadOnlyList<RowToFetch> rows, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await ValueTask.CompletedTask;
        foreach (var row in rows)
        {
            cancellationToken.ThrowIfCancellationRequested();
            StoredRow? stored;
            lock (_server.Gate)
            {
                _server.ThrowIfDown();
                stored = _server.ReadCommitted(row);
            }

            yield return stored;
        }
    }

    public ValueTask CollectAsync(DependencyVector stable, uint horizon, CancellationToken cancellationToken)
    {
        lock (_server.Gate)
        {
            _server.ThrowIfDown();
            _server.CommitUnpublished();
            foreach (var table in _server.Tables) InMemoryCollection.Collect(table, stable, horizon);
            return default;
        }
    }

    public ValueTask<IReadOnlyList<QuarantinedTransaction>> ReadQuarantineAsync(NodeName? origin, CancellationToken cancellationToken)
    {
        lock (_server.Gate)
        {
            _server.ThrowIfDown();
            return new(_server.Quarantine.All(origin));
        }
    }

    public ValueTask<ReadOnlyMemory<byte>?> ReadQuarantinedPartAsync(QuarantinedTransaction transaction, int part, CancellationToken cancellationToken)
    {
        lock (_server.Gate)
        {
            _server.ThrowIfDown();
            return new(_server.Quarantine.Part(transaction, part));
        }
    }

    public ValueTask NoteRefusalAsync(QuarantinedTransaction transaction, string code, string reason, CancellationToken cancellationToken)
    {
        lock (_server.Gate)
        {
            _server.ThrowIfDown();
            _server.CommitUnpublished();
            if (_server.Quarantine.Find(transaction.Id) is { } entry)
            {
                _server.Quarantine.Set(entry with { Code = code, Reason = reason, Attempts = entry.Attempts + 1, LastAttempt = _server.Now().ToDateTimeOffset() });
            }

            return default;
        }
    }

    public ValueTask<IReadOnlyList<TableName>> ReadTablesWithLosersAsync(CancellationToken cancellationToken)
    {
        lock (_server.Gate)
        {
            _server.ThrowIfDown();
            return new([.. _server.Tables.Where(t => t.Losers.Count > 0).Select(t => t.Definition.Name)]);
        }
    }

    public ValueTask<IReadOnlyList<HiddenRow>> ReadLosersAsync(TableName? table, int limit, CancellationToken cancellationToken)
    {
        lock (_server.Gate)
        {
            _server.ThrowIfDown();
            return new([.. _server.Tables.Where(t => table is null || t.Definition.Name == table).SelectMany(t => t.Losers.All.Select(n => new HiddenRow(
                t.Definition.Name, n.Key.Values, RowImages.ToRow(t.Definition, n.Value.Loser!.Values), n.Value.Version, n.Value.Winner?.Values)))
                .OrderBy(h => h.Version.Stamp).Take(limit)]);
        }
    }

    public ValueTask<IReadOnlyList<UniqueKey>> ReadUniqueKeysAsync(CancellationToken cancellationToken)
    {
        lock (_server.Gate)
        {
            _server.ThrowIfDown();
            return new([.. _server.Tables.SelectMany(t => t.UniqueKeys.Select(k => UniqueKey.Of(t.Definition.Name, k.Ordinals.Select(o => t.Definition.Columns[o].Name), k.NullsNotDistinct, null, null)))
                .OrderBy(static k => k.Table).ThenBy(static k => k.Definition, StringComparer.Ordinal)]);
        }
    }

    public async IAsyncEnumerable<ConflictRecord> ReadConflictsAsync(ConflictQuery query, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        List<ConflictRecord> found;
        lock (_server.Gate)
        {
            _server.ThrowIfDown();
            found = _server.Conflicts.Find(query);
        }

        await ValueTask.CompletedTask;
        foreach (var record in found)
        {
            cancellationToken.ThrowIfCancellationRequested();
            yield return record;
        }
    }

    public ValueTask<IOrphanSession> OpenOrphanSessionAsync(TimeSpan statementTimeout, CancellationToken cancellationToken)
    {
        lock (_server.Gate)
        {
            _server.ThrowIfDown();
            return new(new InMemoryOrphanSession(_server));
        }
    }

    public ValueTask<long> DeleteConflictsAsync(DateTimeOffset before, CancellationToken cancellationToken)
    {
        lock (_server.Gate)
        {
            _server.ThrowIfDown();
            _server.CommitUnpublished();
            return new(_server.Conflicts.RemoveBefore(before));
        }
    }

    public ValueTask DisposeAsync()
    {
        if (!_ownsServer) return default;
        lock (_server.Gate) _server.Dispose();
        return default;
    }

    /// <summary>Begins a transaction of the application; its commit is durable at once.</summary>
    public InMemoryTransaction BeginLocal()
    {
        lock (_server.Gate)
        {
            _server.ThrowIfDown();
            return _server.BeginLocal();
        }
    }

    /// <summary>The table of rows that are out of sight for their foreign keys; null where no table has one.</summary>
    public LocalTable? OrphanTable => _server.FindOrphanTable()?.Definition;

    /// <summary>The definition of a table, by <c>schema.table</c>.</summary>
    public LocalTable Table(string name) => _server.TableOf(TableName.Parse(name)).Definition;

    /// <summary>Other unique keys than the table was made with, of which it had some; its rows satisfy them.</summary>
    public void ReplaceUniqueKeys(LocalTable table, params IReadOnlyList<InMemoryUniqueKey> keys)
    {
        lock (_server.Gate) _server.TableOf(table).UniqueKeys = keys;
    }

    /// <summary>The committed rows of a table, in no particular but repeatable order.</summary>
    public IReadOnlyList<ColumnValue[]> ReadRows(LocalTable table)
    {
        lock (_server.Gate)
        {
            var rows = new List<ColumnValue[]>();
            foreach (var cell in _server.TableOf(table).Cells)
            {
                if (cell.Committed is { } row) rows.Add((ColumnValue[])row.Values.Clone());
            }

            return rows;
        }
    }

    /// <summary>What stands under every key that the table has, or has a tombstone of: the row, or null, and which write it shows.</summary>
    public IReadOnlyList<(RowKey Key, ColumnValue[]? Row, RowVersion Version)> ReadVersions(LocalTable table)
    {
        lock (_server.Gate)
        {
            var target = _server.TableOf(table);
            var found = new List<(RowKey Key, ColumnValue[]? Row, RowVersion Version)>();
            foreach (var cell in target.Cells)
            {
                if (cell.Committed is not { } row) continue;
                var (stamp, origin) = _server.StampOf(row.WrittenBy);
                var version = target.Overrides.Find(cell.Key) is { } note && note.Xid == row.WrittenBy.Xid ? note.Version : new RowVersion(stamp, origin, default);
                found.Add((cell.Key, row.Values, version));
            }

            foreach (var (key, tombstone) in target.Tombstones.All)
            {
                if (key.Values.Count > 0 && target.Find(key)?.Committed is null) found.Add((key, null, tombstone.Version));
            }

            return found;
        }
    }

    /// <summary>The conflict history, oldest first.</summary>
    public IReadOnlyList<ConflictRecord> ReadConflicts()
    {
        lock (_server.Gate)
        {
            var records = _server.Conflicts.Find(new ConflictQuery { Limit = int.MaxValue });
            records.Reverse();
            return records;
        }
    }

    /// <summary>How many tombstones, overrides and siblings are kept.</summary>
    public int NoteCount
    {
        get
        {
            lock (_server.Gate) return _server.Tables.Sum(t => t.Tombstones.Count + t.Overrides.All.Values.Count(static o => !o.IsKept) + t.Siblings.Count);
        }
    }

    /// <summary>The transactions in quarantine.</summary>
    public IReadOnlyList<QuarantinedTransaction> Quarantined
    {
        get
        {
            lock (_server.Gate) return _server.Quarantine.All(null);
        }
    }

    /// <summary>The last transaction of an origin that was committed here.</summary>
    public NpgsqlLogSequenceNumber ProgressOf(NodeName origin)
    {
        lock (_server.Gate) return _server.ProgressOf(origin);
    }

    /// <summary>Kills the server: sessions and streams break, open transactions are gone, and so are commits that were not flushed.</summary>
    /// <param name="stayDown">Whether it only comes back with <see cref="Start"/>; else it is back at once.</param>
    public void Crash(bool stayDown = false)
    {
        lock (_server.Gate) _server.Crash(stayDown);
    }

    /// <summary>Starts the server again after a <see cref="Crash"/>.</summary>
    public void Start()
    {
        lock (_server.Gate) _server.Start();
    }

    /// <summary>Whether readers of the log are shown nothing new, as where the walsender is slow: capture then passes late.</summary>
    public bool HoldsCapture
    {
        set
        {
            lock (_server.Gate) _server.HoldCapture(value);
        }
    }

    /// <summary>Breaks every connection; the server runs on with all that was committed.</summary>
    public void BreakConnections()
    {
        lock (_server.Gate) _server.BreakConnections("The connection to the database was lost");
    }

    /// <summary>
    /// Takes the lead from the instance that has it, as a server does whose leader says nothing: it is frozen. Its sessions end once another leads; it learns that it does not
    /// lead when the result is called.
    /// </summary>
    public Action EndLead()
    {
        InMemoryLease? lease;
        lock (_server.Gate) lease = _server.EndLead();
        return () => lease?.Tell();
    }

    /// <summary>Forgets the stamps of all transactions so far, as PostgreSQL does when old transaction ids are frozen.</summary>
    public void ForgetCommitTimestamps()
    {
        lock (_server.Gate) _server.ForgetCommitTimestamps();
    }

    private ReplicationException NotSetUp() => new(ReplicationErrorKind.Misconfigured, $"The database of node {_options.Node} was not set up.");
}
