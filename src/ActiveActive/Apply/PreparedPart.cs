using ActiveActive.Changes;
using ActiveActive.Database;

namespace ActiveActive.Apply;

/// <summary>
/// A part of a transaction, or several whole transactions, with all that can be made ready before their turn: it depends on nothing but them and what the local tables are like. Made while
/// those before them are written, so that host and server do not wait for each other.
/// </summary>
/// <param name="members">The part, or the transactions in their order.</param>
/// <param name="mapped">Their writes by key, in local column order.</param>
/// <param name="tables">Which of the tables' descriptions that rests on.</param>
internal sealed class PreparedPart(IReadOnlyList<ChangeTransaction> members, MappedPart? mapped, int tables)
{
    /// <summary>One of which nothing was made ready.</summary>
    public PreparedPart(IReadOnlyList<ChangeTransaction> members) : this(members, null, 0)
    {
    }

    private SeenPlanner? _planned;
    private GroupedVersions? _grouped;
    private bool _isPlanned;

    public IReadOnlyList<ChangeTransaction> Members => members;

    /// <summary>Null where a table has not been looked up yet.</summary>
    public MappedPart? Mapped => mapped;

    /// <summary>Whether the tables are still known to be as they were.</summary>
    public bool IsValid(int currentTables) => mapped is not null && tables == currentTables;

    /// <summary>The key of each write.</summary>
    public IReadOnlyList<LocalKey> Written => field ??= mapped!.Written;

    /// <summary>
    /// The writes without a look at the rows, and of several transactions whose each row is; null where it takes more than that. What is planned is written at most once.
    /// </summary>
    public (SeenPlanner Planned, GroupedVersions? Grouped)? PlanSeen(IApplySession session)
    {
        if (!_isPlanned)
        {
            _isPlanned = true;
            _planned = SeenPlanner.TryPlan(mapped!);
            if (_planned is not null && members.Count > 1 && (_grouped = ApplyWorker.VersionsOf(members, _planned.Rows)) is null) _planned = null;
            if (_planned is not null) session.Prepare(_planned.Writes);
        }

        return _planned is null ? null : (_planned, _grouped);
    }
}
