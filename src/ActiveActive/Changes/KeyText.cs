using System.Text.Encodings.Web;
using System.Text.Json;

namespace ActiveActive.Changes;

/// <summary>The stored form of a key: a JSON array of strings. Deterministic, so that equal keys have equal texts on every node.</summary>
internal static class KeyText
{
    // Nothing else needs a look at what JSON makes of it.
    private static readonly System.Buffers.SearchValues<char> s_plain = System.Buffers.SearchValues.Create(
        string.Concat(Enumerable.Range(0x20, 0x5f).Select(static c => (char)c).Where(static c => c is not ('"' or '\\'))));

    private static readonly JsonWriterOptions s_options = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static string Write(ReadOnlySpan<string> values)
    {
        if (values.Length == 1 && !values[0].AsSpan().ContainsAnyExcept(s_plain)) return $"[\"{values[0]}\"]";
        var buffer = new System.Buffers.ArrayBufferWriter<byte>(64);
        using (var writer = new Utf8JsonWriter(buffer, s_options))
        {
            writer.WriteStartArray();
            foreach (var value in values) writer.WriteStringValue(value);
            writer.WriteEndArray();
        }

        return System.Text.Encoding.UTF8.GetString(buffer.WrittenSpan);
    }

    public static string[] Read(string text)
    {
        using var document = JsonDocument.Parse(text);
        return [.. document.RootElement.EnumerateArray().Select(element => element.GetString()!)];
    }
}
