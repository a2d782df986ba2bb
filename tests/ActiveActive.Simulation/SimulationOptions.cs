using ActiveActive.Simulation.Time;
using ActiveActive.Simulation.Workload;

namespace ActiveActive.Simulation;

/// <summary>What one simulation is made of; drawn from its seed, then changed by the command line or by trimming.</summary>
internal sealed record SimulationOptions
{
    public required ulong Seed { get; init; }

    public int Nodes { get; init; } = 3;

    public int Keys { get; init; } = 3;

    /// <summary>Local transactions in all.</summary>
    public int Transactions { get; init; } = 200;

    public int ClientsPerNode { get; init; } = 2;

    /// <summary>Which tables take part: indexes into <see cref="SimulatedTables"/>; the child table, where there is one, goes without saying.</summary>
    public IReadOnlyList<int> Tables { get; init; } = [0, 1, 2];

    public bool Truncates { get; init; }

    /// <summary>Percent of statements that are truncates, where there are any.</summary>
    public int TruncatePercent { get; init; } = 3;

    /// <summary>Percent of statements that are deletes, key changes included.</summary>
    public int DeletePercent { get; init; } = 25;

    /// <summary>Percent of values that are the same on all nodes: equal rows are no conflict.</summary>
    public int SameValuePercent { get; init; } = 10;

    public bool Crashes { get; init; }

    /// <summary>Whether the engine can outlive its database's crash for a time, since capture does not notice.</summary>
    public bool LateNotice { get; init; }

    /// <summary>Whether a node dies for good while the others go on; needs three nodes.</summary>
    public bool Deaths { get; init; }

    /// <summary>Whether the last node comes later, and gets its data from another one.</summary>
    public bool Joins { get; init; }

    /// <summary>All members must be there to add it; and who treats orphans must be known from the start.</summary>
    public bool HasJoin => Joins && Nodes > 1 && !Deaths && Orphans is null && Donors.Any() && (!Values || IsHome(Nodes - 1));

    /// <summary>Of whom the last node can get its data: those that hold all that it holds.</summary>
    public IEnumerable<int> Donors => Enumerable.Range(0, Nodes - 1).Where(n => (!Values || IsHome(n)) && Tables.All(t => !Holds(Nodes - 1, t) || Holds(n, t)));

    /// <summary>Whether tables are on some of the nodes only.</summary>
    public bool Routes { get; init; }

    /// <summary>By table, the nodes that hold it, as bits.</summary>
    public IReadOnlyList<int> RouteMasks { get; init; } = [];

    /// <summary>Whether rows of the last-update-wins table are on some nodes only, by their amount.</summary>
    public bool Values { get; init; }

    /// <summary>By region, the nodes that hold its rows, as bits; the last for any other value.</summary>
    public IReadOnlyList<int> RegionMasks { get; init; } = [];

    /// <summary>Whether a node holds a row of the table whose rows are not on every node.</summary>
    public bool HoldsRow(int node, long amount) => !Values || (MaskOf(amount) & (1 << node)) != 0;

    public int MaskOf(long region) => RegionMasks[region < 0 || region >= RegionMasks.Count ? RegionMasks.Count - 1 : (int)region] | HomeMask;

    /// <summary>The first node holds every row, and others where there are many.</summary>
    public bool IsHome(int node) => Enumerable.Range(0, RegionMasks.Count).All(r => HoldsRow(node, r));

    private int HomeMask => 1 << HomeAt % Nodes;

    public int HomeAt { get; init; }

    /// <summary>Whether a node holds a table. Every node holds one at least.</summary>
    public bool Holds(int node, int table)
    {
        if (Values && table == SimulatedTables.LastUpdateWins) return Enumerable.Range(0, RegionMasks.Count).Any(r => HoldsRow(node, r));
        if (!Routes || !Tables.Contains(table) || IsNamed(node, table)) return true;
        return table == Tables[0] && !Tables.Any(t => IsNamed(node, t));
    }

    private bool IsNamed(int node, int table) => (RouteMasks[table] & ((1 << Nodes) - 1)) is var mask && (mask == 0 || (mask & (1 << node)) != 0);

    /// <summary>Whether the node that dies is parted from the cluster by the others; or it is parted while it lives, and gets another one's data later.</summary>
    public bool Partings { get; init; }

    /// <summary>Who treats orphans must be known from the start; and where tables are on some nodes, not everyone can relay what a node that leaves has sent.</summary>
    public bool HasParting => Partings && Deaths && Nodes > 2 && Orphans is null && !Routes && !Values;

    /// <summary>How long a node is away before others are asked for its transactions, microseconds.</summary>
    public int RelayAfterMicroseconds { get; init; } = 10_000;

    public bool NetworkFaults { get; init; }

    public bool SlowCapture { get; init; }

    /// <summary>The greatest offset of a node's clock, microseconds.</summary>
    public int SkewMicroseconds { get; init; }

    /// <summary>Whether clocks are set forward and back, at most by so many microseconds.</summary>
    public int ClockStepMicroseconds { get; init; }

    /// <summary>Changes after which a transaction goes in another part.</summary>
    public int ChangesPerPart { get; init; } = 5000;

    /// <summary>Granule of all clocks, microseconds.</summary>
    public int GranuleMicroseconds { get; init; } = 1;

    /// <summary>Whether two commits of one node can have the same stamp.</summary>
    public bool TiesWithinNode { get; init; }

    /// <summary>Network latency, microseconds.</summary>
    public int LatencyMicroseconds { get; init; } = 1000;

    /// <summary>How many times longer than to a later node the way to an earlier one takes.</summary>
    public int SlownessBack { get; init; } = 1;

    /// <summary>Clients' time between transactions, microseconds.</summary>
    public int ThinkMicroseconds { get; init; } = 2000;

    /// <summary>Time for which a transaction may stay open between two statements, microseconds.</summary>
    public int HoldMicroseconds { get; init; } = 500;

    /// <summary>Time that a local commit may take between two of its steps, microseconds.</summary>
    public int CommitMicroseconds { get; init; } = 100;

    /// <summary>Interval of heartbeats, checkpoints and collection, microseconds.</summary>
    public int HeartbeatMicroseconds { get; init; } = 4000;

    /// <summary>Percent of the places at which others may go on where they do.</summary>
    public int InterruptPercent { get; init; } = 50;

    /// <summary>How many times longer than usual a database's calls take.</summary>
    public int Slowness { get; init; } = 1;

    /// <summary>Percent of a peer's transactions that a node puts into quarantine, to be retried later.</summary>
    public int QuarantinePercent { get; init; }

    /// <summary>Percent of the commits of applied transactions that fail when the position is named already.</summary>
    public int AbortPercent { get; init; }

    /// <summary>Unique keys of each table that has some, 0 to 2.</summary>
    public int UniqueKeys { get; init; }

    /// <summary>What becomes of orphans of the child table's foreign key; null where there is none.</summary>
    public OrphanPolicy? Orphans { get; init; }

    /// <summary>Which of the tables the foreign key refers to, modulo their number.</summary>
    public int ParentAt { get; init; }

    public int Parent => Tables[ParentAt % Tables.Count];

    /// <summary>Interval of the checks for orphans, microseconds.</summary>
    public int OrphanCheckMicroseconds { get; init; } = 10_000;

    /// <summary>The tables that clients write.</summary>
    public IReadOnlyList<int> WrittenTables => Orphans is null ? Tables : [.. Tables, SimulatedTables.Child];

    /// <summary>The tables that nodes must agree about.</summary>
    public IReadOnlyList<int> ComparedTables => Orphans is null ? Tables : [.. Tables, SimulatedTables.Child, SimulatedTables.Orphan];

    /// <summary>Entries of the change log in memory, so that peers fall behind it.</summary>
    public int LogEntries { get; init; } = 1000;

    public static SimulationOptions From(ulong seed)
    {
        var random = new SeededRandom(seed ^ 0xA5A5_5A5A);
        // Small histories find most and are easy to read; large ones meet what needs time.
        var transactions = random.Next(4) switch { 0 => random.Between(4, 20), 1 => random.Between(20, 80), _ => random.Between(80, 200) };
        IReadOnlyList<int> tables = random.Next(4) switch { 0 => [0], 1 => [1], 2 => [2], _ => [0, 1, 2] };
        return WithParting(WithValues(WithRoutes(WithJoin(WithLateNotice(WithAborts(WithOtherUniqueTables(WithForeignKey(WithUniqueKeys(WithDeaths(new SimulationOptions
        {
            Seed = seed,
            Nodes = random.Between(2, 4),
            Keys = random.Between(1, 5),
            Transactions = transactions,
            ClientsPerNode = random.Between(1, 3),
            Tables = tables,
            Truncates = random.Chance(20),
            DeletePercent = random.Pick([0, 15, 35]),
            Crashes = random.Chance(35),
            NetworkFaults = random.Chance(50),
            SlowCapture = random.Chance(40),
            SkewMicroseconds = random.Pick([0, 500, 5_000, 50_000]),
            GranuleMicroseconds = random.Pick([1, 1, 100, 1000]),
            LatencyMicroseconds = random.Pick([100, 1000, 5000]),
            ThinkMicroseconds = random.Pick([500, 2000, 8000]),
            HoldMicroseconds = random.Pick([50, 500, 5000]),
            HeartbeatMicroseconds = random.Pick([2000, 8000, 20_000]),
            TiesWithinNode = random.Chance(15),
            LogEntries = random.Pick([12, 1000, 1000]),
            ClockStepMicroseconds = random.Pick([0, 0, 2_000, 50_000]),
            CommitMicroseconds = random.Pick([20, 200, 3000]),
            ChangesPerPart = random.Pick([1, 2, 5000, 5000]),
            QuarantinePercent = random.Pick([0, 0, 0, 0, 0, 2, 5]),
        }))))))))));

        SimulationOptions WithParting(SimulationOptions options) => options with { Partings = random.Chance(70) };

        SimulationOptions WithLateNotice(SimulationOptions options) => options with { LateNotice = random.Chance(50) };

        SimulationOptions WithRoutes(SimulationOptions options) => options with
        {
            Routes = options.Orphans is null && random.Chance(25),
            RouteMasks = [.. Enumerable.Range(0, SimulatedTables.Child).Select(_ => random.Between(1, 15) | random.Between(0, 15))],
        };

        SimulationOptions WithValues(SimulationOptions options)
        {
            var masks = Enumerable.Range(0, 3).Select(_ => random.Between(1, 15)).ToList();
            var home = random.Next(4);
            return options.Orphans is not null || !options.Tables.Contains(SimulatedTables.LastUpdateWins) || !random.Chance(40) ? options with { RegionMasks = masks, HomeAt = home }
                : options with { Values = true, RegionMasks = masks, HomeAt = home };
        }

        SimulationOptions WithJoin(SimulationOptions options) => options with { Joins = random.Chance(20) };

        SimulationOptions WithAborts(SimulationOptions options) => options with { AbortPercent = random.Pick([0, 0, 0, 3]) };

        SimulationOptions WithOtherUniqueTables(SimulationOptions options)
        {
            var keys = random.Pick([0, 0, 1, 2]);
            if (keys == 0) return options;
            IReadOnlyList<int> tables = random.Pick([[4], [5], [4], [5], [4, 5], [.. options.Tables, 4], [.. options.Tables, 5], (int[])[.. options.Tables, 4, 5]]);
            return options with { UniqueKeys = Math.Max(options.UniqueKeys, keys), Tables = tables };
        }

        SimulationOptions WithForeignKey(SimulationOptions options) => !random.Chance(15) ? options : options with
        {
            Orphans = random.Pick([OrphanPolicy.Keep, OrphanPolicy.SetNull, OrphanPolicy.Quarantine, OrphanPolicy.Quarantine]),
            ParentAt = random.Next(4),
            OrphanCheckMicroseconds = random.Pick([2_000, 10_000, 50_000]),
            DeletePercent = random.Pick([15, 35]),
        };

        SimulationOptions WithUniqueKeys(SimulationOptions options)
        {
            var keys = random.Pick([0, 0, 0, 1, 2]);
            return keys == 0 ? options : options with { UniqueKeys = keys, Tables = random.Chance(50) ? [3] : [.. options.Tables, 3] };
        }

        // Drawn last, so that the others are what they were.
        SimulationOptions WithDeaths(SimulationOptions options) => options with
        {
            Deaths = options.Nodes > 2 && random.Chance(25),
            RelayAfterMicroseconds = random.Pick([0, 10_000, 1_000_000]),
            InterruptPercent = random.Pick([8, 20, 50]),
        };
    }

    public override string ToString() =>
        $"seed {Seed}: {Nodes} nodes, {Keys} keys, {Transactions} transactions, {ClientsPerNode} clients a node, tables {string.Join('+', Tables)}{(UniqueKeys > 0 ? $" ({UniqueKeys} unique)" : "")}, deletes {DeletePercent} %"
        + $"{(Truncates ? ", truncates" : "")}{(Crashes ? LateNotice ? ", crashes that capture may notice late" : ", crashes" : "")}{(NetworkFaults ? ", network faults" : "")}{(SlowCapture ? ", slow capture" : "")}{(HasParting ? ", a parting" : Deaths ? ", a death" : "")}{(HasJoin ? ", a join" : "")}, relay after {RelayAfterMicroseconds} µs"
        + $", skew {SkewMicroseconds} µs, granule {GranuleMicroseconds} µs{(TiesWithinNode ? " (with ties)" : "")}, latency {LatencyMicroseconds} µs, steps {ClockStepMicroseconds} µs, {ChangesPerPart} changes a part, think {ThinkMicroseconds} µs, commit {CommitMicroseconds} µs, hold {HoldMicroseconds} µs, heartbeat {HeartbeatMicroseconds} µs, log {LogEntries}, interrupts {InterruptPercent} %, quarantine {QuarantinePercent} %{(AbortPercent > 0 ? $", aborts {AbortPercent} %" : "")}"
        + (Values ? $", rows by amount on {string.Join(", ", RegionMasks.Select((_, r) => string.Concat(Enumerable.Range(0, Nodes).Where(n => HoldsRow(n, r)).Select(n => (char)('a' + n)))))}" : "")
        + (Routes ? $", {string.Join(", ", Tables.Select(t => $"{SimulatedTables.Names[t]} on {string.Concat(Enumerable.Range(0, Nodes).Where(n => Holds(n, t)).Select(n => (char)('a' + n)))}"))}" : "")
        + (Orphans is null ? "" : $", children of {SimulatedTables.Names[Parent]}, orphans {Orphans}, checks {OrphanCheckMicroseconds} µs");
}
