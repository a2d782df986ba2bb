using System.Runtime.CompilerServices;
using ActiveActive.Apply;
using ActiveActive.Changes;
using ActiveActive.Database;
using ActiveActive.Progress;
using NpgsqlTypes;

namespace ActiveActive.Testing.Database;

/// <summary>Applies one origin's transactions; commits are asynchronous, as on PostgreSQL.</summary>
internal sealed class InMemoryApplySession : IApplySession
{
    private readonly InMemoryServer _server;
    private readonly InMemoryPlanWriter _writer;
    private readonly OwnTransactions _own;
    private InMemoryTransaction? _transaction;
    private ReplicationException? _broken;

    internal InMemoryApplySession(InMemoryServer server, NodeName origin, OwnTransactions own)
    {
        _server = server;
        _own = own;
        _writer = new InMemoryPlanWriter(server);
        Origin = origin;
        ServerTime = server.Now();
        AppliedPosition = server.RecordedProgressOf(origin);
    }

    public NodeName Origin { get; }

    public NpgsqlLogSequenceNumber AppliedPosition { get; private set; }

    public CommitTimestamp ServerTime { get; private set; }

    public ValueTask<CommitTimestamp> ReadServerTimeAsync(CancellationToken cancellationToken)
    {
        lock (_server.Gate)
        {
            ThrowIfBroken();
            ServerTime = _server.Now();
            return new(ServerTime);
        }
    }

    public ValueTask<LocalTable?> FindTableAsync(Relation relation, CancellationToken cancellationToken)
    {
        lock (_server.Gate)
        {
            ThrowIfBroken();
            return new(_server.FindTable(relation)?.Definition);
        }
    }

    public void ForgetTables()
    {
    }

    public ValueTask BeginAsync(CancellationToken cancellationToken)
    {
        lock (_server.Gate)
        {
            ThrowIfBroken();
            if (_transaction is not null) throw new InvalidOperationException($"The apply session of {Origin} is in a transaction already.");
            _transaction = _server.BeginForeign(Origin);
            ServerTime = _server.Now();
            return default;
        }
    }

    public async ValueTask LockTableAsync(LocalTable table, CancellationToken cancellationToken) =>
        await Current().LockTableAsync(_server.TableOf(table), shared: false, cancellationToken);

    public async ValueTask<IReadOnlyList<KeyState>> ReadKeysAsync(IReadOnlyList<LocalKey> keys, CancellationToken cancellationToken)
    {
        var transaction = Current();
        var rows = new InMemoryRow?[keys.Count];
        for (var i = 0; i < rows.Length; i++)
        {
            rows[i] = await transaction.LockExistingAsync(_server.TableOf(keys[i].Table), keys[i].Key, cancellationToken);
        }

        if (_server.Interrupt is { } interrupt) await interrupt();
        lock (_server.Gate)
        {
            transaction.ThrowIfNotOpen();
            var states = new KeyState[rows.Length];
            for (var i = 0; i < states.Length; i++) states[i] = StateOf(transaction, _server.TableOf(keys[i].Table), keys[i].Key, rows[i]);
            return states;
        }
    }

    public ValueTask<UniqueClashes> FindClashesAsync(LocalTable table, IReadOnlyList<ColumnValue[]> rows, CancellationToken cancellationToken)
    {
        lock (_server.Gate)
        {
            var transaction = Current();
            transaction.ThrowIfNotOpen();
            var target = _server.TableOf(table);
            var stored = new List<(int, RowKey)>();
            var pairs = new List<(int, int)>();
            for (var i = 0; i < rows.Count; i++)
            {
                var own = target.KeyOf(rows[i]);
                foreach (var cell in target.Cells)
                {
                    if (cell.Key != own && cell.SeenBy(transaction) is { } row && target.Clash(rows[i], row.Values)) stored.Add((i, cell.Key));
                }

                foreach (var (key, note) in transaction.NotesOf(target.Losers))
                {
                    if (key != own && target.Clash(rows[i], note.Loser!.Values)) stored.Add((i, key));
                }

                for (var j = i + 1; j < rows.Count; j++)
                {
                    if (target.Clash(rows[i], rows[j])) pairs.Add((i, j));
                }
            }

            return new(new UniqueClashes(stored, pairs));
        }
    }

    public ValueTask<IReadOnlyList<RowKey>> ReadLosersAsync(LocalTable table, RowKey? after, int limit, CancellationToken cancellationToken)
    {
        lock (_server.Gate)
        {
            var transaction = Current();
            transaction.ThrowIfNotOpen();
            var first = after?.ToText() ?? "";
            return new([.. transaction.NotesOf(_server.TableOf(table).Losers).Select(n => n.Key)
                .Where(k => string.CompareOrdinal(k.ToText(), first) > 0).OrderBy(k => k.ToText(), StringComparer.Ordinal).Take(limit)]);
        }
    }

    public async IAsyncEnumerable<IReadOnlyList<LocalKey>> ReadUnseenAsync(
        LocalTable table, TableName? partition, IReadOnlyCollection<ShownVersion> unseen, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        List<LocalKey> keys;
        lock (_server.Gate)
        {
            var transaction = Current();
            transaction.ThrowIfNotOpen();
            keys = _writer.FindUnseen(transaction, table, unseen);
        }

        if (_server.Interrupt is { } interrupt) await interrupt();
        if (keys.Count > 0) yield return keys;
    }

    public void GiveWay()
    {
        // A circle of waits ends at once here, and it is the one who closes it that is given up.
    }

    public void Group(GroupedVersions versions)
    {
        lock (_server.Gate) Current().Grouped = versions;
    }

    public void Prepare(ApplyPlan plan)
    {
    }

    public async ValueTask<bool> TryWriteSeenAsync(ApplyPlan plan, SeenRows seen, CancellationToken cancellationToken)
    {
        var transaction = Current();
        try
        {
            foreach (var write in plan.Writes)
            {
                var table = _server.TableOf(write.Table);
                var key = write switch { UpdateRow update => update.Key, DeleteRow delete => delete.Key, _ => (RowKey?)null };
                if (key is { } written && (await transaction.LockExistingAsync(table, written, cancellationToken) is not { } row || !IsSeen(transaction, row, seen))) return Refuse(transaction);
                if (table.Overrides.Count > 0 || table.Siblings.Count > 0) return Refuse(transaction);
                if (!await _writer.TryWriteRowAsync(transaction, write, cancellationToken)) return Refuse(transaction);
            }

            return true;
        }
        catch (ReplicationException e) when (e.Kind == ReplicationErrorKind.ApplyRefused)
        {
            return Refuse(transaction);
        }
        catch
        {
            transaction.Fail();
            throw;
        }
    }

    public ValueTask<TombstoneLook> FindTombstoneAsync(IReadOnlyList<RowKey> keys, CancellationToken cancellationToken)
    {
        lock (_server.Gate)
        {
            var transaction = Current();
            transaction.ThrowIfNotOpen();
            return new(Looked(transaction, keys.Any(key => _server.TableOf(key.Table) is var table
                && (transaction.ReadNote(table.Tombstones, key) is not null || transaction.ReadNote(table.Tombstones, table.WholeTable) is not null))));
        }
    }

    public ValueTask<TombstoneLook> FindTombstoneOfOwnRowAsync(LocalTable table, RowVersion except, CancellationToken cancellationToken)
    {
        lock (_server.Gate)
        {
            var transaction = Current();
            transaction.ThrowIfNotOpen();
            var target = _server.TableOf(table);
            return new(Looked(transaction, transaction.NotesOf(target.Tombstones).Any(n => n.Note.Version != except
                && (n.Key == target.WholeTable || ReferenceEquals(target.Find(n.Key)?.SeenBy(transaction)?.WrittenBy, transaction.Record)))));
        }
    }

    private TombstoneLook Looked(InMemoryTransaction transaction, bool isFound)
    {
        _own.Note(transaction.Xid, _own.Generation);
        return new TombstoneLook(isFound, _server.AfterAllEnded);
    }

    public async ValueTask ExecuteAsync(ApplyPlan plan, CancellationToken cancellationToken)
    {
        var transaction = Current();
        try
        {
            foreach (var write in plan.Writes) await _writer.WriteAsync(transaction, write, cancellationToken);
            lock (_server.Gate)
            {
                transaction.ThrowIfNotOpen();
                foreach (var conflict in plan.Conflicts)
                {
                    transaction.AddConflict(conflict with { Id = _server.Conflicts.NextId(), RecordedAt = _server.Now().ToDateTimeOffset() });
                }
            }
        }
        catch
        {
            transaction.Fail();
            throw;
        }
    }

    public ValueTask KeepReceivedAsync(ChangeTransaction part, CancellationToken cancellationToken)
    {
        lock (_server.Gate)
        {
            var transaction = Current();
            transaction.ThrowIfNotOpen();
            transaction.Received.Add(part);
            return default;
        }
    }

    public ValueTask StoreQuarantinedPartAsync(NpgsqlLogSequenceNumber position, int part, ReadOnlyMemory<byte> content, CancellationToken cancellationToken)
    {
        lock (_server.Gate)
        {
            var transaction = Current();
            transaction.ThrowIfNotOpen();
            transaction.StoreQuarantinedPart(content);
            return default;
        }
    }

    public ValueTask<long> QuarantineAsync(QuarantinedTransaction transaction, CancellationToken cancellationToken)
    {
        lock (_server.Gate)
        {
            var current = Current();
            current.ThrowIfNotOpen();
            var id = _server.Quarantine.NextId();
            current.Quarantine(transaction with { Id = id });
            return new(id);
        }
    }

    public ValueTask ReleaseAsync(QuarantinedTransaction transaction, CancellationToken cancellationToken)
    {
        lock (_server.Gate)
        {
            var current = Current();
            current.ThrowIfNotOpen();
            current.Release(_server.Quarantine.Find(transaction.Id) ?? throw new ReplicationException(ReplicationErrorKind.Corrupt,
                $"Transaction {Origin} {transaction.Position} is not in quarantine any more: somebody else took it out."));
            return default;
        }
    }

    public ValueTask CommitAsync(NpgsqlLogSequenceNumber position, CommitTimestamp stamp, CancellationToken cancellationToken)
    {
        lock (_server.Gate)
        {
            var transaction = Current();
            transaction.ThrowIfNotOpen();
            _transaction = null;
            _own.Note(transaction.Xid, _own.Generation);
            _server.CommitForeign(transaction, Origin, position, stamp);
            if (position > AppliedPosition) AppliedPosition = position;
            ServerTime = _server.Now();
            return default;
        }
    }

    public ValueTask<bool> RollbackAsync(CancellationToken cancellationToken)
    {
        lock (_server.Gate)
        {
            _transaction?.Rollback();
            _transaction = null;
            return new(_broken is null);
        }
    }

    /// <summary>A commit that fails after the transaction has named its position: as on PostgreSQL from 16 on, the origin's progress moves all the same.</summary>
    internal void AbortCommit(NpgsqlLogSequenceNumber position)
    {
        lock (_server.Gate)
        {
            var transaction = Current();
            transaction.ThrowIfNotOpen();
            transaction.Fail();
            if (position > _server.RecordedProgressOf(Origin)) _server.Record(Origin, position);
        }
    }

    public ValueTask SetBackAsync(NpgsqlLogSequenceNumber position, CancellationToken cancellationToken)
    {
        lock (_server.Gate)
        {
            ThrowIfBroken();
            _server.Record(Origin, position);
            AppliedPosition = position;
            return default;
        }
    }

    public ValueTask<NpgsqlLogSequenceNumber> FlushAsync(CancellationToken cancellationToken)
    {
        lock (_server.Gate)
        {
            ThrowIfBroken();
            _server.Flush();
            return new(AppliedPosition);
        }
    }

    public ValueTask DisposeAsync()
    {
        lock (_server.Gate)
        {
            _transaction?.Rollback();
            _transaction = null;
            _broken ??= new ReplicationException(ReplicationErrorKind.Transient, $"The apply session of {Origin} was closed.");
            _server.Forget(this);
        }

        return ValueTask.CompletedTask;
    }

    internal void Break(ReplicationException reason) => _broken ??= reason;

    private static bool Refuse(InMemoryTransaction transaction)
    {
        // What was written before must not be committed.
        transaction.Fail();
        return false;
    }

    private bool IsSeen(InMemoryTransaction transaction, InMemoryRow row, SeenRows seen)
    {
        lock (_server.Gate)
        {
            if (ReferenceEquals(row.WrittenBy, transaction.Record)) return true;
            var (stamp, origin) = _server.StampOf(row.WrittenBy);
            return (origin == seen.Origin && stamp.IsKnown) || ((int)(row.WrittenBy.Xid - seen.Horizon) < 0 && (stamp.IsKnown ? seen.Unseen.All(u => u.Stamp != stamp) : seen.Unseen.All(u => (int)(row.WrittenBy.Xid - u.Xid) < 0)));
        }
    }

    private InMemoryTransaction Current()
    {
        ThrowIfBroken();
        return _transaction ?? throw new InvalidOperationException($"The apply session of {Origin} is in no transaction.");
    }

    private void ThrowIfBroken()
    {
        if (_broken is not null) throw new ReplicationException(ReplicationErrorKind.Transient, _broken.Message, _broken);
    }

    private KeyState StateOf(InMemoryTransaction transaction, InMemoryTable table, RowKey key, InMemoryRow? row)
    {
        var tombstone = transaction.ReadNote(table.Tombstones, key)?.Version;
        var whole = transaction.ReadNote(table.Tombstones, table.WholeTable)?.Version;
        if (whole is { } later && (tombstone is not { } own || later.IsNewerThan(own))) tombstone = whole;

        var siblings = transaction.ReadNote(table.Siblings, key) is { } note && note.Xid == (row?.WrittenBy.Xid ?? InMemoryNote.NoRow) ? note.Siblings : [];
        var loser = transaction.ReadNote(table.Losers, key)?.Loser;
        if (row is null) return tombstone is null && siblings.Count == 0 && loser is null ? KeyState.Nothing : new KeyState(null, tombstone, null, siblings) { Loser = loser, TableTombstone = whole };
        var (stamp, origin) = _server.StampOf(row.WrittenBy);
        var local = new LocalRow((ColumnValue[])row.Values.Clone(), row.WrittenBy.Xid, stamp, origin, ReferenceEquals(row.WrittenBy, transaction.Record));
        return new KeyState(local, tombstone, transaction.OverrideOf(table, key, row), siblings)
        {
            Loser = loser, TableTombstone = whole, IsOverrideKept = transaction.ReadNote(table.Overrides, key) is { IsKept: true } kept && kept.Xid == row.WrittenBy.Xid,
        };
    }
}
