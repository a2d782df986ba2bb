using ActiveActive.Simulation.Workload;

namespace ActiveActive.Simulation.Checks;

/// <summary>One effect of an acknowledged transaction on one key (or, without a key, on a whole table).</summary>
/// <param name="Table">Index into <see cref="SimulatedTables"/>.</param>
/// <param name="Key">Null for TRUNCATE.</param>
/// <param name="Value">The row's value afterwards; null where it is gone.</param>
/// <param name="Amount">The row's amount afterwards.</param>
/// <param name="Delta">What was added to the amount; an insert adds all.</param>
/// <param name="IsInsert">Whether it made the row.</param>
internal sealed record Effect(int Table, string? Key, string? Value, long Amount, long Delta, bool IsInsert)
{
    public bool IsDelete => Value is null;

    public bool Touches(int table, string key) => Table == table && (Key is null || Key == key);

    public override string ToString() => Key is null ? $"truncate {SimulatedTables.Names[Table]}"
        : IsDelete ? $"delete {SimulatedTables.Names[Table]}/{Key}"
        : $"{(IsInsert ? "insert" : "update")} {SimulatedTables.Names[Table]}/{Key} = {Value} {(Table == SimulatedTables.Child ? SimulatedTables.ThirdOf(Table, Amount).Text ?? "null" : Amount)}{(SimulatedTables.HasDeltas(Table) ? $" ({Delta:+0;-0;+0})" : "")}";
}

/// <summary>An acknowledged transaction, and what its node showed when it committed.</summary>
/// <param name="Node">Its origin.</param>
/// <param name="Index">Its number among its origin's, from 0.</param>
/// <param name="Position">In its origin's log.</param>
/// <param name="RawStamp">Microseconds, as its server took it.</param>
/// <param name="Seen">Per origin, how many transactions its node had visible.</param>
/// <param name="Unseen">Which of them it had in quarantine, by origin and number.</param>
/// <param name="Effects">In statement order.</param>
internal sealed record Acknowledged(int Node, int Index, ulong Position, long RawStamp, int[] Seen, IReadOnlySet<(int Origin, int Index)> Unseen, IReadOnlyList<Effect> Effects)
{
    /// <summary>By which it goes, microseconds: known once it is published.</summary>
    public long? Stamp { get; set; }

    public string Name => $"{(char)('a' + Node)}{Index}";

    /// <summary>Whether the writer of this one had seen another, or wrote both.</summary>
    public bool Covers(Acknowledged other) => Node == other.Node ? Index >= other.Index : Seen[other.Node] > other.Index && !Unseen.Contains((other.Node, other.Index));

    /// <summary>The total order of versions.</summary>
    public int CompareTo(Acknowledged other) =>
        Node == other.Node ? Index.CompareTo(other.Index)
        : Stamp != other.Stamp ? Stamp!.Value.CompareTo(other.Stamp) : Node.CompareTo(other.Node);
}

/// <summary>
/// The simulation's own knowledge, independent of the engine: every acknowledged transaction, and which of them each node shows. Checks
/// at each commit that a node takes each transaction once, in its origin's order, and after all that its writer had seen.
/// </summary>
internal sealed class History(SimulationOptions options, Trace trace, Findings findings)
{
    private readonly int _nodes = options.Nodes;
    private readonly ulong[,] _acknowledged = new ulong[options.Nodes, options.Nodes];

    public List<Acknowledged>[] Committed { get; } = [.. Enumerable.Range(0, options.Nodes).Select(_ => new List<Acknowledged>())];

    /// <summary>Per node and origin, how many transactions are visible.</summary>
    public int[][] Seen { get; } = [.. Enumerable.Range(0, options.Nodes).Select(_ => new int[options.Nodes])];

    /// <summary>Per node, what of it is in quarantine there instead.</summary>
    public HashSet<(int Origin, int Index)>[] Quarantined { get; } = [.. Enumerable.Range(0, options.Nodes).Select(_ => new HashSet<(int, int)>())];

    /// <summary>The nodes that died for good.</summary>
    public HashSet<int> Dead { get; } = [];

    /// <summary>Survivors have each other's transactions, and of a dead node's all that one of them has.</summary>
    public bool IsComplete
    {
        get
        {
            if (Enumerable.Range(0, _nodes).Any(node => Quarantined[node].Count > 0 && !Dead.Contains(node))) return false;
            for (var origin = 0; origin < _nodes; origin++)
            {
                var count = SurvivingOf(origin);
                for (var node = 0; node < _nodes; node++)
                {
                    if (!Dead.Contains(node) && Seen[node][origin] != count) return false;
                }
            }

            return true;
        }
    }

    /// <summary>Every acknowledged transaction, but those of a dead node that reached nobody.</summary>
    public IEnumerable<Acknowledged> All => Committed.SelectMany((c, origin) => c.Take(SurvivingOf(origin)));

    /// <summary>What a node shows now, to ask which transactions that covers.</summary>
    public Acknowledged KnowledgeOf(int node) => new(node, Seen[node][node] - 1, 0, 0, [.. Seen[node]], Quarantined[node].ToHashSet(), []);

    /// <summary>A node begins with what it has copied: per origin, all up to a position.</summary>
    public void Join(int node, IEnumerable<(int Origin, ulong Position)> copied)
    {
        foreach (var (origin, position) in copied) Seen[node][origin] = Committed[origin].Count(t => t.Position <= position);
    }

    public void Bury(int node) => Dead.Add(node);

    /// <summary>What only a node has that the others go on without.</summary>
    public IEnumerable<Acknowledged> OnlyAt(int node) => Committed[node].Skip(SurvivingOf(node));

    /// <summary>Transactions that were given up: by origin and position.</summary>
    public HashSet<(int Origin, ulong Position)> GivenUp { get; } = [];

    // What a node that is back came with, and can't pass on.
    private readonly List<(int Node, int Origin, ulong Position)> _copied = [];

    /// <summary>Whether every node durably has what those that are back have copied: until then, only its origin can pass it on.</summary>
    public bool HaveAllWhatWasCopied => _copied.TrueForAll(c => Enumerable.Range(0, _nodes).All(n => n == c.Node || n == c.Origin || _acknowledged[n, c.Origin] >= c.Position));

    /// <summary>A node that the others went on without is back, with what it has copied; what nobody else had is no transaction of the cluster any more.</summary>
    public void Return(int node, IEnumerable<(int Origin, ulong Position)> copied)
    {
        var surviving = SurvivingOf(node);
        foreach (var lost in Committed[node].Skip(surviving)) GivenUp.Add((node, lost.Position));
        Committed[node].RemoveRange(surviving, Committed[node].Count - surviving);
        Dead.Remove(node);
        Array.Clear(Seen[node]);
        Quarantined[node].Clear();
        for (var origin = 0; origin < _nodes; origin++) _acknowledged[node, origin] = 0;
        var had = copied.ToList();
        _copied.AddRange(had.Select(c => (node, c.Origin, c.Position)));
        Join(node, had);
    }

    private int SurvivingOf(int origin) =>
        Dead.Contains(origin) ? Enumerable.Range(0, _nodes).Where(n => !Dead.Contains(n)).Max(n => Seen[n][origin]) : Committed[origin].Count;

    public Acknowledged Commit(int node, ulong position, long stamp, IReadOnlyList<Effect> effects)
    {
        var transaction = new Acknowledged(node, Committed[node].Count, position, stamp, (int[])Seen[node].Clone(), Quarantined[node].ToHashSet(), effects);
        if (options.ClockStepMicroseconds == 0) CheckShownStamp(transaction);
        Committed[node].Add(transaction);
        Seen[node][node]++;
        trace.Note(TraceEvent.Commit, node, node, transaction.Index, transaction);
        return transaction;
    }

    /// <summary>
    /// What apply-wait is for: a write over a received row <em>shows</em> the later stamp, too, unless a clock was set back. A new row may have taken its stamp
    /// before what it could not see was applied; that is what stamps are corrected for.
    /// </summary>
    private void CheckShownStamp(Acknowledged transaction)
    {
        for (var i = 0; i < transaction.Effects.Count; i++)
        {
            var effect = transaction.Effects[i];
            if (effect.Key is not { } key || effect.IsInsert || transaction.Effects.Take(i).Any(e => e.Touches(effect.Table, key))) continue;
            for (var origin = 0; origin < _nodes; origin++)
            {
                // Of a row that was not here there was no lock.
                if (origin == transaction.Node || LastVisible(transaction.Node, origin, effect.Table, key) is not { } received || received.Stamp < transaction.RawStamp) continue;
                if (options.Values && effect.Table == SimulatedTables.LastUpdateWins && !received.Effects.Any(e => e is { IsDelete: false } && e.Touches(effect.Table, key) && options.HoldsRow(transaction.Node, e.Amount))) continue;
                findings.Violation($"node {Letter(transaction.Node)} committed {transaction.Name} @{transaction.RawStamp} over what it had received of {received.Name} @{received.Stamp}", (effect.Table, key));
            }
        }
    }

    private Acknowledged? LastVisible(int node, int origin, int table, string key)
    {
        for (var index = Seen[node][origin] - 1; index >= 0; index--)
        {
            if (Committed[origin][index].Effects.Any(e => e.Touches(table, key)) && !Quarantined[node].Contains((origin, index))) return Committed[origin][index];
        }

        return null;
    }

    public void Acknowledge(int node, int origin, ulong position) => _acknowledged[node, origin] = Math.Max(_acknowledged[node, origin], position);

    /// <summary>What the engine publishes must be the same each time, and later than all that its writer had seen.</summary>
    public void Publish(int node, ulong position, long stamp)
    {
        if (Find(node, position) is not { } transaction)
        {
            findings.Violation($"node {Letter(node)} published a transaction at {position:X} that was never acknowledged");
            return;
        }

        if (transaction.Stamp is { } before)
        {
            if (before != stamp) findings.Violation($"node {Letter(node)} published {transaction.Name} @{stamp}, and @{before} before");
            return;
        }

        transaction.Stamp = stamp;
        if (stamp < transaction.RawStamp) findings.Violation($"node {Letter(node)} published {transaction.Name} @{stamp}, before its commit @{transaction.RawStamp}");
        for (var origin = 0; origin < _nodes; origin++)
        {
            var last = transaction.Seen[origin] - 1;
            if (last < 0 || Committed[origin][last].Stamp < stamp || ReferenceEquals(Committed[origin][last], transaction)) continue;
            findings.Violation($"node {Letter(node)} published {transaction.Name} @{stamp}, and its writer had seen {Committed[origin][last].Name} @{Committed[origin][last].Stamp}");
        }
    }

    public void Apply(int node, int origin, ulong position, bool isQuarantined)
    {
        var next = Seen[node][origin];
        if (!isQuarantined && Quarantined[node].RemoveWhere(q => q.Origin == origin && Committed[origin][q.Index].Position == position) > 0) return;
        if (next >= Committed[origin].Count || Committed[origin][next].Position != position)
        {
            var known = Committed[origin].FindIndex(t => t.Position == position);
            findings.Violation(known < 0 ? $"node {Letter(node)} applied a transaction of {Letter(origin)} at {position:X} that was never acknowledged"
                : known < next ? $"node {Letter(node)} applied {Committed[origin][known].Name} again"
                : $"node {Letter(node)} applied {Committed[origin][known].Name} before {Committed[origin][next].Name}");
            return;
        }

        var transaction = Committed[origin][next];
        for (var other = 0; other < _nodes; other++)
        {
            if (other == origin || transaction.Seen[other] <= Seen[node][other]) continue;
            findings.Violation($"node {Letter(node)} applied {transaction.Name} before {Committed[other][Seen[node][other]].Name}, which its writer had seen");
        }

        Seen[node][origin]++;
        if (isQuarantined) Quarantined[node].Add((origin, next));
        trace.Note(TraceEvent.Apply, node, origin, next, transaction);
    }

    /// <summary>A crash lost applied transactions that were not durable, and that some had gone into quarantine or out of it.</summary>
    public void Lose(int node, int origin, ulong progress, IEnumerable<ulong> quarantined)
    {
        if (progress < _acknowledged[node, origin]) findings.Violation($"node {Letter(node)} had acknowledged {Letter(origin)} {_acknowledged[node, origin]:X}, and after a crash it has {progress:X}");
        while (Seen[node][origin] > 0 && Committed[origin][Seen[node][origin] - 1].Position > progress) Seen[node][origin]--;
        Quarantined[node].RemoveWhere(q => q.Origin == origin);
        foreach (var position in quarantined) Quarantined[node].Add((origin, Committed[origin].FindIndex(t => t.Position == position)));
    }

    public Acknowledged? Find(int origin, ulong position)
    {
        foreach (var transaction in Committed[origin])
        {
            if (transaction.Position == position) return transaction;
        }

        return null;
    }

    private static char Letter(int node) => (char)('a' + node);
}
