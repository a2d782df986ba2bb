namespace ActiveActive.Soak.Load;

/// <summary>What became of the writes: those acknowledged since the last check by their ids, the rest by numbers.</summary>
internal sealed class WriteCount(int nodes)
{
    private readonly Lock _lock = new();
    private readonly HashSet<Guid>[] _acknowledged = [.. Enumerable.Range(0, nodes).Select(_ => new HashSet<Guid>())];
    private readonly long[] _unanswered = new long[nodes];
    private string? _lastRefusal;
    private long _total;
    private long _refused;
    private long _unknown;

    /// <summary>Commits that a server acknowledged.</summary>
    public long Total => Interlocked.Read(ref _total);

    /// <summary>Transactions rolled back for a deadlock or a duplicate key.</summary>
    public long RolledBack => Interlocked.Read(ref _refused);

    /// <summary>Commits that were sent and never answered.</summary>
    public long Unknowns => Interlocked.Read(ref _unknown);

    /// <summary>Transactions that a server did not answer before their commit.</summary>
    public long UnansweredTotal
    {
        get
        {
            lock (_lock) return _unanswered.Sum();
        }
    }

    /// <summary>The last reason for that.</summary>
    public string? LastRefusal
    {
        get
        {
            lock (_lock) return _lastRefusal;
        }
    }

    public void Acknowledged(int node, Guid id)
    {
        lock (_lock) _acknowledged[node].Add(id);
        Interlocked.Increment(ref _total);
    }

    public void Refused() => Interlocked.Increment(ref _refused);

    public void Unknown() => Interlocked.Increment(ref _unknown);

    public void Unanswered(int node, Exception reason)
    {
        lock (_lock)
        {
            _unanswered[node]++;
            _lastRefusal = reason.Message;
        }
    }

    /// <summary>Those acknowledged since the last call; nobody writes meanwhile.</summary>
    public IReadOnlySet<Guid> Take()
    {
        lock (_lock)
        {
            var taken = _acknowledged.SelectMany(a => a).ToHashSet();
            foreach (var ofNode in _acknowledged) ofNode.Clear();
            return taken;
        }
    }
}
