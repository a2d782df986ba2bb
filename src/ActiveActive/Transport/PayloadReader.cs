using System.Buffers;
using System.Text;
using ActiveActive.Changes;
using MessagePack;

namespace ActiveActive.Transport;

/// <summary>Reads the elements of one payload, each against its limit. What breaks a limit is <see cref="ReplicationErrorKind.Corrupt"/>.</summary>
internal ref struct PayloadReader(in ReadOnlySequence<byte> payload)
{
    private readonly long _length = payload.Length;
    private MessagePackReader _reader = new(payload);

    public readonly bool AtEnd => _reader.End;

    /// <summary>The number of elements of an array, of which each takes at least one byte.</summary>
    public int ReadArrayHeader(int max = int.MaxValue)
    {
        var count = _reader.ReadArrayHeader();
        CheckCount(count, max, bytesEach: 1);
        return count;
    }

    public int ReadMapHeader(int max)
    {
        var count = _reader.ReadMapHeader();
        CheckCount(count, max, bytesEach: 2);
        return count;
    }

    public int ReadInt32() => _reader.ReadInt32();

    public int ReadNonNegative()
    {
        var value = _reader.ReadInt32();
        return value >= 0 ? value : throw Corrupt("a negative number");
    }

    public uint ReadUInt32() => _reader.ReadUInt32();

    public long ReadInt64() => _reader.ReadInt64();

    public ulong ReadUInt64() => _reader.ReadUInt64();

    public readonly long Consumed => _reader.Consumed;

    public ReadOnlySequence<byte> ReadBinary() => _reader.ReadBytes() ?? throw Corrupt("null where bytes belong");

    /// <summary>Passes so many elements, whatever they hold. Not by the reader's own way, which calls itself for each level: a peer could exhaust the stack.</summary>
    public void Skip(int elements)
    {
        for (long left = elements; left > 0; left--)
        {
            switch (_reader.NextMessagePackType)
            {
                case MessagePackType.Array:
                    left += _reader.ReadArrayHeader();
                    break;
                case MessagePackType.Map:
                    left += 2L * _reader.ReadMapHeader();
                    break;
                default:
                    _reader.Skip();
                    break;
            }
        }
    }

    public bool TryReadNil() => _reader.TryReadNil();

    public bool ReadBoolean() => _reader.ReadBoolean();

    /// <summary>A copy of the bytes: the payload's buffer is used again.</summary>
    public byte[] ReadBytes() => (_reader.ReadBytes() ?? throw Corrupt("null where bytes belong")).ToArray();

    public Guid ReadGuid()
    {
        var bytes = _reader.ReadBytes() ?? throw Corrupt("no identifier");
        if (bytes.Length != 16) throw Corrupt("an identifier that has not 16 bytes");
        Span<byte> copy = stackalloc byte[16];
        bytes.CopyTo(copy);
        return new Guid(copy, bigEndian: true);
    }

    /// <summary>A text that must be there.</summary>
    public string ReadText(int maxBytes)
    {
        if (_reader.TryReadStringSpan(out var span))
        {
            return span.Length <= maxBytes ? FrameText.Utf8.GetString(span) : throw Corrupt("a text beyond its limit");
        }

        var bytes = _reader.ReadStringSequence() ?? throw Corrupt("null where a text belongs");
        return bytes.Length <= maxBytes ? FrameText.Utf8.GetString(in bytes) : throw Corrupt("a text beyond its limit");
    }

    /// <summary>Copies a short ASCII text; returns its length.</summary>
    public int ReadAscii(scoped Span<char> destination)
    {
        var bytes = _reader.ReadStringSequence() ?? throw Corrupt("null where a name belongs");
        if (bytes.Length > destination.Length) throw Corrupt("a name beyond its limit");
        var count = 0;
        foreach (var segment in bytes)
        {
            foreach (var value in segment.Span) destination[count++] = (char)value;
        }

        return count;
    }

    /// <param name="values">Keeps its bytes.</param>
    public ColumnValue ReadValue(ColumnValues values)
    {
        switch (_reader.NextCode)
        {
            case MessagePackCode.Nil:
                _reader.ReadNil();
                return ColumnValue.Null;
            case MessagePackCode.False:
                _reader.ReadBoolean();
                return ColumnValue.Unchanged;
            default:
                return ReadUtf8(values);
        }
    }

    private ColumnValue ReadUtf8(ColumnValues values)
    {
        if (!_reader.TryReadStringSpan(out var span)) span = (_reader.ReadStringSequence() ?? throw Corrupt("null where a text belongs")).ToArray();
        return values.TryAdd(span, out var value) ? value : throw Corrupt("a text that is no UTF-8");
    }

    public static ReplicationException Corrupt(string found) => new(ReplicationErrorKind.Corrupt, $"The frame holds {found}.");

    private readonly void CheckCount(int count, int max, int bytesEach)
    {
        if (count > max) throw Corrupt($"{count} elements where at most {max} can be");
        if ((long)count * bytesEach > _length - _reader.Consumed) throw Corrupt($"{count} elements in {_length - _reader.Consumed} bytes");
    }
}
