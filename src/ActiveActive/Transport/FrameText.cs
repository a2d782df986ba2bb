using System.Text;
using MessagePack;

namespace ActiveActive.Transport;

/// <summary>
/// Strict UTF-8: text that can't be carried exactly is an error and is never sent or read with replacement characters, which would
/// be another value on the other node.
/// </summary>
internal static class FrameText
{
    public static readonly UTF8Encoding Utf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <exception cref="EncoderFallbackException">The text holds half of a surrogate pair.</exception>
    public static void WriteText(this ref MessagePackWriter writer, string text)
    {
        var count = Utf8.GetByteCount(text);
        writer.WriteStringHeader(count);
        writer.Advance(Utf8.GetBytes(text, writer.GetSpan(count)));
    }

    /// <summary>The longest beginning that fits, cut between characters.</summary>
    public static string CutToBytes(string text, int maxBytes)
    {
        if (Utf8.GetByteCount(text) <= maxBytes) return text;
        Span<byte> bytes = new byte[maxBytes];
        Utf8.GetEncoder().Convert(text, bytes, flush: false, out var charsUsed, out _, out _);
        return text[..(char.IsHighSurrogate(text[charsUsed - 1]) ? charsUsed - 1 : charsUsed)];
    }
}
