using ActiveActive.Changes;

namespace ActiveActive.Apply;

/// <summary>
/// Which of the current versions of a table's keys are visible (convergence R6): walked by falling version, a row is taken if it clashes with none
/// taken. The result depends on the set of versions alone, and so does not depend on the order in which they arrived.
/// </summary>
internal static class VisibleSet
{
    /// <param name="rows">The current version of each key.</param>
    /// <param name="clashes">Two numbers each: rows that share a unique value.</param>
    /// <returns>For each row, the number of the newest visible row that keeps it out of sight, or null where it is visible.</returns>
    public static int?[] Of(IReadOnlyList<(RowKey Key, RowVersion Version)> rows, IReadOnlyList<(int First, int Second)> clashes)
    {
        var neighbours = new List<int>[rows.Count];
        foreach (var (first, second) in clashes)
        {
            (neighbours[first] ??= []).Add(second);
            (neighbours[second] ??= []).Add(first);
        }

        var falling = Enumerable.Range(0, rows.Count).ToList();
        falling.Sort((a, b) => Compare(rows[b], rows[a]));
        var rank = new int[rows.Count];
        for (var i = 0; i < falling.Count; i++) rank[falling[i]] = i;
        var isTaken = new bool[rows.Count];
        var hiddenBy = new int?[rows.Count];
        foreach (var row in falling)
        {
            foreach (var other in neighbours[row] ?? [])
            {
                if (isTaken[other] && (hiddenBy[row] is not { } known || rank[other] < rank[known])) hiddenBy[row] = other;
            }

            isTaken[row] = hiddenBy[row] is null;
        }

        return hiddenBy;
    }

    // Rows of one transaction share a version. At its end they do not clash; in between, any order that all nodes have will do.
    private static int Compare((RowKey Key, RowVersion Version) left, (RowKey Key, RowVersion Version) right) =>
        left.Version.IsNewerThan(right.Version) ? 1 : right.Version.IsNewerThan(left.Version) ? -1 : string.CompareOrdinal(left.Key.ToText(), right.Key.ToText());
}
