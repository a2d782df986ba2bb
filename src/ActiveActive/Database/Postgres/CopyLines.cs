using System.Buffers;
using System.Text;
using ActiveActive.Changes;

namespace ActiveActive.Database.Postgres;

/// <summary>
/// Rows in COPY's text format (https://www.postgresql.org/docs/current/sql-copy.html#id-1.9.3.55.9.2), which the server reads with each type's own input function. The bytes are those that
/// came from the peer. Their memory is used again after <see cref="Clear"/>, which must not come before they are sent.
/// </summary>
internal sealed class CopyLines
{
    private static readonly SearchValues<byte> s_special = SearchValues.Create("\\\n\r\t"u8);

    private readonly List<byte[]> _buffers = [];

    /// <param name="rows">The rows.</param>
    /// <param name="ordinals">Which of their values, in this order.</param>
    public ReadOnlyMemory<byte> Of(IReadOnlyList<ColumnValue[]> rows, IReadOnlyList<int> ordinals)
    {
        var bytes = ArrayPool<byte>.Shared.Rent(rows.Count * 64);
        var length = 0;
        for (var i = 0; i < rows.Count; i++)
        {
            for (var column = 0; column < ordinals.Count; column++)
            {
                if (column > 0) bytes[length++] = (byte)'\t';
                Add(rows[i][ordinals[column]], ref bytes, ref length);
            }

            // A value leaves room behind it.
            bytes[length++] = (byte)'\n';
        }

        _buffers.Add(bytes);
        return new ReadOnlyMemory<byte>(bytes, 0, length);
    }

    public void Clear()
    {
        foreach (var buffer in _buffers) ArrayPool<byte>.Shared.Return(buffer);
        _buffers.Clear();
    }

    private static void Add(ColumnValue value, ref byte[] bytes, ref int length)
    {
        var isUtf8 = value.TryGetUtf8(out var utf8);
        // The worst case: each byte escaped, of a string each unit three of them; a null; and a separator behind it.
        Reserve(ref bytes, length, (value.Size * (isUtf8 ? 2 : 6)) + 4);
        if (!value.HasText)
        {
            "\\N"u8.CopyTo(bytes.AsSpan(length));
            length += 2;
            return;
        }

        if (!isUtf8)
        {
            // In the upper part of the room, from where it is copied down: escapes make it at most twice as long.
            var text = value.Text!;
            var upper = bytes.AsSpan(length + (text.Length * 3));
            utf8 = upper[..Encoding.UTF8.GetBytes(text, upper)];
        }

        while (utf8.IndexOfAny(s_special) is var at and >= 0)
        {
            var special = utf8[at];
            utf8[..at].CopyTo(bytes.AsSpan(length));
            utf8 = utf8[(at + 1)..];
            length += at;
            bytes[length++] = (byte)'\\';
            bytes[length++] = special switch { (byte)'\n' => (byte)'n', (byte)'\r' => (byte)'r', (byte)'\t' => (byte)'t', _ => special };
        }

        utf8.CopyTo(bytes.AsSpan(length));
        length += utf8.Length;
    }

    private static void Reserve(ref byte[] bytes, int length, int more)
    {
        if (bytes.Length - length >= more) return;
        var larger = ArrayPool<byte>.Shared.Rent(Math.Max(bytes.Length * 2, length + more));
        bytes.AsSpan(0, length).CopyTo(larger);
        ArrayPool<byte>.Shared.Return(bytes);
        bytes = larger;
    }
}
