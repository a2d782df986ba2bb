using System.Text;
using ActiveActive.Changes;

namespace ActiveActive.Testing.Database;

/// <summary>Rows in the text form of <see href="https://www.postgresql.org/docs/current/sql-copy.html">COPY</see>.</summary>
internal static class CopyText
{
    public static void Write(StringBuilder text, ColumnValue[] row)
    {
        for (var i = 0; i < row.Length; i++)
        {
            if (i > 0) text.Append('\t');
            if (row[i].Text is not { } value)
            {
                text.Append("\\N");
                continue;
            }

            foreach (var c in value)
            {
                _ = c switch
                {
                    '\\' => text.Append("\\\\"),
                    '\t' => text.Append("\\t"),
                    '\n' => text.Append("\\n"),
                    '\r' => text.Append("\\r"),
                    _ => text.Append(c),
                };
            }
        }

        text.Append('\n');
    }

    /// <summary>The values of one line, without its end.</summary>
    public static ColumnValue[] Read(string line) => [.. line.Split('\t').Select(static field => field == "\\N" ? ColumnValue.Null : ColumnValue.Of(Unescape(field)))];

    private static string Unescape(string field)
    {
        if (!field.Contains('\\')) return field;
        var text = new StringBuilder(field.Length);
        for (var i = 0; i < field.Length; i++)
        {
            text.Append(field[i] != '\\' ? field[i] : field[++i] switch { 't' => '\t', 'n' => '\n', 'r' => '\r', var other => other });
        }

        return text.ToString();
    }
}
