using System.Buffers.Binary;
using System.Text;
using ActiveActive.Changes;
using NpgsqlTypes;

namespace ActiveActive.Database.Postgres.PgOutput;

/// <summary>
/// A cursor over one pgoutput message, protocol version 1, text mode
/// (https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html). Pure. Whatever the bytes are, the only
/// exception is a <see cref="ReplicationException"/> of kind <see cref="ReplicationErrorKind.Corrupt"/> that names the message kind and
/// the offset; every length is compared with what is left before anything is allocated for it.
/// </summary>
internal ref struct PgOutputReader
{
    // Throws on bytes that are no UTF-8: a replacement character would silently become the value on the other nodes.
    private static readonly UTF8Encoding s_utf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    private readonly ReadOnlySpan<byte> _message;
    private int _offset;

    public PgOutputReader(ReadOnlySpan<byte> message)
    {
        _message = message;
        Kind = message.IsEmpty ? default : (PgOutputKind)message[0];
        if (!Enum.IsDefined(Kind)) throw Corrupt(message.IsEmpty ? "the message is empty" : "the kind is unknown in protocol version 1");
        _offset = 1;
    }

    /// <summary>The message's kind, its first byte.</summary>
    public PgOutputKind Kind { get; }

    private readonly int BytesLeft => _message.Length - _offset;

    public byte ReadByte(string field)
    {
        Need(1, field);
        return _message[_offset++];
    }

    public short ReadInt16(string field)
    {
        Need(2, field);
        var value = BinaryPrimitives.ReadInt16BigEndian(_message[_offset..]);
        _offset += 2;
        return value;
    }

    public int ReadInt32(string field)
    {
        Need(4, field);
        var value = BinaryPrimitives.ReadInt32BigEndian(_message[_offset..]);
        _offset += 4;
        return value;
    }

    public uint ReadUInt32(string field) => unchecked((uint)ReadInt32(field));

    public long ReadInt64(string field)
    {
        Need(8, field);
        var value = BinaryPrimitives.ReadInt64BigEndian(_message[_offset..]);
        _offset += 8;
        return value;
    }

    public NpgsqlLogSequenceNumber ReadPosition(string field) => new(unchecked((ulong)ReadInt64(field)));

    /// <summary>A count of items that take at least <paramref name="itemBytes"/> bytes each.</summary>
    public int ReadCount(int count, int itemBytes, string field) =>
        count >= 0 && (long)count * itemBytes <= BytesLeft
            ? count
            : throw Corrupt($"{field} is {count} with {BytesLeft} bytes left");

    /// <summary>A string that ends with a zero byte.</summary>
    public string ReadString(string field)
    {
        var length = _message[_offset..].IndexOf((byte)0);
        if (length < 0) throw Corrupt($"{field} has no end");
        var text = Decode(length, field);
        _offset++;
        return text;
    }

    public ReadOnlySpan<byte> ReadBytes(int length, string field)
    {
        if (length < 0) throw Corrupt($"{field} has the length {length}");
        Need(length, field);
        var bytes = _message.Slice(_offset, length);
        _offset += length;
        return bytes;
    }

    /// <summary>A row image: TupleData in the manual.</summary>
    /// <param name="field">What it is, for messages.</param>
    /// <param name="kept">Keeps the bytes of its values.</param>
    public ColumnValue[] ReadTuple(string field, ColumnValues kept)
    {
        var values = new ColumnValue[ReadCount(ReadInt16(field), 1, field)];
        for (var i = 0; i < values.Length; i++) values[i] = ReadValue(field, kept);
        return values;
    }

    /// <summary>Ends the message: bytes that nobody asked for mean that it was not understood.</summary>
    public readonly void End()
    {
        if (BytesLeft != 0) throw Corrupt($"{BytesLeft} bytes follow the end of the message");
    }

    public readonly ReplicationException Corrupt(string what) => new(
        ReplicationErrorKind.Corrupt, $"pgoutput message {(Enum.IsDefined(Kind) ? Kind.ToString() : $"0x{(byte)Kind:x2}")}, offset {_offset}: {what}.");

    private ColumnValue ReadValue(string field, ColumnValues kept)
    {
        var kind = ReadByte(field);
        switch (kind)
        {
            case (byte)'n':
                return ColumnValue.Null;
            case (byte)'u':
                return ColumnValue.Unchanged;
            case (byte)'t':
                var length = ReadInt32(field);
                if (length < 0) throw Corrupt($"a value of the {field} has the length {length}");
                Need(length, field);
                if (!kept.TryAdd(_message.Slice(_offset, length), out var value)) throw NotUtf8(field);
                _offset += length;
                return value;
            default:
                throw Corrupt($"a value of the {field} has the kind 0x{kind:x2}, which text mode does not have");
        }
    }

    private string Decode(int length, string field)
    {
        try
        {
            var text = s_utf8.GetString(_message.Slice(_offset, length));
            _offset += length;
            return text;
        }
        catch (DecoderFallbackException)
        {
            // Not passed on as the inner exception: its message quotes bytes of a row.
            throw NotUtf8(field);
        }
    }

    private readonly ReplicationException NotUtf8(string field) => Corrupt($"a text of the {field} is not UTF-8 (a database with the encoding SQL_ASCII can hold such bytes)");

    private readonly void Need(int bytes, string field)
    {
        if (BytesLeft < bytes) throw Corrupt($"{field} needs {bytes} bytes and {BytesLeft} are left");
    }
}
