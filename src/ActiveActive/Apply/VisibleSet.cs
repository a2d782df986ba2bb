using ActiveActive.Changes;

namespace ActiveActive.Apply;

/// <summary>
/// Which of the current versions of a table's keys are visible (convergence R6): walked by falling version, a row is taken if it clashes with none
/// taken. The result depends on the set of versions alone, and so does not depend on the order in which they arrived.
/// </summary>
internal static class VisibleSet
{
    /// <param name="rows">The current version of each key, and what orders keys of one version.</param>
    /// <param name="clashes">Two numbers each: rows that share a unique value.</param>
    /// <returns>For each row, the number of the newest visible row that keeps it out of sight, or null where it is visible.</returns>
    public static int?[] Of(IReadOnlyList<(string Order, RowVersion Version)> rows, IReadOnlyList<(int First, int Second)> clashes)
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

    // Rows of one transaction share a version, and can clash all the same: in between, or where deltas or siblings make them what nobody wrote. Any order
    // that all nodes have will do.
    private static int Compare((string Order, RowVersion Version) left, (string Order, RowVersion Version) right) =>
        left.Version.IsNewerThan(right.Version) ? 1 : right.Version.IsNewerThan(left.Version) ? -1 : string.CompareOrdinal(left.Order, right.Order);
}
