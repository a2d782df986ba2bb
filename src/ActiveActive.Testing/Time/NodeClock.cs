namespace ActiveActive.Testing.Time;

/// <summary>One machine's clock: the cluster's time and how far it is off.</summary>
internal sealed class NodeClock(ClusterLoop loop) : TimeProvider
{
    /// <summary>When every cluster begins.</summary>
    public static readonly DateTimeOffset Beginning = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

    private long _offset;

    /// <summary>How far the clock is ahead; negative where it is behind. Timers are not affected: they measure durations.</summary>
    public TimeSpan Offset
    {
        get => new(Interlocked.Read(ref _offset));
        set => Interlocked.Exchange(ref _offset, value.Ticks);
    }

    /// <summary>The time at which the clock stands, for stamps that a test chooses; null where it goes. Timers go on.</summary>
    public DateTimeOffset? StandsAt { get; set; }

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    public override TimeZoneInfo LocalTimeZone => TimeZoneInfo.Utc;

    public override DateTimeOffset GetUtcNow() => StandsAt ?? Beginning.AddTicks(loop.Look()) + Offset;

    public override long GetTimestamp() => loop.Now;

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        var timer = new LoopTimer(loop, callback, state);
        timer.Change(dueTime, period);
        return timer;
    }
}
