namespace ActiveActive.Simulation.Time;

/// <summary>A timer of a <see cref="NodeClock"/>; fires on the event loop.</summary>
internal sealed class LoopTimer(EventLoop loop, long granule, TimerCallback callback, object? state) : ITimer
{
    public static readonly Action<object?> Fired = static timer => ((LoopTimer)timer!).Fire();

    private TimeSpan _period = Timeout.InfiniteTimeSpan;

    /// <summary>Entries of the event loop with another version are void.</summary>
    public int Version { get; private set; }

    public bool Change(TimeSpan dueTime, TimeSpan period)
    {
        Version++;
        _period = period;
        if (dueTime != Timeout.InfiniteTimeSpan) Arm(dueTime);
        return true;
    }

    private void Fire()
    {
        if (_period != Timeout.InfiniteTimeSpan && _period > TimeSpan.Zero) Arm(_period);
        callback(state);
    }

    public void Dispose() => Version++;

    public ValueTask DisposeAsync()
    {
        Version++;
        return default;
    }

    private void Arm(TimeSpan dueTime)
    {
        var due = loop.Now + (long)Math.Ceiling(dueTime.TotalMicroseconds);
        // Never before the clock shows it: a coarse clock stands still in between.
        loop.At((due + granule - 1) / granule * granule, this, Version);
    }
}
