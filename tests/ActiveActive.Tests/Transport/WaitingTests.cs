using ActiveActive.Transport;
using Microsoft.Extensions.Time.Testing;

namespace ActiveActive.Tests.Transport;

public sealed class WaitingTests
{
    [Fact]
    public async Task Waits_double_to_the_longest_with_jitter_and_start_again_after_a_reset()
    {
        var clock = new FakeTimeProvider();
        var backOff = new BackOff(TimeSpan.FromSeconds(2), TimeSpan.FromSeconds(9), clock);
        foreach (var seconds in new[] { 2, 4, 8, 9, 9 }) await AssertWaitAsync(backOff, clock, seconds, isSlow: false);
        backOff.Reset();
        await AssertWaitAsync(backOff, clock, 2, isSlow: false);
    }

    [Fact]
    public async Task Fault_that_a_person_must_mend_is_tried_no_faster_than_each_second()
    {
        var clock = new FakeTimeProvider();
        var backOff = new BackOff(TimeSpan.FromMilliseconds(10), TimeSpan.FromSeconds(9), clock);
        await AssertWaitAsync(backOff, clock, 1, isSlow: true);
    }

    [Fact]
    public async Task Wake_and_cancellation_end_a_wait()
    {
        var backOff = new BackOff(TimeSpan.FromDays(1), TimeSpan.FromDays(1), new FakeTimeProvider());
        var waiting = backOff.WaitAsync(false, default);
        backOff.Wake();
        await waiting;
        using var cancelled = new CancellationTokenSource();
        waiting = backOff.WaitAsync(false, cancelled.Token);
        await cancelled.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting);
    }

    [Fact]
    public async Task Pause_gate_tells_both_ways()
    {
        var gate = new PauseGate();
        await gate.WaitUntilOpenAsync(default);
        var pausing = gate.WaitUntilPausedAsync(default);
        Assert.False(pausing.IsCompleted);
        gate.Pause();
        gate.Pause();
        await pausing;
        Assert.True(gate.IsPaused);
        var resuming = gate.WaitUntilOpenAsync(default);
        Assert.False(resuming.IsCompleted);
        gate.Resume();
        await resuming;
    }

    private static async Task AssertWaitAsync(BackOff backOff, FakeTimeProvider clock, int seconds, bool isSlow)
    {
        var waiting = backOff.WaitAsync(isSlow, default);
        clock.Advance(TimeSpan.FromSeconds(seconds * 0.49));
        Assert.False(waiting.IsCompleted, $"It waited less than half of {seconds} s.");
        clock.Advance(TimeSpan.FromSeconds(seconds * 0.52));
        await waiting.WaitAsync(TimeSpan.FromSeconds(30));
    }
}
