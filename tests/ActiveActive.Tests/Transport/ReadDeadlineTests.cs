using System.IO.Pipelines;
using ActiveActive.Transport;

namespace ActiveActive.Tests.Transport;

public sealed class ReadDeadlineTests
{
    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(2);

    /// <summary>The system's timers count by a coarser clock than its timestamps, so that one can come a little before its time.</summary>
    [Fact]
    public async Task Timer_that_fires_early_is_set_again()
    {
        var time = new HandClock();
        var pipe = new Pipe();
        await using var deadline = new ReadDeadline(pipe.Reader, s_timeout, time);
        var reading = deadline.ReadAsync(TestContext.Current.CancellationToken).AsTask();
        time.Pass(s_timeout - TimeSpan.FromMilliseconds(3));
        time.Fire();
        Assert.False(reading.IsCompleted);
        Assert.InRange(time.Due, TimeSpan.FromMilliseconds(3), TimeSpan.FromMilliseconds(10));

        time.Pass(time.Due);
        time.Fire();
        Assert.True((await reading).IsCanceled);
        Assert.True(deadline.HasExpired);
    }

    [Fact]
    public async Task Timer_of_a_read_that_has_ended_cuts_the_next_one_not_short()
    {
        var time = new HandClock();
        var pipe = new Pipe();
        await using var deadline = new ReadDeadline(pipe.Reader, s_timeout, time);
        var first = deadline.ReadAsync(TestContext.Current.CancellationToken).AsTask();
        await pipe.Writer.WriteAsync(new byte[1], TestContext.Current.CancellationToken);
        pipe.Reader.AdvanceTo((await first).Buffer.End);
        time.Pass(s_timeout);
        var second = deadline.ReadAsync(TestContext.Current.CancellationToken).AsTask();
        time.Fire();
        Assert.False(second.IsCompleted);
        Assert.False(deadline.HasExpired);
        await pipe.Writer.CompleteAsync();
        await second;
    }

    /// <summary>Time passes, and its one timer fires, when the test says so.</summary>
    private sealed class HandClock : TimeProvider
    {
        private TimerCallback? _callback;
        private object? _state;
        private long _now;

        /// <summary>What the timer was last set to.</summary>
        public TimeSpan Due { get; private set; }

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public override long GetTimestamp() => _now;

        public void Pass(TimeSpan time) => _now += time.Ticks;

        public void Fire() => _callback!(_state);

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
        {
            (_callback, _state) = (callback, state);
            return new HandTimer(this);
        }

        private sealed class HandTimer(HandClock clock) : ITimer
        {
            public bool Change(TimeSpan dueTime, TimeSpan period)
            {
                clock.Due = dueTime;
                return true;
            }

            public void Dispose()
            {
            }

            public ValueTask DisposeAsync() => default;
        }
    }
}
