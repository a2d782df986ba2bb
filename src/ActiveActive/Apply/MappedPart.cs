using ActiveActive.Changes;
using ActiveActive.Database;

namespace ActiveActive.Apply;

/// <summary>A part of a transaction, or several whole transactions, as writes of keys in local column order.</summary>
internal sealed class MappedPart
{
    private readonly List<MappedChange> _changes;
    private readonly List<(int End, RowVersion Version)> _members = [];

    /// <param name="members">The part, or the transactions.</param>
    /// <param name="mapping">The mapping of each relation in them.</param>
    public MappedPart(IReadOnlyList<ChangeTransaction> members, Func<Relation, RelationMapping> mapping)
    {
        _changes = new(members.Sum(static m => m.Changes.Count));
        foreach (var member in members)
        {
            foreach (var change in member.Changes)
            {
                if (change.Kind == ChangeKind.Truncate) HasTruncate = true;
                else MappedChange.AddTo(_changes, change, mapping(change.Relation));
            }

            _members.Add((_changes.Count, member.Version));
        }
    }

    /// <summary>Whether it is several transactions.</summary>
    public bool IsGroup => _members.Count > 1;

    /// <summary>Whether a TRUNCATE was left out.</summary>
    public bool HasTruncate { get; }

    /// <summary>The key of each write, in their order; a key that is written twice comes twice.</summary>
    public IReadOnlyList<LocalKey> Written => _changes.ConvertAll(static c => new LocalKey(c.Table, c.Key));

    /// <summary>Each key once, in the order of its first write.</summary>
    public List<LocalKey> Keys
    {
        get
        {
            var seen = new HashSet<RowKey>(_changes.Count);
            var keys = new List<LocalKey>(_changes.Count);
            foreach (var change in _changes)
            {
                if (seen.Add(change.Key)) keys.Add(new LocalKey(change.Table, change.Key));
            }

            return keys;
        }
    }

    /// <summary>The writes, and whose each is.</summary>
    public IEnumerable<(MappedChange Write, RowVersion Version)> Writes
    {
        get
        {
            var member = 0;
            for (var i = 0; i < _changes.Count; i++)
            {
                while (i == _members[member].End) member++;
                yield return (_changes[i], _members[member].Version);
            }
        }
    }
}
