using ActiveActive.Changes;
using ActiveActive.Database;

namespace ActiveActive.Testing.Database;

/// <content>Members, and how a node gets its data from another.</content>
internal sealed partial class InMemoryDatabase
{
    public ValueTask<IReadOnlyList<Member>> ReadMembersAsync(CancellationToken cancellationToken)
    {
        lock (_server.Gate)
        {
            _server.ThrowIfDown();
            return new([.. _server.Members.Values.OrderBy(m => m.Name)]);
        }
    }

    public ValueTask SaveMembersAsync(IReadOnlyList<Member> members, CancellationToken cancellationToken)
    {
        lock (_server.Gate)
        {
            _server.ThrowIfDown();
            _server.CommitUnpublished();
            foreach (var member in members)
            {
                if (!_server.Members.TryGetValue(member.Name, out var now) || now.MayBecome(member.State)) _server.Members[member.Name] = member;
            }

            return default;
        }
    }

    public ValueTask<IDataSnapshot> OpenSnapshotAsync(CancellationToken cancellationToken)
    {
        lock (_server.Gate)
        {
            _server.ThrowIfDown();
            _server.CommitUnpublished();
            return new(new InMemorySnapshot(_server));
        }
    }

    public ValueTask BeginResyncAsync(NodeName donor, CancellationToken cancellationToken)
    {
        lock (_server.Gate)
        {
            _server.ThrowIfDown();
            _server.BreakTransactions("The node gets another one's data");
            _server.IsJoining = true;
            _server.ResyncFrom = donor;
            return default;
        }
    }

    public ValueTask<NodeName?> FindResyncAsync(CancellationToken cancellationToken)
    {
        lock (_server.Gate)
        {
            _server.ThrowIfDown();
            return new(_server.ResyncFrom);
        }
    }

    public async ValueTask GiveUpDataAsync(IAsyncEnumerable<ConflictRecord> unsent, CancellationToken cancellationToken)
    {
        List<ConflictRecord> records = [.. await unsent.ToListAsync(cancellationToken)];
        lock (_server.Gate)
        {
            _server.ThrowIfDown();
            foreach (var record in records) _server.Conflicts.Add(record with { Id = _server.Conflicts.NextId(), RecordedAt = _server.Now().ToDateTimeOffset() });
            _server.Empty();
            _server.Members.Clear();
            _server.Checkpoint = null;
        }
    }

    public ValueTask BeginJoinAsync(CancellationToken cancellationToken)
    {
        lock (_server.Gate)
        {
            _server.ThrowIfDown();
            if (!_server.IsJoining && _server.Tables.FirstOrDefault(t => t.Cells.Any(c => c.Committed is not null)) is { } table)
                throw new ReplicationException(ReplicationErrorKind.Misconfigured, $"Node {_options.Node} is to join and table {table.Definition} has rows: a node joins with empty tables.");
            _server.BreakTransactions("The node joins");
            _server.Empty();
            _server.IsJoining = true;
            return default;
        }
    }

    public ValueTask<ICopySession> OpenCopySessionAsync(CancellationToken cancellationToken)
    {
        lock (_server.Gate)
        {
            _server.ThrowIfDown();
            return new(new InMemoryCopySession(_server));
        }
    }

    public async ValueTask EndJoinAsync(DependencyVector copied, CommitTimestamp greatestStamp, IReadOnlyList<Member> members, CancellationToken cancellationToken)
    {
        await SaveMembersAsync(members, cancellationToken);
        lock (_server.Gate)
        {
            foreach (var (origin, position) in copied) _server.SetProgress(origin, position);
            _server.Checkpoint = new CaptureCheckpoint(_server.Log.End, greatestStamp, DependencyVector.Of(copied.Where(c => c.Key != _options.Node)), copied[_options.Node]);
            _server.IsJoining = false;
            _server.ResyncFrom = null;
        }
    }
}
