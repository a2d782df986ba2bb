using System.Text.Unicode;

namespace ActiveActive.Changes;

/// <summary>
/// Where the bytes of values that are read one after the other are kept: many in one array, which lives as long as one of them does. Not safe for several threads.
/// </summary>
internal sealed class ColumnValues
{
    // Below the size from which arrays are collected with the oldest generation only.
    private const int ChunkBytes = 32 << 10;

    private byte[] _chunk = [];
    private int _used;

    /// <summary>Copies a value. False where it is no UTF-8.</summary>
    public bool TryAdd(ReadOnlySpan<byte> utf8, out ColumnValue value)
    {
        value = default;
        if (!Utf8.IsValid(utf8)) return false;
        if (utf8.Length > ChunkBytes / 4)
        {
            value = ColumnValue.OfUtf8(utf8.ToArray(), 0, utf8.Length);
            return true;
        }

        if (utf8.Length > _chunk.Length - _used)
        {
            _chunk = GC.AllocateUninitializedArray<byte>(ChunkBytes);
            _used = 0;
        }

        utf8.CopyTo(_chunk.AsSpan(_used));
        value = ColumnValue.OfUtf8(_chunk, _used, utf8.Length);
        _used += utf8.Length;
        return true;
    }
}
