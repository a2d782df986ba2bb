using ActiveActive.Changes;
using ActiveActive.Database;
using ActiveActive.Progress;

namespace ActiveActive.Apply;

/// <summary>
/// What a conflict rule may know: the incoming transaction, the state of its keys as this transaction has left them so far, and
/// where the plan is written. No clock, no I/O.
/// </summary>
internal sealed class PlanContext
{
    private readonly Dictionary<RowKey, KeyState> _states;
    private readonly TransactionIndex _index;

    /// <param name="transaction">The incoming transaction, or a part of it.</param>
    /// <param name="states">What stands under its keys; changed to what will stand there.</param>
    /// <param name="index">Which write a visible row shows.</param>
    /// <param name="fetched">What its origin has answered.</param>
    /// <param name="plan">The plan to go on with; null for a new one.</param>
    public PlanContext(ChangeTransaction transaction, Dictionary<RowKey, KeyState> states, TransactionIndex index, FetchedRows fetched, ApplyPlan? plan = null)
    {
        Plan = plan ?? new ApplyPlan();
        Fetched = fetched;
        Transaction = transaction;
        _states = states;
        _index = index;
    }

    public ChangeTransaction Transaction { get; }

    public RowVersion Incoming => Transaction.Version;

    /// <summary>What the transaction's origin has answered about rows that the transaction left partly unchanged.</summary>
    public FetchedRows Fetched { get; }

    public ApplyPlan Plan { get; }

    public KeyState this[RowKey key]
    {
        get => _states[key];
        set => _states[key] = value;
    }

    /// <summary>Keys whose rows have values that came from their origin: those that its transaction left, which may have written the key again.</summary>
    public HashSet<RowKey> Filled { get; } = [];

    /// <summary>The tables and partitions that the transaction has truncated so far: what another TRUNCATE of it finds there of others was left by the first.</summary>
    public HashSet<TableName> Truncated { get; init; } = [];

    public IEnumerable<RowKey> Keys => _states.Keys;

    /// <summary>What the rows show that the incoming writer had not seen.</summary>
    public IReadOnlyCollection<ShownVersion> FindUnseen() => _index.FindUnseen(Transaction.Origin, Transaction.Dependencies);

    /// <summary>Which write the visible row shows: the override where there is one, else what the index knows of its xmin, else what that shows.</summary>
    public RowVersion VersionOf(RowKey key, KeyState state)
    {
        var row = state.Row!;
        if (state.Override is { } version) return version;
        if (row.IsOwnWrite) return row.OwnVersion ?? Incoming;
        if (_index.TryGetVersion(key, row.Xid, row.Origin, row.Stamp, out var known)) return known;
        return row.Stamp.IsKnown || !_index.MayHold(row.Xid) ? new RowVersion(row.Stamp, row.Origin, default) : throw new ReplicationException(ReplicationErrorKind.ApplyRefused,
            $"A row of {key.Table} has lost its commit timestamp (track_commit_timestamp was off for a while), so it can't be told whether the peer's transaction had seen it. Update it here, with its own values: it is the one WHERE xmin = '{row.Xid}'.");
    }

    /// <inheritdoc cref="ChangeTransaction.HasSeen"/>
    public bool HasSeen(in RowVersion version) => Transaction.HasSeen(version);

    /// <summary>The state after this transaction wrote a row that shows its own version.</summary>
    public KeyState Written(ColumnValue[] values, KeyState before, RowVersion? trueVersion = null, IReadOnlyList<Sibling>? siblings = null) =>
        new(new LocalRow(values, 0, default, default, IsOwnWrite: true) { OwnVersion = Incoming }, before.Tombstone, trueVersion, siblings ?? []) { TableTombstone = before.TableTombstone };

    /// <summary>The later of two tombstones.</summary>
    public static RowVersion Later(RowVersion? existing, RowVersion incoming) =>
        existing is { } version && version.IsNewerThan(incoming) ? version : incoming;
}
