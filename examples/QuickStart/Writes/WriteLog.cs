namespace QuickStart.Writes;

/// <summary>Every transaction that was sent to be committed, in the order of sending. Nothing is ever taken out.</summary>
internal sealed class WriteLog
{
    private readonly Lock _lock = new();
    private readonly List<LoggedWrite> _writes = [];
    private long _refused;

    /// <summary>How many there are.</summary>
    public int Transactions
    {
        get
        {
            lock (_lock) return _writes.Count;
        }
    }

    /// <summary>Transactions that the database rolled back before they were sent to be committed (deadlocks, for example).</summary>
    public long Refused => Interlocked.Read(ref _refused);

    public void Add(LoggedWrite write)
    {
        lock (_lock) _writes.Add(write);
    }

    public void AddRefused() => Interlocked.Increment(ref _refused);

    public IReadOnlyList<LoggedWrite> ToList()
    {
        lock (_lock) return [.. _writes];
    }
}
