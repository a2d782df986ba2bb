namespace ActiveActive.Soak.Checks;

/// <summary>
/// Judges what the nodes hold by their ledgers. A row of the ledger was committed with what it tells of, so: every acknowledged one is there, and what each one tells of has
/// been done, once. It remembers what was there at the last check, so that the ledger can be emptied.
/// </summary>
internal sealed class LedgerCheck
{
    private static readonly TimeSpan s_sameMoment = TimeSpan.FromMilliseconds(2);

    private readonly Dictionary<string, long> _balances = [];
    private readonly Dictionary<string, string> _profiles = [];
    private readonly Dictionary<string, string> _pages = [];
    private readonly HashSet<string> _handles = [];

    /// <summary>What differs or lacks; empty where all is well.</summary>
    /// <param name="nodes">All nodes' rows.</param>
    /// <param name="acknowledged">The transactions that the servers acknowledged since the last check.</param>
    public IReadOnlyList<Finding> Check(IReadOnlyList<NodeRows> nodes, IReadOnlySet<Guid> acknowledged)
    {
        var findings = new List<Finding>();
        foreach (var node in nodes.Skip(1))
        {
            foreach (var (table, digest) in nodes[0].Digests)
            {
                if (node.Digests[table] != digest) findings.Add(new(false, $"{table} differs: {digest} on {nodes[0].Node}, {node.Digests[table]} on {node.Node}."));
            }

            if (!nodes[0].Hidden.SetEquals(node.Hidden)) findings.Add(new(false, $"Other rows of handles are out of sight on {node.Node} than on {nodes[0].Node}."));
        }

        foreach (var node in nodes)
        {
            var ids = node.Ledger.Select(e => e.Id).ToHashSet();
            foreach (var id in acknowledged.Where(id => !ids.Contains(id))) findings.Add(new(true, $"{node.Node} lacks transaction {id} altogether."));
            findings.AddRange(CheckSums(node));
            findings.AddRange(CheckLatest(nodes, node, "put", "profiles", _profiles, node.Profiles));
            findings.AddRange(CheckLatest(nodes, node, "edit", "pages", _pages, node.Pages));
            findings.AddRange(CheckHandles(node));
        }

        return findings;
    }

    /// <summary>What was found good is what the next check starts from.</summary>
    public void Accept(NodeRows good)
    {
        foreach (var (key, balance) in good.Balances) _balances[key] = balance;
        foreach (var (kept, shown) in new[] { (_profiles, good.Profiles), (_pages, good.Pages) })
        {
            kept.Clear();
            foreach (var (key, edit) in shown) kept.Add(key, edit);
        }

        _handles.Clear();
        _handles.UnionWith(good.Handles.Keys.Concat(good.Hidden));
    }

    private IEnumerable<Finding> CheckSums(NodeRows node)
    {
        var added = node.Ledger.Where(e => e.Kind == "add").GroupBy(e => e.Key).ToDictionary(g => g.Key, g => g.Sum(e => e.Amount));
        foreach (var (key, balance) in node.Balances)
        {
            var expected = _balances.GetValueOrDefault(key) + added.GetValueOrDefault(key);
            if (balance != expected) yield return new(true, $"{node.Node}: account {key} holds {balance}, but what was added comes to {expected}.");
        }

        foreach (var entry in node.Ledger)
        {
            if (entry.Kind == "tag" && !node.Tags.GetValueOrDefault(entry.Key, []).Contains(entry.Content)) yield return new(true, $"{node.Node}: document {entry.Key} lacks the tag {entry.Content}.");
            if (entry.Kind == "bulk" && node.Bulk.GetValueOrDefault(entry.Key) != entry.Amount) yield return new(true, $"{node.Node}: of {entry.Amount} rows of {entry.Key} there are {node.Bulk.GetValueOrDefault(entry.Key)}.");
        }

        foreach (var document in node.Tags)
        {
            foreach (var tag in document.Value.GroupBy(t => t).Where(g => g.Count() > 1)) yield return new(false, $"{node.Node}: document {document.Key} has the tag {tag.Key} {tag.Count()} times.");
        }
    }

    /// <summary>
    /// Of each key the latest write is shown, by commit timestamp, then node. The timestamp is read where it was written: elsewhere rows show that of the last transaction of
    /// their group (docs/adr/0021). What goes out can be later by a moment (docs/adr/0011), so of writes at nearly one time either may be shown.
    /// </summary>
    private static IEnumerable<Finding> CheckLatest(IReadOnlyList<NodeRows> nodes, NodeRows node, string kind, string table, Dictionary<string, string> before, Dictionary<string, string> shown)
    {
        var latest = nodes.SelectMany(n => n.Ledger.Where(e => e.Node == n.Node && e.Kind == kind && e.Stamp is not null))
            .GroupBy(e => e.Key).ToDictionary(g => g.Key, g => g.OrderByDescending(e => e.Stamp).ThenByDescending(e => e.Node, StringComparer.Ordinal).ToList());
        foreach (var key in before.Keys.Concat(shown.Keys).Concat(latest.Keys).Distinct())
        {
            var last = latest.GetValueOrDefault(key)?[0];
            var expected = last is null ? before.GetValueOrDefault(key) : last.Content;
            var seen = shown.GetValueOrDefault(key);
            if (seen == expected || latest.GetValueOrDefault(key, []).Any(e => e.Content == seen && last!.Stamp - e.Stamp < s_sameMoment)) continue;
            yield return new(true, $"{node.Node}: {table} {key} shows {seen ?? "nothing"}, but the latest write is {expected ?? "a delete"} of {last?.Stamp:HH:mm:ss.ffffff}.");
        }
    }

    /// <summary>A handle that was taken and not freed is there or out of sight; of those with one value, one is there.</summary>
    private IEnumerable<Finding> CheckHandles(NodeRows node)
    {
        var live = new HashSet<string>(_handles.Concat(node.Ledger.Where(e => e.Kind == "take").Select(e => e.Key)));
        live.ExceptWith(node.Ledger.Where(e => e.Kind == "free").Select(e => e.Key));
        foreach (var id in live.Where(id => !node.Handles.ContainsKey(id) && !node.Hidden.Contains(id))) yield return new(true, $"{node.Node}: handle {id} is neither there nor out of sight.");
        foreach (var id in node.Handles.Keys.Concat(node.Hidden).Where(id => !live.Contains(id))) yield return new(false, $"{node.Node}: handle {id} was freed, or never taken, and is there.");
        foreach (var value in node.Handles.GroupBy(h => h.Value).Where(g => g.Count() > 1)) yield return new(false, $"{node.Node}: handle {value.Key} is there {value.Count()} times.");
    }
}
