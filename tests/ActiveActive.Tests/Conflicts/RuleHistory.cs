using ActiveActive.Apply;
using ActiveActive.Changes;
using ActiveActive.Database;

namespace ActiveActive.Tests.Conflicts;

/// <summary>Histories over few keys on two to four nodes, delivered in random causal order: whatever the order, all nodes end alike.</summary>
internal static class RuleHistory
{
    private static readonly string[] s_keys = ["1", "2"];

    public static void AssertAllConverge(LocalTable table, int histories, bool withTruncate, Func<Random, string[]?, string[]> newValues,
        Func<RuleNode, RuleNode, ChangeTransaction, RowToFetch, FetchedRow>? fetch = null)
    {
        for (var seed = 1; seed <= histories; seed++)
        {
            var story = new List<string>();
            var nodes = Run(table, new Random(seed), withTruncate, newValues, story, fetch ?? ((_, origin, transaction, row) => origin.Answer(transaction, row)));
            var expected = nodes[0].Describe();
            foreach (var node in nodes.Skip(1))
            {
                if (node.Describe() == expected) continue;
                Assert.Fail($"seed {seed}: nodes differ.\n{string.Join("\n", story)}\n{string.Join("\n", nodes.Select(n => $"{n.Name}:\n{n.Describe()}"))}");
            }
        }
    }

    /// <summary>Every order in which transactions can arrive that their dependencies allow (one origin's stay in order).</summary>
    public static IEnumerable<IReadOnlyList<ChangeTransaction>> Orders(IReadOnlyList<ChangeTransaction> transactions) =>
        Orders([], transactions, DependencyVector.Empty);

    private static IEnumerable<IReadOnlyList<ChangeTransaction>> Orders(List<ChangeTransaction> before, IReadOnlyList<ChangeTransaction> rest, DependencyVector applied)
    {
        if (rest.Count == 0) yield return [.. before];
        foreach (var next in rest)
        {
            var isNext = !rest.Any(t => t.Origin == next.Origin && t.Position < next.Position) && next.Dependencies.All(d => applied.Covers(d.Key, d.Value));
            if (!isNext) continue;
            foreach (var order in Orders([.. before, next], [.. rest.Where(t => t != next)], applied.Advance(next.Origin, next.Position))) yield return order;
        }
    }

    private static List<RuleNode> Run(
        LocalTable table, Random random, bool withTruncate, Func<Random, string[]?, string[]> newValues, List<string> story, Func<RuleNode, RuleNode, ChangeTransaction, RowToFetch, FetchedRow> fetch)
    {
        var nodes = Enumerable.Range(0, random.Next(2, 5)).Select(i => new RuleNode($"{(char)('a' + i)}", table, s_keys)).ToList();
        foreach (var node in nodes) node.Fetch = (transaction, row) => fetch(node, nodes.Single(n => n.Name == transaction.Origin), transaction, row);
        var sent = nodes.ToDictionary(n => n.Name, _ => new List<ChangeTransaction>());
        var next = new Dictionary<(NodeName To, NodeName From), int>();
        var stamps = nodes.ToDictionary(n => n.Name, _ => 0L);
        for (var steps = random.Next(4, 20); steps > 0; steps--)
        {
            var node = nodes[random.Next(nodes.Count)];
            if (random.Next(2) == 0) Deliver(node, nodes[random.Next(nodes.Count)]);
            else Commit(node);
        }

        // Healed: everything arrives everywhere.
        while (nodes.Any(to => nodes.Any(from => Deliver(to, from))))
        {
        }

        return nodes;

        bool Deliver(RuleNode to, RuleNode from)
        {
            var at = next.GetValueOrDefault((to.Name, from.Name));
            if (to == from || at == sent[from.Name].Count || !to.CanApply(sent[from.Name][at])) return false;
            next[(to.Name, from.Name)] = at + 1;
            story.Add($"{to.Name} applies {sent[from.Name][at]}");
            to.Apply(sent[from.Name][at]);
            return true;
        }

        void Commit(RuleNode node)
        {
            // Small steps, so that nodes often have equal stamps; one origin's may be equal, too.
            var stamp = Math.Max(Math.Max(stamps[node.Name], node.Clock + 1), 1) + random.Next(3);
            stamps[node.Name] = stamp;
            var has = s_keys.ToDictionary(k => k, node.Has);
            var values = s_keys.ToDictionary(k => k, k => node[k]?.Split('|'));
            var writes = new List<LocalWrite>();
            for (var count = random.Next(1, 4); count > 0; count--)
            {
                var key = s_keys[random.Next(s_keys.Length)];
                if (withTruncate && random.Next(12) == 0)
                {
                    writes.Add(LocalWrite.Truncate());
                    foreach (var k in s_keys) (has[k], values[k]) = (false, null);
                }
                else if (has[key] && random.Next(3) == 0)
                {
                    writes.Add(LocalWrite.Delete(key));
                    (has[key], values[key]) = (false, null);
                }
                else
                {
                    var row = newValues(random, values[key]);
                    writes.Add(has[key] ? LocalWrite.Update(key, row) : LocalWrite.Insert(key, row));
                    (has[key], values[key]) = (true, row);
                }
            }

            var transaction = node.Commit(stamp, [.. writes]);
            story.Add($"{node.Name} commits at {stamp} after {transaction.Dependencies}, {transaction.Position}: {string.Join(", ", writes.Select(w => $"{w.Kind} {w.Key} ({string.Join("|", w.Values)})"))}");
            sent[node.Name].Add(transaction);
        }
    }
}
