using System.Globalization;
using System.Text.Json.Nodes;
using Spectre.Console;

namespace ActiveActive.CommandLine;

/// <summary>Numbers, times and tables as people read them.</summary>
internal static class Texts
{
    private static readonly string[] s_units = ["B", "KiB", "MiB", "GiB", "TiB"];

    public static string Bytes(long bytes)
    {
        var (value, unit) = ((double)bytes, 0);
        for (; Math.Abs(value) >= 1024 && unit < s_units.Length - 1; unit++) value /= 1024;
        return string.Create(CultureInfo.InvariantCulture, $"{value:0.#} {s_units[unit]}");
    }

    public static string Seconds(double seconds) => string.Create(CultureInfo.InvariantCulture, $"{seconds:0.0} s");

    public static string Time(DateTimeOffset time) => time.UtcDateTime.ToString("yyyy-MM-dd HH:mm:ss'Z'", CultureInfo.InvariantCulture);

    /// <summary>Empty where the property is missing or null.</summary>
    public static string Text(JsonNode? node, string property) => node?[property]?.ToString() ?? "";

    public static long Number(JsonNode? node, string property) => node?[property]?.GetValue<long>() ?? 0;

    public static IEnumerable<JsonNode> Items(JsonNode? node, string property) => (node?[property] as JsonArray ?? []).OfType<JsonNode>();

    /// <summary>Of plain texts, whose brackets are no markup.</summary>
    public static Table Table(params ReadOnlySpan<string> columns)
    {
        var table = new Table { Border = TableBorder.Simple };
        foreach (var column in columns) table.AddColumn(new TableColumn(new Text(column)));
        return table;
    }

    public static void Row(this Table table, params ReadOnlySpan<string> cells)
    {
        var texts = new List<Text>();
        foreach (var cell in cells) texts.Add(new Text(cell));
        table.AddRow(texts);
    }

    /// <summary>A line that is not broken, so that it can be copied.</summary>
    public static void Line(this IAnsiConsole console, string line = "") => console.Profile.Out.Writer.WriteLine(line);

    /// <summary>Nothing where there is no text.</summary>
    public static void Lines(this IAnsiConsole console, string indent, string text)
    {
        if (text.Length == 0) return;
        foreach (var line in text.ReplaceLineEndings("\n").Split('\n')) console.Line(indent + line);
    }
}
