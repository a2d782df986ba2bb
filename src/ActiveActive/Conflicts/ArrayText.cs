using System.Buffers;
using System.Text;

namespace ActiveActive;

/// <summary>
/// Reads and writes PostgreSQL's text form of one-dimensional arrays
/// (<see href="https://www.postgresql.org/docs/18/arrays.html#ARRAYS-IO">Array Input and Output Syntax</see>).
/// </summary>
internal static class ArrayText
{
    private static readonly SearchValues<char> s_needQuotes = SearchValues.Create("{},\"\\ \t\n\r\v\f");

    public static IReadOnlyList<string?> Parse(string text)
    {
        if (text.Length < 2 || text[0] != '{' || text[^1] != '}') throw new FormatException("A one-dimensional array literal was expected.");
        var elements = new List<string?>();
        var i = 1;
        while (i < text.Length - 1)
        {
            elements.Add(text[i] == '"' ? ParseQuoted(text, ref i) : ParsePlain(text, ref i));
            if (i == text.Length - 1) break;
            if (text[i] != ',') throw new FormatException("A comma was expected between array elements.");
            i++;
        }

        return elements;
    }

    public static string Write(IEnumerable<string?> elements)
    {
        var text = new StringBuilder("{");
        foreach (var element in elements)
        {
            if (text.Length > 1) text.Append(',');
            if (element is null) text.Append("NULL");
            else if (NeedsQuotes(element)) text.Append('"').Append(element.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal)).Append('"');
            else text.Append(element);
        }

        return text.Append('}').ToString();
    }

    private static string ParseQuoted(string text, ref int i)
    {
        var element = new StringBuilder();
        for (i++; ; i++)
        {
            if (i >= text.Length - 1) throw new FormatException("A quoted array element has no end.");
            if (text[i] == '"') break;
            if (text[i] == '\\') i++;
            element.Append(text[i]);
        }

        i++;
        return element.ToString();
    }

    private static string? ParsePlain(string text, ref int i)
    {
        var start = i;
        while (i < text.Length - 1 && text[i] != ',')
        {
            if (text[i] is '{' or '}') throw new FormatException("A one-dimensional array literal was expected.");
            i++;
        }

        var element = text[start..i];
        return element.Equals("NULL", StringComparison.OrdinalIgnoreCase) ? null : element;
    }

    private static bool NeedsQuotes(string element) =>
        element.Length == 0
        || element.Equals("NULL", StringComparison.OrdinalIgnoreCase)
        || element.AsSpan().ContainsAny(s_needQuotes);
}
