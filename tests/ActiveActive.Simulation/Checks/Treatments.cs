using ActiveActive.Changes;
using ActiveActive.Database;
using ActiveActive.Simulation.Cluster;
using ActiveActive.Simulation.Time;
using ActiveActive.Simulation.Workload;
using ActiveActive.Testing.Database;

namespace ActiveActive.Simulation.Checks;

/// <summary>
/// What the orphan watches write, as it is seen from outside: each treatment is an acknowledged transaction like any other, and here it is asked whether it may be one. Only an orphan is
/// treated, whose parent nobody can have written who does not know of it; a child goes out of sight, and comes back, whole; and at rest nobody shows an orphan whose policy is not to keep it.
/// </summary>
internal sealed class Treatments(SimulatedCluster cluster)
{
    private readonly Look?[] _looks = new Look?[cluster.Options.Nodes];
    private readonly List<(Acknowledged Transaction, Look Look, Acknowledged First)> _repairs = [];
    private int _judged = -1;
    private bool _areOver;

    /// <summary>How many checks have told what they found.</summary>
    public int Reports { get; set; }

    /// <summary>Of children that were set to null or put out of sight.</summary>
    public int Count => _repairs.Count;

    /// <summary>Whether every node tells of what is there, and nothing is left to do about it. Changes only with a report, so it is asked then.</summary>
    public bool AreOver
    {
        get
        {
            if (_judged != Reports) (_judged, _areOver) = (Reports, cluster.History.IsComplete && Alive.All(IsOver));
            return _areOver;
        }
    }

    private IEnumerable<SimulatedNode> Alive => cluster.Nodes.Where(n => !n.IsDead);

    private OrphanPolicy Policy => cluster.Options.Orphans!.Value;

    /// <summary>A watch has locked a row and decides about it now.</summary>
    public void Locked(SimulatedNode node, string key)
    {
        _looks[node.Index] = new Look(key, node.Knowledge, RowOf(node, SimulatedTables.Child, key), RowOf(node, SimulatedTables.Orphan, key)?.Value, ParentsOf(node));
    }

    public void Commit(SimulatedNode node, InMemoryTransaction transaction)
    {
        var commit = transaction.Record;
        var effects = transaction.Changes.Select(change => EffectOf(node, transaction, change)).ToList();
        var acknowledged = cluster.History.Commit(node.Index, (ulong)commit.Position, NodeClock.Since(commit.Stamp), effects);
        var look = _looks[node.Index]!;
        var child = effects.Find(e => e.Table == SimulatedTables.Child);
        if (child is { IsInsert: true }) CheckReturn(acknowledged, look, child);
        else if (child is not null) CheckRepair(node, acknowledged, look, child, effects.Find(e => e.Table == SimulatedTables.Orphan));
    }

    /// <summary>What can be said only at the end, when all writes and their order are known.</summary>
    public void Check()
    {
        var all = cluster.History.All.ToList();
        foreach (var (transaction, look, first) in _repairs) CheckStability(transaction, look, first, all);
        foreach (var node in Alive)
        {
            if (cluster.History.Dead.Count > 0 || Policy == OrphanPolicy.Keep || OrphansOf(node) is not [var (key, _, _), ..]) continue;
            cluster.Findings.Violation($"node {node.Name} shows an orphan at rest", (SimulatedTables.Child, key));
        }
    }

    private void CheckRepair(SimulatedNode node, Acknowledged transaction, Look look, Effect child, Effect? entry)
    {
        var subject = (SimulatedTables.Child, look.Key);
        var what = $"node {node.Name} treated child/{look.Key} in {transaction.Name}";
        if (Policy == OrphanPolicy.Keep) cluster.Findings.Violation($"{what}, and orphans are to be kept", subject);
        else if (look.Child is not { Amount: >= 0 } row || look.Parents.Contains(row.Amount)) cluster.Findings.Violation($"{what}, which has its parent", subject);
        else if (Policy == OrphanPolicy.SetNull ? child != new Effect(SimulatedTables.Child, look.Key, row.Value, -1, 0, false) : !child.IsDelete || entry is not { Amount: 0 } || !IsWhole(entry.Value!, look.Key, row))
            cluster.Findings.Violation($"{what}: it was {row}, and that left {string.Join("; ", transaction.Effects)}", subject);
        // The first by name acts when it has seen it twice, each further one once more.
        else if (!node.Life!.Database.OrphanSights.TryGetValue((look.Key, SimulatedTables.KeyOf(row.Amount)), out var sights) || sights.Count < node.Index + 2)
            cluster.Findings.Violation($"{what} after {sights.Count} checks", subject);
        else _repairs.Add((transaction, look, sights.First));
    }

    private void CheckReturn(Acknowledged transaction, Look look, Effect child)
    {
        var subject = (SimulatedTables.Child, look.Key);
        if (look.Entry is null || !IsWhole(look.Entry, look.Key, (child.Value!, child.Amount))) cluster.Findings.Violation($"{transaction.Name} brought {child} back, and out of sight was {look.Entry}", subject);
        else if (!look.Parents.Contains(child.Amount)) cluster.Findings.Violation($"{transaction.Name} brought {child} back without its parent", subject);
    }

    /// <summary>
    /// Whoever did not know what had made it an orphan, when it was first found, could still end it: all that such people have written, with what the watch had seen, must
    /// make the same orphan. Who knew of it may have given it a parent at the same time; that is nobody's fault.
    /// </summary>
    private void CheckStability(Acknowledged transaction, Look look, Acknowledged first, List<Acknowledged> all)
    {
        var (key, number) = (look.Key, look.Child!.Value.Amount);
        var (table, parent) = (cluster.Options.Parent, SimulatedTables.KeyOf(number));
        // What was in quarantine then has left it since: before that nothing is stable, and nothing is treated.
        var known = new ExpectedRows(all.Where((first with { Unseen = new HashSet<(int, int)>() }).Covers), cluster.Options);
        var child = known.WritesOf(SimulatedTables.Child, key);
        // Of the last writes that named the parent the first made the orphan. A later one that did not name it was committed by then, and could not be seen yet.
        var lastNamed = child.FindLastIndex(w => w.Row?.Amount == number);
        if (lastNamed < 0 || known.WritesOf(table, parent) is not [.., var last])
        {
            cluster.Findings.Violation($"{transaction.Name} treated child/{key}, which nobody had made name {parent} when it was first found, or that never was", (SimulatedTables.Child, key));
            return;
        }

        var named = child[child.FindLastIndex(lastNamed, w => w.Row?.Amount != number) + 1].Transaction;
        // A parent that is out of sight for a unique value was not deleted, and any row can bring it back.
        if (SimulatedTables.HasUniqueKeys(table) && !last.Effect.IsDelete) return;
        var gone = (known.WritesOf(table, parent).FindLast(w => w.Effect.IsDelete) ?? last).Transaction;
        var unaware = all.Where(t => !look.Knowledge.Covers(t) && t != transaction && !(t.Covers(named) && t.Covers(gone)) && t.Effects.Any(e => e.Touches(SimulatedTables.Child, key) || e.Touches(table, parent))).ToList();
        if (unaware.Count == 0) return;
        var truth = new ExpectedRows([.. all.Where(look.Knowledge.Covers), .. unaware], cluster.Options);
        if (truth.Of(SimulatedTables.Child, key)?.Amount == number && truth.Of(table, parent) is null) return;
        cluster.Findings.Violation($"{transaction.Name} treated child/{key} without {string.Join(' ', unaware.Select(t => t.Name))}, whose writers did not know it for an orphan, and with which it is none", (SimulatedTables.Child, key));
    }

    private bool IsOver(SimulatedNode node)
    {
        if (node.Life is not { IsOver: false, ForeignKey: { Message: null } status }) return false;
        var orphans = OrphansOf(node).Count;
        var entries = node.ReadRows(SimulatedTables.Orphan).ToList();
        if (status.Orphans != orphans || status.Quarantined != entries.Count) return false;
        // While a dead node is a member nothing more is stable.
        if (cluster.History.Dead.Count == 0 && orphans > 0 && Policy != OrphanPolicy.Keep) return false;
        var parents = ParentsOf(node);
        return entries.All(e => e.Amount == 1 || (RowOf(node, SimulatedTables.Child, e.Key) is null && !parents.Contains(ParentOf(e.Value))));
    }

    private List<(string Key, string Value, long Amount)> OrphansOf(SimulatedNode node)
    {
        var parents = ParentsOf(node);
        return [.. node.ReadRows(SimulatedTables.Child).Where(row => row.Amount >= 0 && !parents.Contains(row.Amount))];
    }

    private HashSet<long> ParentsOf(SimulatedNode node) => [.. node.ReadRows(cluster.Options.Parent).Select(row => (long)(row.Key[0] - 'p'))];

    private static (string Value, long Amount)? RowOf(SimulatedNode node, int table, string key)
    {
        foreach (var row in node.ReadRows(table))
        {
            if (row.Key == key) return (row.Value, row.Amount);
        }

        return null;
    }

    private static bool IsWhole(string entry, string key, (string Value, long Amount) row) =>
        RowText.Read(entry) is var stored && stored["id"] == key && stored["value"] == row.Value && ParentOf(entry) == row.Amount;

    private static long ParentOf(string entry) => SimulatedTables.NumberOf(SimulatedTables.Child, RowText.Read(entry)["parent"]);

    private static Effect EffectOf(SimulatedNode node, InMemoryTransaction transaction, Change change)
    {
        var table = SimulatedTables.IndexOf(change.Relation.Name.Name);
        var isOrphan = table == SimulatedTables.Orphan;
        var definition = isOrphan ? node.Database.OrphanTable! : node.Tables[table];
        var image = change.NewRow ?? change.OldRow!;
        var key = isOrphan ? KeyText.Read(image[1].Text!)[0] : image[0].Text!;
        if (change.NewRow is null) return new Effect(table, key, null, 0, 0, false);
        // The log does not tell a large value that was left as it was.
        var row = transaction.Read(definition, new RowKey(definition.Name, [.. definition.KeyOrdinals.Select(o => image[o].Text!)]))!;
        return isOrphan ? new Effect(table, key, row[3].Text, row[4].Text == "t" ? 1 : 0, 0, change.Kind == ChangeKind.Insert)
            : new Effect(table, key, row[1].Text, SimulatedTables.NumberOf(table, row[2].Text), 0, change.Kind == ChangeKind.Insert);
    }

    /// <summary>What stood there when a watch decided.</summary>
    /// <param name="Key">Of the child.</param>
    /// <param name="Knowledge">What the node had seen.</param>
    /// <param name="Child">The child, where it was visible.</param>
    /// <param name="Entry">The child out of sight, where it was.</param>
    /// <param name="Parents">Those that were visible.</param>
    private sealed record Look(string Key, Acknowledged Knowledge, (string Value, long Amount)? Child, string? Entry, HashSet<long> Parents);
}
