using ActiveActive.Changes;
using ActiveActive.Database;

namespace ActiveActive.Apply;

/// <content>
/// Several transactions of the origin as one local commit, which shows them all at once. Each is planned by itself, over what those before it leave, and the
/// commit's log records say whose each row is (<see cref="GroupedVersions"/>): later decisions are the same as if each had been committed by itself.
/// </content>
internal sealed partial class ApplyWorker
{
    /// <summary>Bounded by what is read, planned and held at once, and by how long others wait for a key.</summary>
    public const int MaxGroupedTransactions = 512;

    private const int MaxGroupedChanges = 4_000;

    /// <summary>
    /// Whether a transaction can be committed with those before it: it is here as a whole, there is nothing to wait for, and all that it writes is decided
    /// row by row.
    /// </summary>
    /// <param name="part">The transaction.</param>
    /// <param name="before">The last of those before it; null where it is the first.</param>
    /// <param name="transactions">How many they are.</param>
    /// <param name="changes">How many changes they have.</param>
    public bool CanJoin(ChangeTransaction part, ChangeTransaction? before, int transactions, int changes) =>
        part is { IsHeartbeat: false, Part: 0, IsLastPart: true }
        && transactions < MaxGroupedTransactions && changes + part.Changes.Count <= MaxGroupedChanges
        && part.Position > (before?.Position ?? _session.AppliedPosition)
        && part.Stamp < _session.ServerTime
        && _progress.FirstUnmet(part.Dependencies) is null
        && !_node.InOrder.IsAt(_origin, part.Position) && !_node.Losers.Settled.IsAt(_origin, part.Position)
        && part.Changes.All(IsDecidedByRow);

    /// <summary>Applies several transactions that <see cref="CanJoin"/> in one commit. After an exception each of them is to be applied by itself.</summary>
    public async ValueTask ApplyGroupAsync(PreparedPart prepared, CancellationToken cancellationToken)
    {
        var members = prepared.Members;
        var last = members[^1];
        try
        {
            await ApplyPartAsync(last with { Changes = [.. members.SelectMany(static m => m.Changes)] }, prepared, cancellationToken);
        }
        catch
        {
            await RollbackAsync();
            throw;
        }

        Committed(last);
    }

    private bool IsDecidedByRow(Change change) =>
        change.Kind != ChangeKind.Truncate && !(_mappings.TryGetValue(change.Relation, out var mapping) && mapping.Table is { HasUniqueKeys: true } table && (table.HasDeferrableKeys || _node.Losers.IsIn(table.Name)));

    private PlanContext PlanGroup(IReadOnlyList<ChangeTransaction> members, Dictionary<RowKey, KeyState> states, ApplyPlan plan)
    {
        PlanContext? context = null;
        foreach (var member in members)
        {
            context = new PlanContext(member, states, _index, _fetched, plan);
            ApplyPlanner.Plan(context, MappingOf);
        }

        var rows = states.Where(static s => s.Value.Row is { IsOwnWrite: true }).Select(static s => (s.Key, s.Value.Row!.OwnVersion!.Value));
        _session.Group(VersionsOf(members, rows) ?? throw new GroupRefusedException("Two rows have one hash."));
        return context!;
    }

    public static GroupedVersions? VersionsOf(IReadOnlyList<ChangeTransaction> members, IEnumerable<(RowKey, RowVersion)> rows) =>
        GroupedVersions.TryCreate([.. members.SkipLast(1).Select(static m => m.Version)], rows);
}

/// <summary>Several transactions can't be committed as one, and each of them may be by itself.</summary>
#pragma warning disable CA1032 // Caught by name where it is thrown.
internal sealed class GroupRefusedException(string message) : ReplicationException(ReplicationErrorKind.Transient, message);
