using ActiveActive.Changes;
using NpgsqlTypes;

namespace ActiveActive.Transport;

internal sealed partial class FrameDecoder
{
    // Names and vectors repeat from transaction to transaction; reading them again costs no allocation.
    private readonly Dictionary<string, NodeName> _nodes = new(StringComparer.Ordinal);
    private KeyValuePair<NodeName, NpgsqlLogSequenceNumber>[] _lastEntries = [];
    private KeyValuePair<NodeName, NpgsqlLogSequenceNumber>[] _lastGaps = [];
    private DependencyVector _lastVector = DependencyVector.Empty;
    private readonly ColumnValues _values = new();

    private TransactionFrame ReadTransaction(ref PayloadReader reader)
    {
        var origin = ReadNode(ref reader);
        var position = ReadPosition(ref reader);
        var stamp = new CommitTimestamp(reader.ReadInt64());
        var dependencies = ReadDependencies(ref reader);
        var part = reader.ReadNonNegative();
        var flags = (TransactionFlags)reader.ReadInt32();
        if ((flags & ~(TransactionFlags.LastPart | TransactionFlags.Heartbeat)) != 0) throw Corrupt($"Transaction {origin} {position} has unknown flags.");
        var isHeartbeat = flags.HasFlag(TransactionFlags.Heartbeat);
        var isLastPart = flags.HasFlag(TransactionFlags.LastPart);

        var count = reader.ReadArrayHeader();
        if (isHeartbeat && (count != 0 || part != 0 || !isLastPart)) throw Corrupt($"Heartbeat {origin} {position} carries changes.");
        var changes = count == 0 ? [] : new Change[count];
        for (var i = 0; i < changes.Length; i++) changes[i] = ReadChange(ref reader);
        return new TransactionFrame(new ChangeTransaction
        {
            Origin = origin,
            Position = position,
            Stamp = stamp,
            Dependencies = dependencies,
            Changes = changes,
            Part = part,
            IsLastPart = isLastPart,
            IsHeartbeat = isHeartbeat,
        });
    }

    private Change ReadChange(ref PayloadReader reader)
    {
        var elements = reader.ReadArrayHeader(2 + (2 * FrameLimits.MaxColumns));
        var shape = (ChangeShape)reader.ReadInt32();
        var id = reader.ReadInt32();
        var relation = _relations.Find(id) ?? throw Corrupt($"A change refers to relation {id}, which was not announced.");
        var images = shape switch
        {
            ChangeShape.Truncate => 0,
            ChangeShape.Insert or ChangeShape.Update or ChangeShape.Superseded or ChangeShape.DeleteByKey or ChangeShape.DeleteWithRow => 1,
            ChangeShape.UpdateWithOldKey or ChangeShape.UpdateWithOldRow => 2,
            _ => throw Corrupt($"A change of {relation} is of unknown shape {(int)shape}."),
        };

        // The header has been held against the bytes left, so the rows below are no larger than what arrived.
        if (elements != 2 + (images * relation.Columns.Count) + (shape == ChangeShape.Superseded ? FrameLimits.SupersededValues : 0))
            throw Corrupt($"A change of {relation} has {elements - 2} values for {images} rows of {relation.Columns.Count} columns.");
        return shape switch
        {
            ChangeShape.Insert => Change.Insert(relation, ReadRow(ref reader, relation)),
            ChangeShape.Update => Change.Update(relation, null, false, ReadRow(ref reader, relation)),
            ChangeShape.UpdateWithOldKey => Change.Update(relation, ReadRow(ref reader, relation), true, ReadRow(ref reader, relation)),
            ChangeShape.UpdateWithOldRow => Change.Update(relation, ReadRow(ref reader, relation), false, ReadRow(ref reader, relation)),
            ChangeShape.DeleteByKey => Change.Delete(relation, ReadRow(ref reader, relation), true),
            ChangeShape.DeleteWithRow => Change.Delete(relation, ReadRow(ref reader, relation), false),
            ChangeShape.Superseded => ReadSuperseded(ref reader, relation),
            _ => Change.Truncate(relation),
        };
    }

    private Change ReadSuperseded(ref PayloadReader reader, Relation relation)
    {
        var key = ReadRow(ref reader, relation);
        var version = new RowVersion(new CommitTimestamp(reader.ReadInt64()), ReadNode(ref reader), ReadPosition(ref reader));
        var nodes = reader.ReadText(FrameLimits.MaxVectorEntries * (NodeName.MaxLength + 1)).Split(',');
        if (Array.Find(nodes, static n => !NodeName.IsValid(n)) is not null) throw Corrupt("A node's name is not a valid name.");
        return Change.Superseded(relation, key, version, Array.ConvertAll(nodes, static n => new NodeName(n)));
    }

    private ColumnValue[] ReadRow(ref PayloadReader reader, Relation relation)
    {
        var row = new ColumnValue[relation.Columns.Count];
        for (var i = 0; i < row.Length; i++) row[i] = reader.ReadValue(_values);
        return row;
    }

    private DependencyVector ReadDependencies(ref PayloadReader reader)
    {
        var count = reader.ReadMapHeader(FrameLimits.MaxVectorEntries);
        var entries = new KeyValuePair<NodeName, NpgsqlLogSequenceNumber>[count];
        for (var i = 0; i < count; i++)
        {
            entries[i] = new(ReadNode(ref reader), ReadPosition(ref reader));
            if (i > 0 && entries[i].Key <= entries[i - 1].Key) throw Corrupt("A dependency vector is not in the order of its nodes.");
        }

        var gaps = ReadGaps(ref reader, entries);
        if (count == 0) return DependencyVector.Empty;
        if (entries.AsSpan().SequenceEqual(_lastEntries) && gaps.AsSpan().SequenceEqual(_lastGaps)) return _lastVector;
        _lastEntries = entries;
        _lastGaps = gaps;
        return _lastVector = DependencyVector.Of(entries, gaps);
    }

    private KeyValuePair<NodeName, NpgsqlLogSequenceNumber>[] ReadGaps(ref PayloadReader reader, KeyValuePair<NodeName, NpgsqlLogSequenceNumber>[] entries)
    {
        var elements = reader.ReadArrayHeader(2 * FrameLimits.MaxVectorGaps);
        if (elements == 0) return [];
        if (elements % 2 != 0) throw Corrupt("A dependency vector has an incomplete gap.");
        var gaps = new KeyValuePair<NodeName, NpgsqlLogSequenceNumber>[elements / 2];
        for (var i = 0; i < gaps.Length; i++)
        {
            var (node, position) = (ReadNode(ref reader), ReadPosition(ref reader));
            gaps[i] = new(node, position);
            if (position == default || Array.Find(entries, e => e.Key == node).Value < position) throw Corrupt("A dependency vector has a gap behind its end.");
            if (i > 0 && (node < gaps[i - 1].Key || (node == gaps[i - 1].Key && position <= gaps[i - 1].Value))) throw Corrupt("The gaps of a dependency vector are not in order.");
        }

        return gaps;
    }

    private NodeName ReadNode(ref PayloadReader reader)
    {
        Span<char> buffer = stackalloc char[NodeName.MaxLength];
        var name = buffer[..reader.ReadAscii(buffer)];
        var lookup = _nodes.GetAlternateLookup<ReadOnlySpan<char>>();
        if (lookup.TryGetValue(name, out var known)) return known;
        var text = name.ToString();
        if (!NodeName.IsValid(text)) throw Corrupt("A node's name is not a valid name.");
        var node = new NodeName(text);
        if (_nodes.Count < FrameLimits.MaxVectorEntries) _nodes.Add(text, node);
        return node;
    }
}
