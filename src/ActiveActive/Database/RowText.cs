using System.Buffers;
using System.Text;
using System.Text.Json;
using ActiveActive.Changes;

namespace ActiveActive.Database;

/// <summary>The stored form of a row: a JSON object of texts by column name. What is unchanged is not named.</summary>
internal static class RowText
{
    public static string Write(LocalTable table, ColumnValue[] values) => Write(writer => Write(writer, table, values));

    /// <summary>An array of rows.</summary>
    public static string WriteAll(LocalTable table, IReadOnlyList<ColumnValue[]> rows) => Write(writer =>
    {
        writer.WriteStartArray();
        foreach (var row in rows) Write(writer, table, row);
        writer.WriteEndArray();
    });

    public static Row Read(string json)
    {
        using var row = JsonDocument.Parse(json);
        return new Row(row.RootElement.EnumerateObject().Select(c => KeyValuePair.Create(c.Name, c.Value.GetString())).ToList());
    }

    /// <summary>A column that the stored row does not name reads as unchanged: it takes its default.</summary>
    public static ColumnValue[] Read(LocalTable table, string json)
    {
        using var document = JsonDocument.Parse(json);
        var values = new ColumnValue[table.Columns.Count];
        for (var i = 0; i < values.Length; i++)
        {
            values[i] = !document.RootElement.TryGetProperty(table.Columns[i].Name, out var value) ? ColumnValue.Unchanged
                : value.ValueKind == JsonValueKind.Null ? ColumnValue.Null : ColumnValue.Of(value.GetString()!);
        }

        return values;
    }

    private static string Write(Action<Utf8JsonWriter> write)
    {
        var buffer = new ArrayBufferWriter<byte>(256);
        using (var writer = new Utf8JsonWriter(buffer)) write(writer);
        return Encoding.UTF8.GetString(buffer.WrittenSpan);
    }

    private static void Write(Utf8JsonWriter writer, LocalTable table, ColumnValue[] values)
    {
        writer.WriteStartObject();
        for (var i = 0; i < values.Length; i++)
        {
            if (!values[i].IsUnchanged) writer.WriteString(table.Columns[i].Name, values[i].Text);
        }

        writer.WriteEndObject();
    }
}
