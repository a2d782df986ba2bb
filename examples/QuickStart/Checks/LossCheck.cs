using System.Globalization;
using QuickStart.Writes;

namespace QuickStart.Checks;

/// <summary>
/// Looks for every committed write on every node. Last update wins: it is in the table, superseded by a later stamp, or in the conflict
/// history. Balances: the sum of everything that was added, exactly. Tags: each one is there, once. Pure: the same input gives
/// the same answer.
/// </summary>
internal sealed class LossCheck
{
    private readonly IReadOnlyList<string> _nodes;
    private readonly RecordedConflicts _conflicts;
    private readonly Dictionary<string, long> _balances = [];
    private readonly Dictionary<string, HashSet<string>> _tags = [];
    private readonly Dictionary<(BankTable, string), List<Version>> _versions = [];

    /// <param name="nodes">The nodes' names, as <see cref="LoggedWrite.Node"/> counts them.</param>
    /// <param name="writes">What was committed.</param>
    /// <param name="conflicts">The histories of all nodes.</param>
    public LossCheck(IReadOnlyList<string> nodes, IReadOnlyList<LoggedWrite> writes, RecordedConflicts conflicts)
    {
        _nodes = nodes;
        _conflicts = conflicts;
        foreach (var write in writes)
        {
            foreach (var row in write.Rows) Expect(write, row);
        }

        foreach (var versions in _versions.Values) versions.Sort();
    }

    /// <summary>Writes of the last-update-wins tables that a later write replaced.</summary>
    public long Superseded => _versions.Values.Sum(v => v.Count - 1L);

    /// <summary>What a node lacks or has too much of, one line each.</summary>
    public IEnumerable<Finding> Check(BankState state) =>
        CheckBalances(state).Concat(CheckTags(state)).Concat(CheckEdits(state)).Select(f => f with { Text = $"{state.Node}: {f.Text}" });

    private void Expect(LoggedWrite write, RowWrite row)
    {
        switch (row.Table)
        {
            case BankTable.Accounts:
                _balances[row.Key] = _balances.GetValueOrDefault(row.Key) + long.Parse(row.Content!, CultureInfo.InvariantCulture);
                break;
            case BankTable.Documents:
                if (!_tags.TryGetValue(row.Key, out var tags)) _tags.Add(row.Key, tags = []);
                if (row.Content is not null) tags.Add(row.Content);
                break;
            default:
                if (!_versions.TryGetValue((row.Table, row.Key), out var versions)) _versions.Add((row.Table, row.Key), versions = []);
                versions.Add(new Version(write.Stamp, _nodes[write.Node], row.Content));
                break;
        }
    }

    private IEnumerable<Finding> CheckBalances(BankState state)
    {
        foreach (var (key, expected) in _balances)
        {
            if (!state.Balances.TryGetValue(key, out var balance)) yield return new(true, $"account {key} is missing.");
            else if (balance != expected) yield return new(true, $"account {key} holds {balance}, but its transfers come to {expected}: {Math.Abs(expected - balance)} {(balance < expected ? "missing" : "too much")}.");
        }

        foreach (var key in state.Balances.Keys.Except(_balances.Keys)) yield return new(false, $"account {key} exists, but nobody wrote it.");
    }

    private IEnumerable<Finding> CheckTags(BankState state)
    {
        foreach (var (key, expected) in _tags)
        {
            if (!state.Tags.TryGetValue(key, out var tags))
            {
                yield return new(true, $"document {key} is missing.");
                continue;
            }

            foreach (var tag in expected.Except(tags)) yield return new(true, $"document {key} lacks the tag {tag}.");
            foreach (var tag in tags.Except(expected)) yield return new(false, $"document {key} has the tag {tag}, which nobody committed.");
            foreach (var tag in tags.GroupBy(t => t).Where(g => g.Count() > 1)) yield return new(false, $"document {key} has the tag {tag.Key} {tag.Count()} times.");
        }
    }

    private IEnumerable<Finding> CheckEdits(BankState state)
    {
        foreach (var ((table, key), versions) in _versions)
        {
            var shown = state.Edits.GetValueOrDefault((table, key));
            var last = versions[^1];
            if (shown == last.Content) continue;
            var recorded = _conflicts.Contains(table, key, last.Node, last.Stamp);
            yield return new(!recorded, $"{table} {key} shows {shown ?? "nothing"}, but the last of its {versions.Count} writes is {last}{(recorded ? "; that one stands in the conflict history." : ".")}");
        }

        foreach (var (table, key) in state.Edits.Keys.Except(_versions.Keys)) yield return new(false, $"{table} {key} exists, but nobody wrote it.");
    }

    /// <summary>A write to one key, in the cluster's order: by commit timestamp, then by node.</summary>
    private sealed record Version(DateTime Stamp, string Node, string? Content) : IComparable<Version>
    {
        public int CompareTo(Version? other) => Stamp.CompareTo(other!.Stamp) is var byStamp and not 0 ? byStamp : string.CompareOrdinal(Node, other.Node);

        public override string ToString() => $"{(Content is null ? "a delete" : Content)} on {Node} at {Stamp.ToString("HH:mm:ss.ffffff", CultureInfo.InvariantCulture)}";
    }
}

/// <summary>Something that the loss check found.</summary>
/// <param name="IsLost">An acknowledged write is nowhere; else something stands that should not.</param>
/// <param name="Text">What and where.</param>
internal sealed record Finding(bool IsLost, string Text);
