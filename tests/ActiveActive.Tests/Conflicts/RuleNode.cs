using ActiveActive.Apply;
using ActiveActive.Changes;
using ActiveActive.Database;
using ActiveActive.Progress;
using NpgsqlTypes;

namespace ActiveActive.Tests.Conflicts;

/// <summary>
/// One write of a local transaction: the key and, for an insert or update, the other columns' texts. <c>~</c> is a large value that an
/// update leaves unchanged: the log does not hold it.
/// </summary>
internal sealed record LocalWrite(ChangeKind Kind, string Key, params string?[] Values)
{
    public static LocalWrite Insert(string key, params string?[] values) => new(ChangeKind.Insert, key, values);

    public static LocalWrite Update(string key, params string?[] values) => new(ChangeKind.Update, key, values);

    public static LocalWrite Delete(string key) => new(ChangeKind.Delete, key);

    public static LocalWrite Truncate() => new(ChangeKind.Truncate, "");
}

/// <summary>
/// A node without a database: what stands under each key of one table, local commits with their tombstones, and the real planner for
/// what arrives. What the plan leaves in the states is taken as written.
/// </summary>
internal sealed class RuleNode
{
    private readonly LocalTable _table;
    private readonly Relation _relation;
    private readonly Dictionary<RowKey, KeyState> _states;
    private readonly TransactionIndex _index = new();
    private readonly Dictionary<Relation, RelationMapping> _mappings = [];
    private readonly Dictionary<NodeName, FetchedRows> _fetched = [];
    private DependencyVector _applied = DependencyVector.Empty;
    private ulong _log;
    private uint _xid = 700;

    public RuleNode(string name, LocalTable table, params string[] keys)
    {
        Name = new NodeName(name);
        _table = table;
        _relation = new Relation(table.Name, table.Name, [.. table.Columns.Select((c, i) => new RelationColumn(c.Name, c.TypeName, table.KeyOrdinals.ToList().IndexOf(i) + 1))]);
        _states = keys.ToDictionary(KeyOf, _ => KeyState.Nothing);
    }

    public NodeName Name { get; }

    /// <summary>The greatest stamp applied here; a local commit's is later (strict apply-wait).</summary>
    public long Clock { get; private set; }

    public List<ConflictRecord> Conflicts { get; } = [];

    /// <summary>How this node asks the origin of a transaction for a row; null where no test expects it to.</summary>
    public Func<ChangeTransaction, RowToFetch, FetchedRow>? Fetch { get; set; }

    public static LocalTable Table(TableSettings settings, params (string Name, string Type)[] columns) =>
        new(new TableName("public", "t"), [new("id", "integer"), .. columns.Select(c => new LocalColumn(c.Name, c.Type))], [0], settings);

    public bool Has(string key) => _states[KeyOf(key)].Row is not null;

    /// <summary>The row's columns but the key, for example <c>x|5</c>; null where there is no row.</summary>
    public string? this[string key] => _states[KeyOf(key)].Row is { } row ? string.Join("|", row.Values.Skip(1)) : null;

    public ChangeTransaction Commit(long stamp, params LocalWrite[] writes)
    {
        Assert.True(stamp > Clock, $"{Name} would commit at {stamp}, but has applied {Clock}.");
        var version = new RowVersion(new CommitTimestamp(stamp), Name, new(_log += 16));
        var xid = _xid++;
        _index.Add(xid, version.Position, version.Stamp, version);
        var changes = writes.Select(write => Write(write, version, xid)).ToList();
        return new ChangeTransaction { Origin = Name, Position = version.Position, Stamp = version.Stamp, Dependencies = _applied, Changes = changes };
    }

    public bool CanApply(ChangeTransaction transaction) => transaction.Dependencies.All(d => d.Key == Name || _applied.Covers(d.Key, d.Value));

    public ApplyPlan Apply(ChangeTransaction transaction)
    {
        Assert.True(CanApply(transaction), $"{transaction} comes before what its writer had seen.");
        var before = _states.ToList();
        var plan = Plan();
        while (plan.RowsToFetch.Count > 0)
        {
            foreach (var (key, state) in before) _states[key] = state;
            var fetching = FetchedOf(transaction.Origin).FetchAsync(transaction, plan.RowsToFetch, CancellationToken.None);
            Assert.True(fetching.IsCompletedSuccessfully, "A test's fetch completes at once.");
            plan = Plan();
        }

        foreach (var truncate in transaction.Changes.Where(c => c.Kind == ChangeKind.Truncate).Take(1)) plan.Conflicts.AddRange(TruncateOthers(truncate, transaction));
        var xid = _xid++;
        _index.Add(xid, new(_log += 16), transaction.Stamp, transaction.Version);
        foreach (var (key, state) in _states.ToList())
        {
            if (state.Row is { IsOwnWrite: true } row) _states[key] = state with { Row = new LocalRow(row.Values, xid, transaction.Stamp, transaction.Origin, false) };
        }

        _applied = _applied.Advance(transaction.Origin, transaction.Position);
        Clock = Math.Max(Clock, transaction.Stamp.Microseconds);
        Conflicts.AddRange(plan.Conflicts);
        FetchedOf(transaction.Origin).Forget(transaction.Position);
        return plan;

        ApplyPlan Plan() => ApplyPlanner.Plan(transaction, MappingOf, _states, _index, FetchedOf(transaction.Origin));

        RelationMapping MappingOf(Relation relation) =>
            _mappings.TryGetValue(relation, out var known) ? known : _mappings[relation] = RelationMapping.Create(relation, _table, transaction.Origin);
    }

    /// <summary>As the worker does it with the rows that the transaction does not write. Those that its writer had seen go, too, if they are asked about.</summary>
    private List<ConflictRecord> TruncateOthers(Change truncate, ChangeTransaction transaction)
    {
        var written = ApplyPlanner.KeysOf(transaction, MappingOf).Select(k => k.Key).ToHashSet();
        var others = _states.Where(s => !written.Contains(s.Key)).ToDictionary();
        var context = new PlanContext(transaction, others, _index, FetchedOf(transaction.Origin));
        ApplyPlanner.PlanTruncate(context, MappingOf(truncate.Relation), isRepeated: false);
        foreach (var (key, state) in others) _states[key] = state with { Tombstone = PlanContext.Later(state.Tombstone, transaction.Version), TableTombstone = PlanContext.Later(state.TableTombstone, transaction.Version) };
        return context.Plan.Conflicts;

        RelationMapping MappingOf(Relation relation) =>
            _mappings.TryGetValue(relation, out var known) ? known : _mappings[relation] = RelationMapping.Create(relation, _table, transaction.Origin);
    }

    /// <summary>What this node answers to one that applies its transaction.</summary>
    public FetchedRow Answer(ChangeTransaction transaction, RowToFetch asked)
    {
        if (_states[asked.KeyIn(_table)].Row is not { } row) return new FetchedRow(default, null);
        var version = VersionOf(asked.KeyIn(_table), row);
        var position = version.Origin == Name ? version.Position : default;
        return new FetchedRow(position, position >= transaction.Position ? RowOf(asked) : null);
    }

    public Row? RowOf(RowToFetch asked) => _states[asked.KeyIn(_table)].Row is { } row ? RowImages.ToRow(_table, row.Values) : null;

    /// <summary>Every key with its row and the version that the row truly shows.</summary>
    public string Describe() => string.Join("\n", _states.OrderBy(s => s.Key.ToText(), StringComparer.Ordinal).Select(s =>
        $"{s.Key.ToText()}: {(s.Value.Row is { } row ? $"{string.Join("|", row.Values)} @ {(_table.Settings.Resolver is null ? s.Value.Override ?? VersionOf(s.Key, row) : null)}" : "none")}"));

    private FetchedRows FetchedOf(NodeName origin)
    {
        if (!_fetched.TryGetValue(origin, out var fetched))
        {
            _fetched[origin] = fetched = new FetchedRows((transaction, rows, _) => new(
                [.. rows.Select(row => (Fetch ?? throw new InvalidOperationException($"{Name} has nobody to ask for a row."))(transaction, row))]));
        }

        return fetched;
    }

    private RowVersion VersionOf(RowKey key, LocalRow row) => _index.TryGetVersion(key, row.Xid, row.Origin, row.Stamp, out var version) ? version : throw new InvalidOperationException($"{Name} has no transaction {row.Xid}.");

    private Change Write(LocalWrite write, RowVersion version, uint xid)
    {
        if (write.Kind == ChangeKind.Truncate)
        {
            foreach (var key in _states.Keys.ToList()) _states[key] = new KeyState(null, PlanContext.Later(_states[key].Tombstone, version), null, []) { TableTombstone = version };
            return Change.Truncate(_relation);
        }

        var at = KeyOf(write.Key);
        var state = _states[at];
        var old = state.Row?.Values;
        Assert.Equal(write.Kind == ChangeKind.Insert, old is null);
        if (write.Kind == ChangeKind.Delete)
        {
            _states[at] = state with { Row = null, Tombstone = PlanContext.Later(state.Tombstone, version), Override = null, Siblings = [] };
            var isFull = _table.Settings.NeedsFullReplicaIdentity;
            return Change.Delete(_relation, isFull ? old! : [.. old!.Select((v, i) => i == 0 ? v : ColumnValue.Null)], !isFull);
        }

        // A new xmin: what was noted of the old row version is valid no more.
        ColumnValue[] logged = [ColumnValue.Of(write.Key), .. write.Values.Select(v => v is null ? ColumnValue.Null : v == "~" ? ColumnValue.Unchanged : ColumnValue.Of(v))];
        var values = old is null ? logged : RowImages.Overlay(old, logged);
        if (_table.Settings.NeedsFullReplicaIdentity) logged = values;
        _states[at] = new KeyState(new LocalRow(values, xid, version.Stamp, Name, false), state.Tombstone, null, []) { TableTombstone = state.TableTombstone };
        return write.Kind == ChangeKind.Insert
            ? Change.Insert(_relation, values)
            : Change.Update(_relation, _table.Settings.NeedsFullReplicaIdentity ? old : null, false, logged);
    }

    private RowKey KeyOf(string key) => new(_table.Name, [key]);
}
