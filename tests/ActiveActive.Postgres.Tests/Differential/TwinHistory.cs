namespace ActiveActive.Postgres.Tests.Differential;

/// <summary>What a twin does next.</summary>
internal abstract record TwinStep;

/// <summary>A transaction of the application; it inserts its own name into the table <c>written</c>, too.</summary>
internal sealed record TwinWrite(int Node, string Id, IReadOnlyList<TwinChange> Changes) : TwinStep
{
    public override string ToString() => $"{Id} on {TwinHistory.NameOf(Node)}: {string.Join("; ", Changes)}";
}

/// <summary>One node takes all that another one has committed, up to that one's last transaction, and nothing else.</summary>
internal sealed record TwinHandOver(int From, int To, string Last) : TwinStep
{
    public override string ToString() => $"{TwinHistory.NameOf(To)} takes {TwinHistory.NameOf(From)} up to {Last}";
}

/// <summary>
/// A random history whose outcome depends on nothing but itself: transactions run one after another, so their stamps have one order, and each node
/// takes the others' at named points, so what each writer had seen and in which order each node meets the others are given, too. Whichever
/// nodes run it, servers or memory, must come to the same rows and record the same conflicts.
/// </summary>
internal sealed class TwinHistory
{
    public const int Nodes = 3;
    private const int Rounds = 3;

    private readonly Random _random;
    private readonly int _seed;
    private readonly TwinChanges _changes;
    private readonly List<TwinStep> _steps = [];
    private readonly List<List<(string Id, int[] Seen)>> _written = [[], [], []];
    private readonly int[][] _applied = [.. Enumerable.Range(0, Nodes).Select(_ => new int[Nodes])];

    private TwinHistory(int seed)
    {
        _seed = seed;
        _random = new Random(seed);
        _changes = new TwinChanges(_random, seed * TwinChanges.Keys);
    }

    public IReadOnlyList<TwinStep> Steps => _steps;

    public static string NameOf(int node) => ((char)('a' + node)).ToString();

    public static TwinHistory Draw(int seed)
    {
        var history = new TwinHistory(seed);
        history.Write(history._random.Next(Nodes), history._changes.Fill());
        history.HandOverAll();
        for (var round = 0; round < Rounds; round++)
        {
            for (var writes = history._random.Next(4, 10); writes > 0; writes--)
            {
                history.WriteAny();
                while (history._random.Next(4) == 0 && history.HandOverAny())
                {
                }
            }

            history.HandOverAll();
        }

        return history;
    }

    public override string ToString() => string.Join('\n', _steps);

    private void WriteAny()
    {
        int node;
        do node = _random.Next(Nodes);
        while (!LeavesNoKnot(node));
        Write(node, _changes.Draw(NextId(node)));
    }

    private void Write(int node, IReadOnlyList<TwinChange> changes)
    {
        var id = NextId(node);
        _steps.Add(new TwinWrite(node, id, changes));
        _written[node].Add((id, [.. _applied[node]]));
        _applied[node][node]++;
    }

    private string NextId(int node) => $"{NameOf(node)}{_seed}.{_written[node].Count + 1}";

    private void HandOverAll()
    {
        while (HandOverAny())
        {
        }
    }

    private bool HandOverAny()
    {
        var possible = (from to in Enumerable.Range(0, Nodes) from @from in Enumerable.Range(0, Nodes) where CanHandOver(@from, to, _applied) select (From: @from, To: to)).ToList();
        if (possible.Count == 0) return false;
        var (source, target) = possible[_random.Next(possible.Count)];
        _applied[target][source] = _written[source].Count;
        _steps.Add(new TwinHandOver(source, target, _written[source][^1].Id));
        return true;
    }

    /// <summary>Whether there is something to take, and the node has what all of it depends on: else the engine would rightly hold it.</summary>
    private bool CanHandOver(int from, int to, int[][] applied) =>
        from != to && applied[to][from] < _written[from].Count
        && _written[from].Skip(applied[to][from]).All(t => Enumerable.Range(0, Nodes).All(o => o == from || t.Seen[o] <= applied[to][o]));

    /// <summary>
    /// Whether after another write of this node everything can still be handed over. Not so where a first write of a, one of b that saw it, and a
    /// second of a that saw that wait for c: neither node's can be taken as a whole.
    /// </summary>
    private bool LeavesNoKnot(int node)
    {
        int[][] applied = [.. _applied.Select(a => (int[])a.Clone())];
        _written[node].Add(("", [.. _applied[node]]));
        applied[node][node]++;
        for (var moved = true; moved;)
        {
            moved = false;
            for (var to = 0; to < Nodes; to++)
            {
                for (var from = 0; from < Nodes; from++)
                {
                    if (!CanHandOver(from, to, applied)) continue;
                    applied[to][from] = _written[from].Count;
                    moved = true;
                }
            }
        }

        var isLoose = Enumerable.Range(0, Nodes).All(to => Enumerable.Range(0, Nodes).All(from => applied[to][from] == _written[from].Count));
        _written[node].RemoveAt(_written[node].Count - 1);
        return isLoose;
    }
}
