namespace ActiveActive.Testing.Transport;

/// <summary>What a network does to the frames that one node sends to another, on whichever of their connections.</summary>
/// <param name="clock">The time of delays.</param>
internal sealed class LinkFaults(TimeProvider clock)
{
    private readonly Lock _gate = new();
    private readonly Dictionary<(NodeName From, NodeName To), TimeSpan> _delays = [];
    private readonly Dictionary<(NodeName From, NodeName To), int> _drops = [];
    private readonly HashSet<(NodeName From, NodeName To)> _duplicating = [];
    private long _dropped;
    private long _duplicated;

    public TimeProvider Clock => clock;

    /// <summary>Transactions lost so far.</summary>
    public long Dropped => Interlocked.Read(ref _dropped);

    /// <summary>Transactions delivered a second time so far.</summary>
    public long Duplicated => Interlocked.Read(ref _duplicated);

    public void Delay(NodeName from, NodeName to, TimeSpan delay)
    {
        lock (_gate) _delays[(from, to)] = delay;
    }

    public void Drop(NodeName from, NodeName to)
    {
        lock (_gate) _drops[(from, to)] = _drops.GetValueOrDefault((from, to)) + 1;
    }

    public void Duplicate(NodeName from, NodeName to)
    {
        lock (_gate) _duplicating.Add((from, to));
    }

    public void Clear()
    {
        lock (_gate)
        {
            _delays.Clear();
            _drops.Clear();
            _duplicating.Clear();
        }
    }

    public TimeSpan DelayOf(NodeName from, NodeName to)
    {
        lock (_gate) return _delays.GetValueOrDefault((from, to));
    }

    /// <summary>Whether the transaction at hand is to be lost.</summary>
    public bool TakeDrop(NodeName from, NodeName to)
    {
        lock (_gate)
        {
            if (_drops.GetValueOrDefault((from, to)) is not (> 0 and var left)) return false;
            _drops[(from, to)] = left - 1;
        }

        Interlocked.Increment(ref _dropped);
        return true;
    }

    /// <summary>Whether the transaction at hand is to be delivered twice.</summary>
    public bool TakeDuplicate(NodeName from, NodeName to)
    {
        lock (_gate)
        {
            if (!_duplicating.Contains((from, to))) return false;
        }

        Interlocked.Increment(ref _duplicated);
        return true;
    }
}
