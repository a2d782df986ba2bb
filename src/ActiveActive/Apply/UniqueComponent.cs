using ActiveActive.Changes;
using ActiveActive.Database;
using ActiveActive.Diagnostics;

namespace ActiveActive.Apply;

/// <summary>
/// The rows of one table, visible and hidden, that share unique values with each other, directly or through others, as one transaction leaves them
/// (convergence R6): which of them are visible, and the writes that make them so. Pure; whoever has it looks the rows up.
/// </summary>
internal sealed class UniqueComponent(LocalTable table)
{
    private const string Name = "unique";

    private readonly Dictionary<RowKey, Member> _members = [];

    public LocalTable Table => table;

    public bool Contains(RowKey key) => _members.ContainsKey(key);

    /// <summary>Adds a key that the transaction writes, or wants to.</summary>
    /// <param name="key">The key.</param>
    /// <param name="before">What stands in the database.</param>
    /// <param name="current">The row that the key has by its rule, visible or not; null where it has none.</param>
    /// <param name="isWritten">Whether the transaction's own version is the current one.</param>
    /// <param name="isInsert">Whether the key had no row before.</param>
    public void AddWritten(RowKey key, KeyState before, UniqueLoser? current, bool isWritten, bool isInsert) =>
        _members[key] = new Member(key, before, current, isWritten, isInsert);

    /// <summary>Adds a row that another one led to.</summary>
    public void AddFound(RowKey key, KeyState before, UniqueLoser? current) => _members[key] = new Member(key, before, current, false, false);

    /// <summary>
    /// The images to begin with: the rows that the transaction leaves, and those that it takes away, whose values become free. A key with an image is one whose
    /// row is to be updated to it.
    /// </summary>
    public List<(RowKey? Updated, ColumnValue[] Values)> FirstImages()
    {
        var images = new List<(RowKey?, ColumnValue[])>();
        foreach (var member in _members.Values)
        {
            if (member.Current is { } current) images.Add((member.IsUpdate ? member.Key : null, current.Values));
            if (member.Before.Row is { } row && !ReferenceEquals(row.Values, member.Current?.Values)) images.Add((null, row.Values));
        }

        return images;
    }

    /// <summary>Notes that a row which is to be updated takes a value that the row of this key has in the database.</summary>
    public void NoteMove(RowKey from)
    {
        if (_members.GetValueOrDefault(from) is { } member) member.IsMovedFrom = true;
    }

    /// <summary>The rows to choose from, in an order that <see cref="Settle"/> relies on.</summary>
    public List<ColumnValue[]> Candidates() => [.. Choice().Select(m => m.Current!.Values)];

    /// <summary>Chooses the visible rows and adds what makes them so to the plan: first what goes, so that no value is taken twice in between.</summary>
    public void Settle(IReadOnlyList<(int First, int Second)> clashes, PlanContext context, ApplyPlan plan)
    {
        var choice = Choice().ToList();
        var hiddenBy = VisibleSet.Of([.. choice.Select(m => (m.Key, m.Current!.Version))], clashes);
        for (var i = 0; i < choice.Count; i++)
        {
            choice[i].HiddenBy = hiddenBy[i] is { } winner ? choice[winner] : null;
        }

        var hasLosers = choice.Exists(static m => m.HiddenBy is not null);
        var clashing = new HashSet<Member>(clashes.SelectMany(c => new[] { choice[c.First], choice[c.Second] }));
        foreach (var member in _members.Values) Remove(member, plan);
        foreach (var member in _members.Values) Update(member, plan);
        foreach (var member in _members.Values) Insert(member, plan);
        foreach (var member in _members.Values) Note(member, hasLosers && clashing.Contains(member), context, plan);
        Record(choice, clashes, context, plan);
    }

    private IEnumerable<Member> Choice() => _members.Values.Where(static m => m.Current is not null);

    private void Remove(Member member, ApplyPlan plan)
    {
        if (member.Before.Row is null || (member.IsVisible && !member.IsReplaced)) return;
        plan.Writes.Add(new DeleteRow(table, member.Key));
    }

    private void Update(Member member, ApplyPlan plan)
    {
        if (!member.IsVisible || !member.IsUpdate || member.IsReplaced) return;
        plan.Writes.Add(new UpdateRow(table, member.Key, RowImages.Difference(member.Before.Row!.Values, member.Current!.Values)));
    }

    private void Insert(Member member, ApplyPlan plan)
    {
        if (member.IsVisible && (member.Before.Row is null || member.IsReplaced)) plan.Writes.Add(new InsertRow(table, member.Current!.Values));
    }

    private void Note(Member member, bool isKept, PlanContext context, ApplyPlan plan)
    {
        var (key, before) = (member.Key, member.Before);
        if (member.Current is { } hidden && member.HiddenBy is { } winner && !Safeguards.IsOff(Safeguard.KeepLosers))
        {
            if (before.Row is not null || before.Loser?.Version != hidden.Version || member.IsWritten) plan.Writes.Add(new SetLoser(table, key, hidden, winner.Key));
        }
        else if (before.Loser is not null)
        {
            plan.Writes.Add(new SetLoser(table, key, null));
        }

        // The version of a row that a loser is compared with is kept: what its xmin tells is forgotten some day, and is another where the row comes back.
        if (!member.IsVisible || (!isKept && before.Row is not null && !member.IsWritten))
        {
            if (!member.IsVisible && before.Override is not null) plan.Writes.Add(new SetOverride(table, key, null));
            return;
        }

        var version = member.Current!.Version;
        var isOwn = before.Row is null || member.IsWritten;
        if (!isKept && version == context.Incoming)
        {
            if (before.Override is not null) plan.Writes.Add(new SetOverride(table, key, null));
        }
        else if (isOwn)
        {
            plan.Writes.Add(new SetOverride(table, key, version) { IsKept = true });
        }
        else if (before.Override != version)
        {
            plan.Writes.Add(new SetOverride(table, key, version) { IsKept = true, Xid = before.Row!.Xid });
        }
    }

    /// <summary>Told once on a node: by the transaction that brought the one row to where the other one stood, if their writers did not know of each other.</summary>
    private void Record(List<Member> choice, IReadOnlyList<(int First, int Second)> clashes, PlanContext context, ApplyPlan plan)
    {
        foreach (var written in choice.Where(static m => m.IsWritten))
        {
            var met = clashes.Where(c => choice[c.First] == written || choice[c.Second] == written)
                .Select(c => choice[c.First] == written ? choice[c.Second] : choice[c.First])
                .Where(o => !o.IsWritten && !context.HasSeen(o.Current!.Version) && (written.IsVisible ? o.Before.Row is not null : o.IsVisible))
                .ToList();
            if (met.Count == 0) continue;
            met.Sort(static (a, b) => a.Current!.Version.IsNewerThan(b.Current!.Version) ? -1 : 1);
            plan.Conflicts.Add(new ConflictRecord
            {
                Table = table.Name,
                Key = written.Key.Values,
                Type = met.Count > 1 ? ConflictType.MultipleUniqueConflicts : written.IsInsert ? ConflictType.InsertExists : ConflictType.UpdateExists,
                LocalRow = RowImages.ToRow(table, met[0].Current!.Values),
                LocalVersion = met[0].Current!.Version,
                RemoteRow = RowImages.ToRow(table, written.Current!.Values),
                RemoteVersion = context.Incoming,
                Outcome = written.IsVisible ? ConflictOutcome.ApplyRemote : ConflictOutcome.KeepLocal,
                Winner = written.IsVisible ? context.Incoming.Origin : met[0].Current!.Version.Origin,
                Resolver = Name,
                Reason = written.IsVisible
                    ? "Both rows have a value of a unique key. The remote row is the later write; the local one is out of sight until the value is free."
                    : "Both rows have a value of a unique key. The local row is the later write; the remote one is out of sight until the value is free.",
            });
        }
    }

    private sealed class Member(RowKey key, KeyState before, UniqueLoser? current, bool isWritten, bool isInsert)
    {
        public RowKey Key => key;

        public KeyState Before => before;

        public UniqueLoser? Current => current;

        public bool IsWritten => isWritten;

        public bool IsInsert => isInsert;

        public Member? HiddenBy { get; set; }

        public bool IsVisible => Current is not null && HiddenBy is null;

        /// <summary>Whether its row is another one afterwards, if it is visible.</summary>
        public bool IsUpdate => IsWritten && before.Row is not null && Current is not null;

        /// <summary>Whether the row of another key is updated to a value that this one's has.</summary>
        public bool IsMovedFrom { get; set; }

        /// <summary>
        /// Written by taking it out and putting it in again, so that a value which moves from row to row is free in between. Only then: a local UPDATE that
        /// waits for the row would find none.
        /// </summary>
        public bool IsReplaced => IsUpdate && IsMovedFrom;
    }
}
