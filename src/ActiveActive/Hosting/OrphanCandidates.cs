using ActiveActive.Changes;

namespace ActiveActive.Hosting;

/// <summary>
/// Which orphans a node may treat now. One that a check has found is due once every node is known to have what made it and all that they wrote before is
/// here, and it still stands. The node that is first by name comes first; each further one lets one more such turn pass, so that as a rule one node alone
/// writes, and none need be there. Pure.
/// </summary>
internal sealed class OrphanCandidates(int rank)
{
    private Dictionary<string, int> _turns = new(StringComparer.Ordinal);

    /// <summary>Whether there is anything to wait for.</summary>
    public bool IsEmpty => _turns.Count == 0;

    /// <summary>What stands at a check.</summary>
    /// <param name="standing">The orphans whose policy is not to keep them.</param>
    /// <param name="isStable">Whether what was here at the last check that returned <c>IsNewTurn</c> is stable by now.</param>
    /// <returns>What is due, and whether a new turn begins: what is here now must become stable before the next.</returns>
    public (IReadOnlyList<OrphanedRow> Due, bool IsNewTurn) Next(IReadOnlyList<OrphanedRow> standing, bool isStable)
    {
        var begins = isStable || IsEmpty;
        var turns = new Dictionary<string, int>(StringComparer.Ordinal);
        var due = new List<OrphanedRow>();
        foreach (var orphan in standing)
        {
            var name = NameOf(orphan);
            if (!_turns.TryGetValue(name, out var turn))
            {
                if (begins) turns[name] = 0;
                continue;
            }

            // Due again at every turn: a write that was refused is tried again.
            turns[name] = begins ? turn + 1 : turn;
            if (begins && turn >= rank) due.Add(orphan);
        }

        _turns = turns;
        return (due, begins && turns.Count > 0);
    }

    private static string NameOf(OrphanedRow orphan) =>
        $"{orphan.Table} {orphan.Constraint} {KeyText.Write([.. orphan.Key])} {string.Concat(orphan.Values.Select(v => v is null ? "null" : KeyText.Write([v])))}";
}
