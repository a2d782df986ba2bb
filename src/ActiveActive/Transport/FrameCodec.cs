using System.Buffers;
using System.Buffers.Binary;
using ActiveActive.Changes;
using ActiveActive.Database;
using MessagePack;

namespace ActiveActive.Transport;

/// <summary>
/// The wire form of a frame: payload length and CRC-32C of the payload, four bytes each, little-endian; then the payload, one
/// MessagePack array whose first element is the <see cref="FrameKind"/> and whose others are the frame's fields in the order of its
/// record. Hello and welcome have their last field, the features, from protocol 2 on. This class writes; <see cref="FrameDecoder"/> reads, and <see cref="TransactionEncoder"/> writes transactions.
/// </summary>
internal static partial class FrameCodec
{
    /// <summary>The bytes of a frame other than a transaction.</summary>
    /// <exception cref="ArgumentException">A transaction frame, or a name or setting beyond <see cref="FrameLimits"/>.</exception>
    public static byte[] Encode(Frame frame)
    {
        var buffer = new ArrayBufferWriter<byte>(256);
        Begin(buffer);
        var writer = new MessagePackWriter(buffer);
        switch (frame)
        {
            case HelloFrame hello: Write(ref writer, hello); break;
            case WelcomeFrame welcome: Write(ref writer, welcome); break;
            case RefuseFrame refuse: Write(ref writer, refuse); break;
            case RelationFrame relation: Write(ref writer, relation); break;
            case UniqueKeysFrame keys: Write(ref writer, keys); break;
            case AckFrame ack: Write(ref writer, ack); break;
            case RowRequestFrame request: Write(ref writer, request); break;
            case RowFrame row: Write(ref writer, row); break;
            case MembersFrame members: Write(ref writer, members); break;
            case SnapshotRequestFrame request:
                writer.WriteArrayHeader(2);
                writer.Write((int)FrameKind.SnapshotRequest);
                WriteGuid(ref writer, request.Id);
                break;
            case SnapshotFrame snapshot: Write(ref writer, snapshot); break;
            case CopyRequestFrame request: Write(ref writer, request); break;
            case CopiedRowsFrame rows:
                writer.WriteArrayHeader(2);
                writer.Write((int)FrameKind.CopiedRows);
                writer.Write(rows.Rows.Span);
                break;
            case CopiedKeysFrame keys: Write(ref writer, keys); break;
            case CopiedTableFrame:
                writer.WriteArrayHeader(1);
                writer.Write((int)FrameKind.CopiedTable);
                break;
            case PingFrame:
                writer.WriteArrayHeader(1);
                writer.Write((int)FrameKind.Ping);
                break;
            default: throw new ArgumentException($"A {frame.GetType().Name} is not encoded here; {nameof(TransactionEncoder)} encodes transactions.", nameof(frame));
        }

        writer.Flush();
        return Seal(buffer);
    }

    /// <summary>Leaves room for the header.</summary>
    public static void Begin(ArrayBufferWriter<byte> buffer)
    {
        buffer.GetSpan(FrameLimits.HeaderBytes);
        buffer.Advance(FrameLimits.HeaderBytes);
    }

    /// <summary>Copies the finished frame out and fills its header in.</summary>
    public static byte[] Seal(ArrayBufferWriter<byte> buffer)
    {
        var bytes = buffer.WrittenSpan.ToArray();
        var payload = bytes.AsSpan(FrameLimits.HeaderBytes);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, (uint)payload.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(4), FrameChecksum.Of(payload));
        return bytes;
    }

    private static void Write(ref MessagePackWriter writer, HelloFrame frame)
    {
        if (frame.Settings.Count > FrameLimits.MaxSettings)
            throw new ArgumentException($"{frame.Settings.Count} settings; a hello carries at most {FrameLimits.MaxSettings}.", nameof(frame));
        writer.WriteArrayHeader(frame.Features is null ? 10 : 11);
        writer.Write((int)FrameKind.Hello);
        writer.Write(frame.MinProtocol);
        writer.Write(frame.MaxProtocol);
        writer.WriteText(frame.From.Value);
        writer.WriteText(frame.To.Value);
        writer.WriteText(frame.Origin.Value);
        Write(ref writer, frame.Identity);
        writer.WriteMapHeader(frame.Settings.Count);
        foreach (var (name, value) in frame.Settings)
        {
            WriteBounded(ref writer, name, FrameLimits.MaxIdentifierBytes);
            WriteBounded(ref writer, value, FrameLimits.MaxSentenceBytes);
        }

        writer.Write((ulong)frame.ResumeAfter);
        writer.Write((int)frame.Purpose);
        WriteFeatures(ref writer, frame.Features);
    }

    private static void Write(ref MessagePackWriter writer, WelcomeFrame frame)
    {
        writer.WriteArrayHeader(frame.Features is null ? 5 : 6);
        writer.Write((int)FrameKind.Welcome);
        writer.Write(frame.Protocol);
        writer.WriteText(frame.From.Value);
        Write(ref writer, frame.Identity);
        writer.Write((ulong)frame.Reach);
        WriteFeatures(ref writer, frame.Features);
    }

    private static void WriteFeatures(ref MessagePackWriter writer, IReadOnlyList<string>? features)
    {
        if (features is null) return;
        if (features.Count > FrameLimits.MaxFeatures) throw new ArgumentException($"{features.Count} features; at most {FrameLimits.MaxFeatures} can be.", nameof(features));
        writer.WriteArrayHeader(features.Count);
        foreach (var feature in features) WriteBounded(ref writer, feature, FrameLimits.MaxIdentifierBytes);
    }

    private static void Write(ref MessagePackWriter writer, RefuseFrame frame)
    {
        writer.WriteArrayHeader(3);
        writer.Write((int)FrameKind.Refuse);
        WriteBounded(ref writer, frame.Code, FrameLimits.MaxIdentifierBytes);

        // A refusal must arrive: a sentence that is too long is cut, where anything else is an error.
        writer.WriteText(FrameText.CutToBytes(frame.Message, FrameLimits.MaxSentenceBytes));
    }

    private static void Write(ref MessagePackWriter writer, RelationFrame frame)
    {
        writer.WriteArrayHeader(7);
        writer.Write((int)FrameKind.Relation);
        writer.Write(frame.Id);
        WriteFields(ref writer, frame.Relation);
    }

    private static void WriteFields(ref MessagePackWriter writer, Relation relation)
    {
        if (relation.Columns.Count > FrameLimits.MaxColumns)
            throw new ArgumentException($"{relation} has {relation.Columns.Count} columns; at most {FrameLimits.MaxColumns} can be.", nameof(relation));
        WriteBounded(ref writer, relation.Name.Schema, FrameLimits.MaxIdentifierBytes);
        WriteBounded(ref writer, relation.Name.Name, FrameLimits.MaxIdentifierBytes);
        WriteBounded(ref writer, relation.Root.Schema, FrameLimits.MaxIdentifierBytes);
        WriteBounded(ref writer, relation.Root.Name, FrameLimits.MaxIdentifierBytes);
        writer.WriteArrayHeader(3 * relation.Columns.Count);
        foreach (var column in relation.Columns)
        {
            WriteBounded(ref writer, column.Name, FrameLimits.MaxIdentifierBytes);
            WriteBounded(ref writer, column.TypeName, FrameLimits.MaxIdentifierBytes);
            writer.Write(column.KeyPlace);
        }
    }

    private static void Write(ref MessagePackWriter writer, UniqueKeysFrame frame)
    {
        writer.WriteArrayHeader(2);
        writer.Write((int)FrameKind.UniqueKeys);
        var count = Math.Min(frame.Keys.Count, FrameLimits.MaxUniqueKeys);
        writer.WriteArrayHeader(3 * count);
        foreach (var (table, definition) in frame.Keys.Take(count))
        {
            WriteBounded(ref writer, table.Schema, FrameLimits.MaxIdentifierBytes);
            WriteBounded(ref writer, table.Name, FrameLimits.MaxIdentifierBytes);
            WriteBounded(ref writer, definition, FrameLimits.MaxSentenceBytes);
        }
    }

    private static void Write(ref MessagePackWriter writer, AckFrame frame)
    {
        writer.WriteArrayHeader(2);
        writer.Write((int)FrameKind.Ack);
        writer.Write((ulong)frame.Position);
    }

    private static void Write(ref MessagePackWriter writer, RowRequestFrame frame)
    {
        writer.WriteArrayHeader(3);
        writer.Write((int)FrameKind.RowRequest);
        writer.Write((ulong)frame.Position);
        writer.WriteArrayHeader(3 * frame.Rows.Count);
        foreach (var (table, key) in frame.Rows)
        {
            WriteBounded(ref writer, table.Schema, FrameLimits.MaxIdentifierBytes);
            WriteBounded(ref writer, table.Name, FrameLimits.MaxIdentifierBytes);
            Write(ref writer, key);
        }
    }

    private static void Write(ref MessagePackWriter writer, RowFrame frame)
    {
        writer.WriteArrayHeader(3);
        writer.Write((int)FrameKind.Row);
        writer.Write((ulong)frame.Row.Position);
        if (frame.Row.Row is { } row) Write(ref writer, row);
        else writer.WriteNil();
    }

    private static void Write(ref MessagePackWriter writer, Row row)
    {
        writer.WriteMapHeader(row.Count);
        foreach (var (column, text) in row)
        {
            WriteBounded(ref writer, column, FrameLimits.MaxIdentifierBytes);
            if (text is null) writer.WriteNil();
            else writer.WriteText(text);
        }
    }

    private static void Write(ref MessagePackWriter writer, DatabaseIdentity identity)
    {
        writer.WriteArrayHeader(5);
        writer.Write(identity.SystemIdentifier);
        writer.Write(identity.Timeline);
        writer.Write(identity.DatabaseOid);
        WriteGuid(ref writer, identity.Incarnation);
        writer.Write(identity.ServerVersion);
    }

    private static void WriteBounded(ref MessagePackWriter writer, string text, int maxBytes)
    {
        if (FrameText.Utf8.GetByteCount(text) > maxBytes) throw new ArgumentException($"A name or setting is longer than {maxBytes} bytes.", nameof(text));
        writer.WriteText(text);
    }
}
