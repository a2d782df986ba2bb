using ActiveActive.Changes;

namespace ActiveActive.Transport;

/// <summary>
/// The relations that one connection knows by number. Both ends keep one and feed it the same relations in the same order, so that
/// both forget the same ones when it is full: the oldest announced goes first. A sender announces a forgotten one again when it is
/// needed, so a transaction over any number of tables gets through in bounded memory.
/// </summary>
internal sealed class RelationWindow(long capacityBytes = FrameLimits.RelationWindowBytes)
{
    private readonly Dictionary<int, Relation> _byId = [];
    private readonly Queue<(int Id, long Cost)> _oldestFirst = new();
    private long _usedBytes;

    public long CapacityBytes => capacityBytes;

    public int Count => _byId.Count;

    public Relation? Find(int id) => _byId.GetValueOrDefault(id);

    /// <summary>Adds a relation and forgets the oldest ones that it displaces.</summary>
    /// <returns>False where the number is in use, or where the relation is larger than the whole window; nothing has changed then.</returns>
    public bool TryAdd(int id, Relation relation)
    {
        var cost = CostOf(relation);
        if (cost > capacityBytes || _byId.ContainsKey(id)) return false;
        while (_usedBytes + cost > capacityBytes)
        {
            var (oldest, freed) = _oldestFirst.Dequeue();
            _byId.Remove(oldest);
            _usedBytes -= freed;
        }

        _byId.Add(id, relation);
        _oldestFirst.Enqueue((id, cost));
        _usedBytes += cost;
        return true;
    }

    /// <summary>
    /// About how many bytes of memory a relation takes. The formula is part of the protocol: it must give the same number at both ends.
    /// </summary>
    public static long CostOf(Relation relation)
    {
        long cost = 512 + (2 * (relation.Name.Schema.Length + relation.Name.Name.Length + relation.Root.Schema.Length + relation.Root.Name.Length));
        foreach (var column in relation.Columns) cost += 160 + (2 * (column.Name.Length + column.TypeName.Length));
        return cost;
    }
}
