using System.Buffers;
using System.Text;
using ActiveActive.Changes;
using Npgsql;
using NpgsqlTypes;

namespace ActiveActive.Database.Postgres;

/// <summary>
/// Columns of many rows as the text form of an array, which the server takes apart with the element type's own input function
/// (https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO). The bytes are those that came from the peer: no value becomes a string on the way. Their memory is
/// used again after <see cref="Clear"/>, which must not come before the commands are executed.
/// </summary>
internal sealed class ArrayLiterals
{
    private static ReadOnlySpan<byte> Special => "\"\\"u8;

    private readonly List<byte[]> _buffers = [];

    public NpgsqlParameter Of(IReadOnlyList<ColumnValue[]> rows, int ordinal)
    {
        var literal = new Literal(this, rows.Count);
        for (var i = 0; i < rows.Count; i++) literal.Add(rows[i][ordinal]);
        return literal.End();
    }

    /// <summary>One column of some keys.</summary>
    public NpgsqlParameter Of(IReadOnlyList<RowKey> keys, int column)
    {
        var literal = new Literal(this, keys.Count);
        for (var i = 0; i < keys.Count; i++) literal.Add(ColumnValue.Of(keys[i].Values[column]));
        return literal.End();
    }

    public void Clear()
    {
        foreach (var buffer in _buffers) ArrayPool<byte>.Shared.Return(buffer);
        _buffers.Clear();
    }

    private struct Literal(ArrayLiterals owner, int count)
    {
        private byte[] _bytes = ArrayPool<byte>.Shared.Rent(64 + (count * 16));
        private int _length;

        public void Add(ColumnValue value)
        {
            // The worst case: each byte escaped, of a string each unit three of them; and what stands around it.
            Reserve((value.Size * (value.TryGetUtf8(out var utf8) ? 2 : 6)) + 8);
            var before = _length == 0 ? (byte)'{' : (byte)',';
            _bytes[_length++] = before;
            if (!value.HasText)
            {
                "NULL"u8.CopyTo(_bytes.AsSpan(_length));
                _length += 4;
                return;
            }

            _bytes[_length++] = (byte)'"';
            if (utf8.IsEmpty) AddText(value.Text!);
            else AddEscaped(utf8);
            _bytes[_length++] = (byte)'"';
        }

        public NpgsqlParameter End()
        {
            Reserve(2);
            if (_length == 0) _bytes[_length++] = (byte)'{';
            _bytes[_length++] = (byte)'}';
            owner._buffers.Add(_bytes);
            return new() { NpgsqlDbType = NpgsqlDbType.Text, Value = new ReadOnlyMemory<byte>(_bytes, 0, _length) };
        }

        private void AddText(string text)
        {
            // In the upper part of the room, from where it is copied down: escapes make it at most twice as long.
            var upper = _bytes.AsSpan(_length + (text.Length * 3));
            AddEscaped(upper[..Encoding.UTF8.GetBytes(text, upper)]);
        }

        private void AddEscaped(ReadOnlySpan<byte> utf8)
        {
            while (utf8.IndexOfAny(Special) is var at and >= 0)
            {
                var special = utf8[at];
                utf8[..at].CopyTo(_bytes.AsSpan(_length));
                utf8 = utf8[(at + 1)..];
                _length += at;
                _bytes[_length++] = (byte)'\\';
                _bytes[_length++] = special;
            }

            utf8.CopyTo(_bytes.AsSpan(_length));
            _length += utf8.Length;
        }

        private void Reserve(int more)
        {
            if (_bytes.Length - _length >= more) return;
            var larger = ArrayPool<byte>.Shared.Rent(Math.Max(_bytes.Length * 2, _length + more));
            _bytes.AsSpan(0, _length).CopyTo(larger);
            ArrayPool<byte>.Shared.Return(_bytes);
            _bytes = larger;
        }
    }
}
