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

    public PlanContext(ChangeTransaction transaction, Dictionary<RowKey, KeyState> states, TransactionIndex index, FetchedRows fetched)
    {
        Fetched = fetched;
        Transaction = transaction;
        _states = states;
        _index = index;
    }

    public ChangeTransaction Transaction { get; }

    public RowVersion Incoming => Transaction.Version;

    /// <summary>What the transaction's origin has answered about rows that the transaction left partly unchanged.</summary>
    public FetchedRows Fetched { get; }

    public ApplyPlan Plan { get; } = new();

    public KeyState this[RowKey key]
    {
        get => _states[key];
        set => _states[key] = value;
    }

    public IEnumerable<RowKey> Keys => _states.Keys;

    /// <summary>What the rows show that the incoming writer had not seen.</summary>
    public IReadOnlyCollection<ShownVersion> FindUnseen() => _index.FindUnseen(Transaction.Origin, Transaction.Dependencies);

    /// <summary>Which write the visible row shows: the override where there is one, else what the index knows of its xmin, else what that shows.</summary>
    public RowVersion VersionOf(KeyState state)
    {
        var row = state.Row!;
        if (state.Override is { } version) return version;
        if (row.IsOwnWrite) return Incoming;
        return _index.TryGetVersion(row.Xid, row.Origin, row.Stamp, out var known) ? known : new RowVersion(row.Stamp, row.Origin, default);
    }

    /// <summary>
    /// Whether the incoming writer had seen a version (convergence R1: by position, never by stamp). Versions of the same origin were
    /// seen: one origin's transactions arrive in order. A version whose stamp or position is no longer known is stable, so it was seen.
    /// </summary>
    public bool HasSeen(in RowVersion version) =>
        version.Origin == Transaction.Origin
        || !version.Stamp.IsKnown
        || version.Position == default
        || Transaction.Dependencies.Covers(version.Origin, version.Position);

    /// <summary>The state after this transaction wrote a row that shows its own version.</summary>
    public static KeyState Written(ColumnValue[] values, KeyState before, RowVersion? trueVersion = null, IReadOnlyList<Sibling>? siblings = null) =>
        new(new LocalRow(values, 0, default, default, IsOwnWrite: true), before.Tombstone, trueVersion, siblings ?? []) { TableTombstone = before.TableTombstone };

    /// <summary>The later of two tombstones.</summary>
    public static RowVersion Later(RowVersion? existing, RowVersion incoming) =>
        existing is { } version && version.IsNewerThan(incoming) ? version : incoming;
}
