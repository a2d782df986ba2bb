using System.Text.Encodings.Web;
using System.Text.Json;

namespace ActiveActive.Changes;

/// <summary>The stored form of a key: a JSON array of strings. Deterministic, so that equal keys have equal texts on every node.</summary>
internal static class KeyText
{
    private static readonly JsonWriterOptions s_options = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static string Write(ReadOnlySpan<string> values)
    {
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
