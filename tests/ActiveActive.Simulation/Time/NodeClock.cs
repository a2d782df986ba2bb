namespace ActiveActive.Simulation.Time;

/// <summary>One node's clock: the loop's time, cut to granules (so that stamps of different nodes can be equal), with an offset that can be set.</summary>
/// <param name="loop">Where the time comes from.</param>
/// <param name="granule">In microseconds.</param>
/// <param name="offset">In microseconds.</param>
/// <param name="repeats">Whether two readings can be equal.</param>
internal sealed class NodeClock(EventLoop loop, long granule, long offset, bool repeats) : TimeProvider
{
    private static readonly DateTimeOffset s_start = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

    private long _last = -1;

    public override long TimestampFrequency => 1_000_000;

    public long Offset { get; private set; } = offset;

    /// <summary>Sets the clock forward or back, by microseconds.</summary>
    public void Step(long delta) => Offset += delta;

    public override DateTimeOffset GetUtcNow()
    {
        var now = loop.Now / granule * granule;
        _last = repeats ? Math.Max(_last, now) : Math.Max(_last + 1, now);
        return s_start.AddMicroseconds(_last + Offset);
    }

    public override long GetTimestamp() => loop.Now;

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        var timer = new LoopTimer(loop, granule, callback, state);
        timer.Change(dueTime, period);
        return timer;
    }

    public override TimeZoneInfo LocalTimeZone => TimeZoneInfo.Utc;

    /// <summary>A commit stamp in microseconds after the simulation's start, for people.</summary>
    public static long Since(CommitTimestamp stamp) => stamp.IsKnown ? stamp.Microseconds - CommitTimestamp.From(s_start).Microseconds : -1;
}
