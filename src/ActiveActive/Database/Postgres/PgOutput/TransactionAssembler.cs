using ActiveActive.Changes;
using NpgsqlTypes;

namespace ActiveActive.Database.Postgres.PgOutput;

/// <summary>
/// Turns the messages of one replication session into <see cref="CapturedTransaction"/>s. Pure: it asks for a table's primary key by
/// its answer (<see cref="AssemblyStep.Unresolved"/>). It holds at most one part of one transaction, and of a transaction that applied
/// another node's nothing but the header, and a part as it was received where that node's are relayed. A message that does not fit where it stands is <see cref="ReplicationErrorKind.Corrupt"/>.
/// </summary>
internal sealed class TransactionAssembler(uint databaseOid, int maxChangesPerPart, int maxCharactersPerPart, SlotCopy? copy = null)
{
    private readonly NodeName _relayed = copy?.Relayed ?? default;
    private readonly bool _isWithApplied = copy?.IsWithApplied == true;
    private readonly ReceivedPartReader? _received = copy is null || copy.Relayed.IsNone ? null : new ReceivedPartReader();
    private readonly ReceivedPartReader _published = new();
    private readonly Dictionary<uint, KnownRelation> _relations = [];
    private readonly ColumnValues _values = new();
    private BeginMessage? _begin;
    private NodeName _foreignOrigin;
    private NpgsqlLogSequenceNumber _foreignPosition;
    private bool _isQuarantined;
    private GroupedVersions? _grouped;
    private List<Change> _changes = [];
    private CommitTimestamp _floor;
    private int _characters;
    private int _part;

    /// <summary>The commit position of the transaction that is being read, while one is.</summary>
    public NpgsqlLogSequenceNumber? OpenPosition => _begin?.Position;

    /// <summary>Takes the next message, unless the answer asks for a table first.</summary>
    public AssemblyStep Next(ReadOnlySpan<byte> message)
    {
        var reader = new PgOutputReader(message);
        switch (reader.Kind)
        {
            case PgOutputKind.Begin:
                Begin(BeginMessage.Read(ref reader), in reader);
                return AssemblyStep.Continue;
            case PgOutputKind.Commit:
                return Commit(CommitMessage.Read(ref reader), in reader);
            case PgOutputKind.Origin:
                Origin(OriginMessage.Read(ref reader), in reader);
                return AssemblyStep.Continue;
            case PgOutputKind.Relation:
                var relation = RelationMessage.Read(ref reader);
                // Always asked for anew: the message is the same after a primary key or a partition's parent changed.
                _relations[relation.Id] = new KnownRelation(relation);
                return AssemblyStep.Described(relation.Id);
            case PgOutputKind.Type:
                TypeMessage.Read(ref reader);
                return AssemblyStep.Continue;
            case PgOutputKind.LogicalMessage:
                return Message(LogicalMessage.Read(ref reader), in reader);
            default:
                RequireTransaction(in reader);
                // Applied rows came from a peer, which has them: they are not even decoded.
                return _foreignOrigin.IsNone || _isWithApplied ? Change(message, ref reader) : AssemblyStep.Continue;
        }
    }

    /// <summary>Completes the table that <see cref="Next"/> asked for; its columns are the message's, in that order.</summary>
    public void Resolve(RelationMessage message, Relation relation)
    {
        if (_relations.TryGetValue(message.Id, out var known) && known.Message == message) known.Resolve(relation);
    }

    private void Begin(BeginMessage begin, in PgOutputReader reader)
    {
        if (_begin is { } open) throw reader.Corrupt($"transaction {open.Xid} has not ended");
        _begin = begin;
        _foreignOrigin = default;
        _foreignPosition = default;
        _isQuarantined = false;
        _grouped = null;
        _floor = CommitTimestamp.Unknown;
        _characters = 0;
        _part = 0;
    }

    private void Origin(OriginMessage origin, in PgOutputReader reader)
    {
        RequireTransaction(in reader);
        if (_changes.Count > 0 || _part > 0) throw reader.Corrupt("changes of the transaction came before its origin");

        // An origin that is not ours is another tool that loads data here: its rows are new to the cluster, so they are local.
        _foreignOrigin = PostgresNames.NodeOf(databaseOid, origin.Name);
        _foreignPosition = _foreignOrigin.IsNone ? default : origin.Position;
    }

    private AssemblyStep Message(in LogicalMessage message, in PgOutputReader reader)
    {
        if (!message.IsTransactional) return AssemblyStep.Continue;
        var begin = RequireTransaction(in reader);
        if (message.Floor > _floor) _floor = message.Floor;
        _isQuarantined |= message.MarksQuarantine;
        if (message.Prefix == PostgresNames.GroupedPrefix && !_foreignOrigin.IsNone) _grouped = GroupedVersions.Read(_foreignOrigin, message.Content);
        if (message.Prefix == PostgresNames.PublishedPrefix && _foreignOrigin.IsNone && _published.Take(message.Content) is { } published) _changes.AddRange(published.Changes);
        if (_received is null || _foreignOrigin != _relayed || message.Prefix != PostgresNames.ReceivedPrefix) return AssemblyStep.Continue;
        return _received.Take(message.Content) is { } part ? AssemblyStep.Yield(TakePart(begin, isLast: false) with { Received = part }) : AssemblyStep.Continue;
    }

    private AssemblyStep Commit(CommitMessage commit, in PgOutputReader reader)
    {
        var begin = RequireTransaction(in reader);
        if (commit.Position != begin.Position) throw reader.Corrupt($"it commits at {commit.Position} and began with {begin.Position}");
        var last = TakePart(begin, isLast: true);
        _begin = null;
        return AssemblyStep.Yield(last);
    }

    private AssemblyStep Change(ReadOnlySpan<byte> message, ref PgOutputReader reader)
    {
        if (FirstUnresolved(message) is { } missing) return AssemblyStep.Resolve(missing);

        // A full part is yielded when one more change comes, not before: the last part then never is an empty one.
        var ready = _changes.Count > 0 && (_changes.Count >= maxChangesPerPart || _characters >= maxCharactersPerPart)
            ? TakePart(RequireTransaction(in reader), isLast: false)
            : null;
        switch (reader.Kind)
        {
            case PgOutputKind.Insert:
                Add(InsertMessage.Read(ref reader, _values), in reader);
                break;
            case PgOutputKind.Update:
                Add(UpdateMessage.Read(ref reader, _values), in reader);
                break;
            case PgOutputKind.Delete:
                Add(DeleteMessage.Read(ref reader, _values), in reader);
                break;
            default:
                foreach (var id in TruncateMessage.Read(ref reader).RelationIds) _changes.Add(Changes.Change.Truncate(_relations[id].Resolved!));
                break;
        }

        return ready is null ? AssemblyStep.Continue : AssemblyStep.Yield(ready);
    }

    private RelationMessage? FirstUnresolved(ReadOnlySpan<byte> message)
    {
        var reader = new PgOutputReader(message);
        if (reader.Kind != PgOutputKind.Truncate) return Unresolved(reader.ReadUInt32("relation id"), in reader);
        foreach (var id in TruncateMessage.Read(ref reader).RelationIds)
        {
            if (Unresolved(id, in reader) is { } missing) return missing;
        }

        return null;
    }

    private RelationMessage? Unresolved(uint id, in PgOutputReader reader) =>
        _relations.TryGetValue(id, out var relation)
            ? relation.Resolved is null ? relation.Message : null
            : throw reader.Corrupt($"the relation {id} was not described before");

    private void Add(InsertMessage insert, in PgOutputReader reader)
    {
        var relation = RelationOf(insert.RelationId, insert.NewRow, in reader);
        if (Array.Exists(insert.NewRow, static value => value.IsUnchanged)) throw reader.Corrupt("an inserted row holds an unchanged value");
        Add(Changes.Change.Insert(relation.Resolved!, insert.NewRow), insert.NewRow);
    }

    private void Add(UpdateMessage update, in PgOutputReader reader)
    {
        var relation = RelationOf(update.RelationId, update.NewRow, in reader);
        if (update.OldRow is not { } oldRow)
        {
            Add(Changes.Change.Update(relation.Resolved!, null, false, update.NewRow), update.NewRow);
            return;
        }

        RelationOf(update.RelationId, oldRow, in reader);
        FillUnchanged(relation, oldRow, update.OldIsKeyOnly, update.NewRow);
        if (update.OldIsKeyOnly)
        {
            RequireKey(relation, reader.Kind);
            // The server sends the old key, too, where a key column is stored out of line: the key need not have changed.
            if (relation.Resolved!.KeyOrdinals.All(i => oldRow[i] == update.NewRow[i]))
            {
                Add(Changes.Change.Update(relation.Resolved, null, false, update.NewRow), update.NewRow);
                return;
            }
        }

        Add(Changes.Change.Update(relation.Resolved!, oldRow, update.OldIsKeyOnly, update.NewRow), update.NewRow);
        CountCharacters(oldRow);
    }

    private void Add(DeleteMessage delete, in PgOutputReader reader)
    {
        var relation = RelationOf(delete.RelationId, delete.OldRow, in reader);
        if (delete.OldIsKeyOnly) RequireKey(relation, reader.Kind);
        Add(Changes.Change.Delete(relation.Resolved!, delete.OldRow, delete.OldIsKeyOnly), delete.OldRow);
    }

    private void Add(Change change, ColumnValue[] row)
    {
        _changes.Add(change);
        CountCharacters(row);
    }

    // The old row, where it holds a value, holds it in full: the server fetches what is stored out of line before it writes it to the log.
    private static void FillUnchanged(KnownRelation relation, ColumnValue[] oldRow, bool oldIsKeyOnly, ColumnValue[] newRow)
    {
        for (var i = 0; i < newRow.Length; i++)
        {
            if (newRow[i].IsUnchanged && oldRow[i].HasText && (!oldIsKeyOnly || relation.Message.Columns[i].IsIdentity)) newRow[i] = oldRow[i];
        }
    }

    private KnownRelation RelationOf(uint id, ColumnValue[] row, in PgOutputReader reader)
    {
        var relation = _relations[id];
        return row.Length == relation.Message.Columns.Count
            ? relation
            : throw reader.Corrupt($"a row of {relation.Message.Name} has {row.Length} columns and the table {relation.Message.Columns.Count}");
    }

    // Better to stop here than to name a wrong row to the other nodes.
    private static void RequireKey(KnownRelation relation, PgOutputKind kind)
    {
        if (relation.KeyIsInIdentity) return;
        throw new ReplicationException(ReplicationErrorKind.Misconfigured,
            $"The log's {kind} on {relation.Message.Name} does not hold the primary key, because the table's replica identity ({relation.Message.Identity}) "
            + $"is without it. For the changes to come: ALTER TABLE {PostgresNames.Quote(relation.Message.Name)} REPLICA IDENTITY DEFAULT.");
    }

    private void CountCharacters(ColumnValue[] row)
    {
        foreach (var value in row) _characters += value.Size;
    }

    private CapturedTransaction TakePart(BeginMessage begin, bool isLast)
    {
        var changes = _changes;
        _changes = [];
        _characters = 0;
        return new CapturedTransaction
        {
            Xid = begin.Xid,
            Position = begin.Position,
            Stamp = begin.Stamp,
            Floor = _floor,
            ForeignOrigin = _foreignOrigin,
            ForeignPosition = _foreignPosition,
            Grouped = _grouped,
            IsQuarantined = _isQuarantined && !_foreignOrigin.IsNone,
            Changes = changes,
            Part = _part++,
            IsLastPart = isLast,
        };
    }

    private BeginMessage RequireTransaction(in PgOutputReader reader) => _begin ?? throw reader.Corrupt("no transaction has begun");
}
