using static ActiveActive.Database.Postgres.PostgresNames;
using static ActiveActive.Database.Postgres.SetUp.SetUpCodes;

namespace ActiveActive.Database.Postgres.SetUp;

/// <summary>
/// Will two nodes give the same key to different rows? A sequence counts on each node for itself, so a key that it fills collides
/// unless the nodes count in steps of at least their number, each from another start. The step is visible here and accepted; that
/// the starts differ is not, and stays with whoever set the step.
/// </summary>
internal static class SequenceKeyCheck
{
    public static IEnumerable<SetUpProblem> Find(SetUpFacts facts)
    {
        var nodes = facts.Nodes;
        if (nodes.Count < 2) yield break;
        var rank = nodes.ToList().IndexOf(facts.Options.Node) + 1;
        foreach (var table in facts.Tables)
        {
            if (facts.Options.Tables.AllowsSequenceKeys(table.Name)) continue;
            foreach (var column in table.Key.Select(table.Find).OfType<ColumnFacts>())
            {
                if (!column.IsSequenceBacked || column.Sequence is { } s && IsInterleaved(s.Increment, nodes.Count)) continue;
                yield return new(SequenceKey,
                    $"Key column {column.Name} of table {table.Name} takes its values from a sequence{(column.Sequence is { } named ? $" ({named.Name})" : "")}: the {nodes.Count} nodes would give the same key to different rows.",
                    Fix(table, column, nodes.Count, rank));
            }
        }
    }

    /// <summary>The first value after <paramref name="last"/> that belongs to a node: ranks count from 1, values of one node are equal modulo the number of nodes.</summary>
    public static long Restart(long last, int nodes, int rank) => last + 1 + (((rank - last - 1) % nodes) + nodes) % nodes;

    private static bool IsInterleaved(long increment, int nodes) => increment >= nodes || increment <= -nodes;

    private static string Fix(TableFacts table, ColumnFacts column, int nodes, int rank)
    {
        var uuid = $"Use uuid keys (DEFAULT gen_random_uuid())";
        var allow = $"or, if the keys are known not to collide, set AllowSequenceKeys on the rule that matches '{table.Name}'.";
        if (column.Sequence is not { } sequence) return $"{uuid}, {allow}";
        var restart = Restart(Math.Max(sequence.Last ?? 0, 0), nodes, rank);
        return $"{uuid}; or ALTER SEQUENCE {Quote(sequence.Name)} INCREMENT BY {nodes} RESTART WITH {restart}; on this node ({rank} of {nodes} by name), "
            + $"the same INCREMENT and a start with its own remainder modulo {nodes}, above every key in use on any node, on each other one; {allow}";
    }
}
