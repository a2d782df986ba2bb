namespace ActiveActive.Testing;

/// <summary>
/// Makes rows smaller as long as they still show the same: equal to each other where they can be, with the smallest values that the generator
/// made for the column, and arrays without elements that do not matter. So a counter-example stays one that the table could hold.
/// </summary>
internal sealed class RowShrinker
{
    private const int MostTries = 5_000;

    private readonly Dictionary<string, List<string?>> _values = [];

    public RowShrinker(IEnumerable<Row> generated)
    {
        foreach (var row in generated)
        {
            foreach (var (column, text) in row)
            {
                if (!_values.TryGetValue(column, out var values)) _values.Add(column, values = []);
                if (!values.Contains(text)) values.Add(text);
            }
        }

        foreach (var values in _values.Values) values.Sort(static (a, b) => SizeOf(a) != SizeOf(b) ? SizeOf(a) - SizeOf(b) : string.CompareOrdinal(a, b));
    }

    public Row[] Shrink(Row[] rows, Func<Row[], bool> stillShows)
    {
        var tries = 0;
        for (var isSmaller = true; isSmaller;)
        {
            isSmaller = false;
            foreach (var candidate in Candidates(rows))
            {
                if (++tries > MostTries) return rows;
                if (!IsSmaller(candidate, rows) || !stillShows(candidate)) continue;
                rows = candidate;
                isSmaller = true;
                break;
            }
        }

        return rows;
    }

    private IEnumerable<Row[]> Candidates(Row[] rows)
    {
        for (var i = 0; i < rows.Length; i++)
        {
            for (var j = 0; j < rows.Length; j++)
            {
                if (i != j) yield return Replace(rows, i, rows[j]);
            }

            foreach (var (column, text) in rows[i])
            {
                foreach (var value in Simpler(rows, column, text))
                {
                    yield return Replace(rows, i, rows[i].With(column, value));
                    // What is equal stays so: else no step would lead from it.
                    yield return [.. rows.Select(row => row[column] == text ? row.With(column, value) : row)];
                }
            }
        }
    }

    private IEnumerable<string?> Simpler(Row[] rows, string column, string? text)
    {
        foreach (var row in rows) yield return row[column];
        foreach (var value in _values.GetValueOrDefault(column, []).Take(20)) yield return value;
        if (text is not ['{', .., '}'] || ElementsOf(text) is not { } elements) yield break;
        for (var e = 0; e < elements.Count; e++) yield return ArrayText.Write(elements.Where((_, at) => at != e));
    }

    private static IReadOnlyList<string?>? ElementsOf(string text)
    {
        try
        {
            return ArrayText.Parse(text);
        }
        catch (FormatException)
        {
            // JSON looks like an array, too.
            return null;
        }
    }

    private static Row[] Replace(Row[] rows, int at, Row row)
    {
        var copy = (Row[])rows.Clone();
        copy[at] = row;
        return copy;
    }

    /// <summary>Fewer different values, then shorter ones, then earlier ones: a measure that always falls, so that shrinking ends.</summary>
    private static bool IsSmaller(Row[] left, Row[] right)
    {
        if (Distinct(left) != Distinct(right)) return Distinct(left) < Distinct(right);
        var (small, large) = (left.Sum(r => r.Values.Sum(SizeOf)), right.Sum(r => r.Values.Sum(SizeOf)));
        return small != large ? small < large : string.CompareOrdinal(Texts(left), Texts(right)) < 0;
    }

    private static int Distinct(Row[] rows) => rows.SelectMany(row => row).Distinct().Count();

    private static int SizeOf(string? text) => text is null ? 0 : text.Length + 1;

    private static string Texts(Row[] rows) => string.Join('\n', rows.SelectMany(r => r.Values));
}
