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

    /// <summary>Whether the transaction decided about a key of which no row stood before, and none will stand: nothing that is written excludes a local insert of it.</summary>
    public bool IsDecidedWithoutRow => _members.Values.Any(static m => m.IsDecided && m.Before.Row is null && !m.IsVisible);

    /// <summary>Adds a key that the transaction writes, or wants to, or a row that another one led to.</summary>
    /// <param name="key">The key.</param>
    /// <param name="before">What stands in the database.</param>
    /// <param name="after">What the key's rule makes of it.</param>
    /// <param name="current">The row that the key then has, visible or not; null where it has none.</param>
    /// <param name="isDecided">Whether the transaction changes anything of the key.</param>
    /// <param name="isWritten">Whether the row has something of the transaction.</param>
    /// <param name="isInsert">Whether the key had no row before.</param>
    public void Add(RowKey key, KeyState before, KeyState after, UniqueLoser? current, bool isDecided = false, bool isWritten = false, bool isInsert = false) =>
        _members[key] = new Member(key, before, current, after.Siblings, isDecided, isWritten, isInsert);

    /// <summary>
    /// The images to begin with: the rows that the transaction leaves, and those that it takes away, whose values become free. A key with an image is one whose
    /// row is to be updated to it.
    /// </summary>
    public List<(RowKey? Updated, ColumnValue[] Values)> FirstImages()
    {
        var images = new List<(RowKey?, ColumnValue[])>();
        foreach (var key in _members.Keys) images.AddRange(ImagesOf(key));
        return images;
    }

    /// <summary>The images of one key.</summary>
    public IEnumerable<(RowKey? Updated, ColumnValue[] Values)> ImagesOf(RowKey key)
    {
        var member = _members[key];
        if (member.Current is { } current) yield return (member.IsUpdate ? key : null, current.Values);
        if (member.Before.Row is { } row && !ReferenceEquals(row.Values, member.Current?.Values)) yield return (null, row.Values);
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
        var hiddenBy = VisibleSet.Of([.. choice.Select(m => (OrderOf(m.Key), m.Current!.Version))], clashes);
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

    // The same on nodes that have the key's columns in another order.
    private string OrderOf(RowKey key) => new RowKey(key.Table, [.. table.KeyOrdinals
        .Select((ordinal, i) => (table.Columns[ordinal].Name, Value: key.Values[i])).OrderBy(static c => c.Name, StringComparer.Ordinal).Select(static c => c.Value)]).ToText();

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
        NoteLoser(member, plan);
        if (member.IsVisible) NoteVersion(member, isKept, context, plan);
        else if (member.Before.Override is not null) plan.Writes.Add(new SetOverride(table, member.Key, null));
        // They are valid for one state of the row; what was stored for another must not look valid for this.
        if (table.Settings.Resolver is null || Safeguards.IsOff(Safeguard.SiblingsOfLosers)) return;
        if (member.IsMoved || member.IsUpdate || !ReferenceEquals(member.Siblings, member.Before.Siblings)) plan.Writes.Add(new SetSiblings(table, member.Key, member.Siblings));
    }

    private void NoteLoser(Member member, ApplyPlan plan)
    {
        var (key, before) = (member.Key, member.Before);
        if (member.Current is { } hidden && member.HiddenBy is { } winner && !Safeguards.IsOff(Safeguard.KeepLosers))
        {
            if (before.Row is not null || before.Loser?.Version != hidden.Version || before.Loser.Values != hidden.Values) plan.Writes.Add(new SetLoser(table, key, hidden, winner.Key));
        }
        else if (before.Loser is not null)
        {
            plan.Writes.Add(new SetLoser(table, key, null));
        }
    }

    /// <summary>The version of a row that a loser is compared with is kept: what its xmin tells is forgotten some day, and is another where the row comes back.</summary>
    private void NoteVersion(Member member, bool isKept, PlanContext context, ApplyPlan plan)
    {
        var (key, before, version) = (member.Key, member.Before, member.Current!.Version);
        var isOwn = member.IsMoved || member.IsUpdate;
        if (!isKept && !isOwn) return;
        if (!isKept && version == context.Incoming)
        {
            if (before.Override is not null) plan.Writes.Add(new SetOverride(table, key, null));
        }
        else if (isOwn)
        {
            plan.Writes.Add(new SetOverride(table, key, version) { IsKept = isKept || member.IsMoved || !member.IsWritten });
        }
        else if (before.Override != version || !before.IsOverrideKept)
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

    private sealed class Member(RowKey key, KeyState before, UniqueLoser? current, IReadOnlyList<Sibling> siblings, bool isDecided, bool isWritten, bool isInsert)
    {
        public RowKey Key => key;

        public KeyState Before => before;

        public UniqueLoser? Current => current;

        public IReadOnlyList<Sibling> Siblings => siblings;

        public bool IsDecided => isDecided;

        public bool IsWritten => isWritten;

        public bool IsInsert => isInsert;

        public Member? HiddenBy { get; set; }

        public bool IsVisible => Current is not null && HiddenBy is null;

        /// <summary>Whether its row is another one afterwards, if it is visible.</summary>
        public bool IsUpdate => before.Row is not null && Current is not null && before.Row.Values != Current.Values;

        /// <summary>Whether a row goes or comes.</summary>
        public bool IsMoved => before.Row is not null != IsVisible;

        /// <summary>Whether the row of another key is updated to a value that this one's has.</summary>
        public bool IsMovedFrom { get; set; }

        /// <summary>
        /// Written by taking it out and putting it in again, so that a value which moves from row to row is free in between. Only then: a local UPDATE that
        /// waits for the row would find none.
        /// </summary>
        public bool IsReplaced => IsUpdate && IsMovedFrom;
    }
}
