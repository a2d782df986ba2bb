using System.Text;

namespace ActiveActive.Changes;

/// <summary>
/// One column of one row image, as PostgreSQL's text output under the library's fixed session settings (see
/// <c>SessionSettings</c>), so that equal text means an equal value on every node. An unchanged TOAST value, which logical
/// decoding does not carry, is a state of its own and never a null.
/// </summary>
/// <remarks>On its way from the log to a table a value stays the UTF-8 that it came as: nearly always nobody asks for its text.</remarks>
internal readonly struct ColumnValue : IEquatable<ColumnValue>
{
    private static readonly object s_unchanged = new();

    // A string, or the bytes that hold the UTF-8.
    private readonly object? _content;
    private readonly int _offset;
    private readonly int _length;

    private ColumnValue(object? content, int offset, int length)
    {
        _content = content;
        _offset = offset;
        _length = length;
    }

    /// <summary>SQL NULL; also the <c>default</c>.</summary>
    public static ColumnValue Null => default;

    /// <summary>A TOASTed value that the update left alone and that the WAL does not hold.</summary>
    public static ColumnValue Unchanged => new(s_unchanged, 0, 0);

    public static ColumnValue Of(string text) => new(text, 0, text.Length);

    /// <param name="bytes">Never written to again where the value lies; it is UTF-8.</param>
    /// <param name="offset">Where it begins.</param>
    /// <param name="length">How many bytes it has.</param>
    public static ColumnValue OfUtf8(byte[] bytes, int offset, int length) => new(bytes, offset, length);

    /// <summary>The text; null for NULL and for <see cref="Unchanged"/>. Made anew each time it is asked for, where the value came as UTF-8.</summary>
    public string? Text => _content switch
    {
        string text => text,
        byte[] bytes => Encoding.UTF8.GetString(bytes, _offset, _length),
        _ => null,
    };

    public bool IsUnchanged => ReferenceEquals(_content, s_unchanged);

    public bool IsNull => _content is null;

    /// <summary>Whether there is a text.</summary>
    public bool HasText => _content is not null && !IsUnchanged;

    /// <summary>About how long the text is: its characters, or the bytes of its UTF-8.</summary>
    public int Size => _length;

    /// <summary>The UTF-8, where the value came as such; else false.</summary>
    public bool TryGetUtf8(out ReadOnlySpan<byte> utf8)
    {
        utf8 = _content is byte[] bytes ? bytes.AsSpan(_offset, _length) : default;
        return _content is byte[];
    }

    public bool Equals(ColumnValue other) =>
        TryGetUtf8(out var left) && other.TryGetUtf8(out var right) ? left.SequenceEqual(right) : IsUnchanged == other.IsUnchanged && Text == other.Text;

    public override bool Equals(object? obj) => obj is ColumnValue other && Equals(other);

    public override int GetHashCode() => HashCode.Combine(Text, IsUnchanged);

    public override string ToString() => IsUnchanged ? "(unchanged)" : Text ?? "(null)";

    public static bool operator ==(ColumnValue left, ColumnValue right) => left.Equals(right);

    public static bool operator !=(ColumnValue left, ColumnValue right) => !left.Equals(right);
}
