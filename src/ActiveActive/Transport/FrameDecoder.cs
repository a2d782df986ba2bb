using System.Buffers;
using System.Buffers.Binary;
using ActiveActive.Apply;
using ActiveActive.Changes;
using ActiveActive.Database;
using MessagePack;
using NpgsqlTypes;

namespace ActiveActive.Transport;

/// <summary>
/// Reads the frames of one connection and keeps the relations that its transactions refer to. Whatever the bytes are, the outcome is a
/// frame or a <see cref="ReplicationException"/> of kind Corrupt, and no more memory is taken than a small multiple of the bytes.
/// </summary>
/// <param name="maxFrameBytes">The greatest payload, see <see cref="ReplicationNodeOptions.MaxFrameBytes"/>.</param>
/// <param name="relations">The connection's relations; null for a window of the protocol's size.</param>
/// <param name="intern">Gives the instance to use for a relation; null for a new one each time.</param>
internal sealed partial class FrameDecoder(int maxFrameBytes, RelationWindow? relations = null, Func<Relation, Relation>? intern = null)
{
    private readonly RelationWindow _relations = relations ?? new RelationWindow();

    /// <summary>Takes one frame off the front of the buffer.</summary>
    /// <returns>False, and the buffer as it was, where the frame is not complete yet.</returns>
    /// <exception cref="ReplicationException">Corrupt.</exception>
    public bool TryDecode(ref ReadOnlySequence<byte> buffer, out Frame? frame)
    {
        if (TryTakeDecompressed(out frame)) return true;
        Span<byte> start = stackalloc byte[FrameLimits.HeaderBytes + 2];
        if (buffer.Length < start.Length) return false;
        buffer.Slice(0, start.Length).CopyTo(start);
        var length = BinaryPrimitives.ReadUInt32LittleEndian(start);
        var kind = (FrameKind)start[^1];

        // The limit comes BEFORE the frame is gathered: a peer can't make us buffer what we would refuse.
        if (!Enum.IsDefined(kind) || (start[^2] & 0xf0) != MessagePackCode.MinFixArray) throw Corrupt("It begins like no frame of this protocol.");
        var maxBytes = FrameLimits.MaxPayloadBytes(kind, maxFrameBytes);
        if (length < 2 || length > maxBytes) throw Corrupt($"A {kind} frame announces {length} bytes; 2 to {maxBytes} can be.");
        if (buffer.Length - FrameLimits.HeaderBytes < length) return false;

        var payload = buffer.Slice(FrameLimits.HeaderBytes, length);
        if (FrameChecksum.Of(payload) != BinaryPrimitives.ReadUInt32LittleEndian(start[4..])) throw Corrupt($"The checksum of a {kind} frame of {length} bytes is wrong.");
        frame = kind == FrameKind.Compressed ? Decompress(payload) : DecodePayload(payload);
        buffer = buffer.Slice(payload.End);
        return true;
    }

    /// <summary>Reads a payload whose length and checksum have been looked at.</summary>
    /// <exception cref="ReplicationException">Corrupt.</exception>
    public Frame DecodePayload(in ReadOnlySequence<byte> payload)
    {
        try
        {
            var reader = new PayloadReader(payload);
            var frame = Read(ref reader);
            return reader.AtEnd ? frame : throw Corrupt($"A {frame.GetType().Name} has bytes after its end.");
        }
        catch (Exception e) when (IsUnreadable(e))
        {
            throw Unreadable(e);
        }
    }

    /// <summary>
    /// Reads one frame and leaves what follows. The frames that are exchanged before a version is agreed on may have fields behind those known here, as newer
    /// versions do; all others have exactly these.
    /// </summary>
    private Frame Read(ref PayloadReader reader)
    {
        var fields = reader.ReadArrayHeader(FrameLimits.MaxFields);
        var kind = (FrameKind)reader.ReadInt32();
        return (kind, fields) switch
        {
            (FrameKind.Hello, >= 10) => ReadHello(ref reader, fields),
            (FrameKind.Welcome, >= 5) => ReadWelcome(ref reader, fields),
            (FrameKind.Refuse, >= 3) => ReadRefuse(ref reader, fields),
            (FrameKind.Relation, 7) => ReadRelation(ref reader),
            (FrameKind.Transaction, 9) => ReadTransaction(ref reader),
            (FrameKind.UniqueKeys, 2) => new UniqueKeysFrame(ReadUniqueKeys(ref reader)),
            (FrameKind.Ack, 2) => new AckFrame(ReadPosition(ref reader)),
            (FrameKind.Ping, 1) => new PingFrame(),
            (FrameKind.RowRequest, 3) => new RowRequestFrame(ReadPosition(ref reader), ReadRequestedRows(ref reader)),
            (FrameKind.Row, 3) => new RowFrame(new FetchedRow(ReadPosition(ref reader), reader.TryReadNil() ? null : ReadRow(ref reader, FrameLimits.MaxColumns))),
            (FrameKind.Members, 2) => new MembersFrame(ReadMembers(ref reader)),
            (FrameKind.SnapshotRequest, 2) => new SnapshotRequestFrame(reader.ReadGuid()),
            (FrameKind.Snapshot, 5) => ReadSnapshot(ref reader),
            (FrameKind.CopyRequest, 3) => new CopyRequestFrame(ReadTableName(ref reader)),
            (FrameKind.CopiedRows, 2) => new CopiedRowsFrame(reader.ReadBytes()),
            (FrameKind.CopiedKeys, 2) => new CopiedKeysFrame(ReadCopiedKeys(ref reader)),
            (FrameKind.CopiedTable, 1) => new CopiedTableFrame(),
            _ => throw Corrupt($"Kind {(int)kind} with {fields} fields is no frame of this protocol."),
        };
    }

    private HelloFrame ReadHello(ref PayloadReader reader, int fields)
    {
        var min = reader.ReadInt32();
        var max = reader.ReadInt32();
        var from = ReadNode(ref reader);
        var to = ReadNode(ref reader);
        var origin = ReadNode(ref reader);
        var identity = ReadIdentity(ref reader);
        var settings = new KeyValuePair<string, string>[reader.ReadMapHeader(FrameLimits.MaxSettings)];
        for (var i = 0; i < settings.Length; i++)
        {
            settings[i] = new(reader.ReadText(FrameLimits.MaxIdentifierBytes), reader.ReadText(FrameLimits.MaxSentenceBytes));
        }

        var resumeAfter = ReadPosition(ref reader);
        var purpose = (HelloPurpose)reader.ReadInt32();
        if (!Enum.IsDefined(purpose)) throw Corrupt($"A hello has the unknown purpose {(int)purpose}.");
        var features = ReadFeatures(ref reader, max, fields, known: 10);
        return new HelloFrame(min, max, from, to, origin, identity, settings, resumeAfter, purpose, features);
    }

    private WelcomeFrame ReadWelcome(ref PayloadReader reader, int fields)
    {
        var protocol = reader.ReadInt32();
        var (from, identity, reach) = (ReadNode(ref reader), ReadIdentity(ref reader), ReadPosition(ref reader));
        return new WelcomeFrame(protocol, from, identity, reach, ReadFeatures(ref reader, protocol, fields, known: 5));
    }

    private static RefuseFrame ReadRefuse(ref PayloadReader reader, int fields)
    {
        var frame = new RefuseFrame(reader.ReadText(FrameLimits.MaxIdentifierBytes), reader.ReadText(FrameLimits.MaxSentenceBytes));
        reader.Skip(fields - 3);
        return frame;
    }

    /// <summary>The features, where the protocol has them, and past the fields that no protocol known here has.</summary>
    private static string[]? ReadFeatures(ref PayloadReader reader, int protocol, int fields, int known)
    {
        string[]? features = null;
        if (protocol >= Handshake.FeatureProtocol)
        {
            if (fields <= known++) throw Corrupt($"It speaks protocol {protocol} and names no features.");
            features = new string[reader.ReadArrayHeader(FrameLimits.MaxFeatures)];
            for (var i = 0; i < features.Length; i++) features[i] = reader.ReadText(FrameLimits.MaxIdentifierBytes);
        }

        reader.Skip(fields - known);
        return features;
    }

    private static UniqueKey[] ReadUniqueKeys(ref PayloadReader reader)
    {
        var elements = reader.ReadArrayHeader(3 * FrameLimits.MaxUniqueKeys);
        if (elements % 3 != 0) throw Corrupt("A list of unique keys has an incomplete one.");
        var keys = new UniqueKey[elements / 3];
        for (var i = 0; i < keys.Length; i++) keys[i] = new UniqueKey(ReadTableName(ref reader), reader.ReadText(FrameLimits.MaxSentenceBytes));
        return keys;
    }

    private static RowToFetch[] ReadRequestedRows(ref PayloadReader reader)
    {
        var elements = reader.ReadArrayHeader();
        if (elements % 3 != 0) throw Corrupt("A request for rows has an incomplete row.");
        var rows = new RowToFetch[elements / 3];
        for (var i = 0; i < rows.Length; i++) rows[i] = new RowToFetch(ReadTableName(ref reader), ReadRow(ref reader, FrameLimits.MaxKeyColumns));
        return rows;
    }

    private static Row ReadRow(ref PayloadReader reader, int maxColumns)
    {
        var columns = new KeyValuePair<string, string?>[reader.ReadMapHeader(maxColumns)];
        for (var i = 0; i < columns.Length; i++)
        {
            columns[i] = new(reader.ReadText(FrameLimits.MaxIdentifierBytes), reader.TryReadNil() ? null : reader.ReadText(int.MaxValue));
        }

        return new Row(columns);
    }

    private static DatabaseIdentity ReadIdentity(ref PayloadReader reader)
    {
        if (reader.ReadArrayHeader() != 5) throw Corrupt("A database identity has not five fields.");
        return new DatabaseIdentity(reader.ReadUInt64(), reader.ReadUInt32(), reader.ReadUInt32(), reader.ReadGuid(), reader.ReadInt32());
    }

    private RelationFrame ReadRelation(ref PayloadReader reader)
    {
        var id = reader.ReadNonNegative();
        var relation = ReadRelationFields(ref reader, $"Relation {id}");

        // Before it is remembered: a frame that is refused leaves nothing behind.
        if (!reader.AtEnd) throw Corrupt("A Relation frame has bytes after its end.");
        if (!_relations.TryAdd(id, relation)) throw Corrupt($"Relation {id} is announced twice, or is larger than all relations together may be.");
        return new RelationFrame(id, relation);
    }

    private Relation ReadRelationFields(ref PayloadReader reader, string what)
    {
        var name = ReadTableName(ref reader);
        var root = ReadTableName(ref reader);
        var elements = reader.ReadArrayHeader(3 * FrameLimits.MaxColumns);
        if (elements % 3 != 0) throw Corrupt($"{what} has an incomplete column.");
        var columns = new RelationColumn[elements / 3];
        var names = new HashSet<string>(columns.Length, StringComparer.Ordinal);
        for (var i = 0; i < columns.Length; i++)
        {
            columns[i] = new RelationColumn(reader.ReadText(FrameLimits.MaxIdentifierBytes), reader.ReadText(FrameLimits.MaxIdentifierBytes), reader.ReadNonNegative());
            if (!names.Add(columns[i].Name)) throw Corrupt($"{what} names a column twice.");
        }

        var relation = new Relation(name, root, columns);
        return intern is null ? relation : intern(relation);
    }

    private static TableName ReadTableName(ref PayloadReader reader) =>
        new(reader.ReadText(FrameLimits.MaxIdentifierBytes), reader.ReadText(FrameLimits.MaxIdentifierBytes));

    private static NpgsqlLogSequenceNumber ReadPosition(ref PayloadReader reader) => new(reader.ReadUInt64());

    private static bool IsUnreadable(Exception e) => e is MessagePackSerializationException or EndOfStreamException or OverflowException or ArgumentException;

    // Neither the reader's message nor the exception goes on: they can quote bytes of a row.
    private static ReplicationException Unreadable(Exception e) => Corrupt($"A frame can't be read ({e.GetType().Name}).");

    private static ReplicationException Corrupt(string reason) => new(ReplicationErrorKind.Corrupt, reason);
}
