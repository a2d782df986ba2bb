namespace ActiveActive.Testing.Time;

/// <summary>A timer in a cluster's time; fires on its loop.</summary>
internal sealed class LoopTimer(ClusterLoop loop, TimerCallback callback, object? state) : ITimer
{
    private TimeSpan _period = Timeout.InfiniteTimeSpan;
    private int _version;

    public int Version => Volatile.Read(ref _version);

    public bool Change(TimeSpan dueTime, TimeSpan period)
    {
        _period = period;
        var version = Interlocked.Increment(ref _version);
        if (dueTime != Timeout.InfiniteTimeSpan) loop.Arm(this, version, dueTime);
        return true;
    }

    public void Fire()
    {
        if (_period > TimeSpan.Zero) loop.Arm(this, Version, _period);
        callback(state);
    }

    public void Dispose() => Interlocked.Increment(ref _version);

    public ValueTask DisposeAsync()
    {
        Dispose();
        return default;
    }
}
