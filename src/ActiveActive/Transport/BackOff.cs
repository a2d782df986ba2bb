namespace ActiveActive.Transport;

/// <summary>Waits between tries: doubling from the first to the longest, each cut by a random share, so that nodes do not dial in step.</summary>
internal sealed class BackOff
{
    // Some seconds in all: a take-over is done by then.
    private const int MostShortWaits = 40;
    private const double ShortestMilliseconds = 100;
    private const double LongestShortMilliseconds = 250;

    private readonly TimeSpan _first;
    private readonly TimeSpan _longest;
    private readonly TimeProvider _timeProvider;
    private TaskCompletionSource _wake = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private TimeSpan _next;
    private int _shortWaits;

    public BackOff(TimeSpan first, TimeSpan longest, TimeProvider timeProvider)
    {
        _first = first;
        _longest = longest;
        _timeProvider = timeProvider;
        _next = first;
    }

    /// <summary>Whether <see cref="WaitShortlyAsync"/> still waits shortly.</summary>
    public bool IsShort => _shortWaits < MostShortWaits;

    public void Reset()
    {
        _next = _first;
        _shortWaits = 0;
    }

    /// <summary>Ends a wait under way.</summary>
    public void Wake()
    {
        Reset();
        Interlocked.Exchange(ref _wake, new(TaskCreationOptions.RunContinuationsAsynchronously)).TrySetResult();
    }

    /// <summary>For what is over in a moment: a try every 100 to 250 ms for some seconds, then as <see cref="WaitAsync"/>.</summary>
    public async Task WaitShortlyAsync(CancellationToken cancellationToken)
    {
        if (!IsShort)
        {
            await WaitAsync(isSlow: false, cancellationToken);
            return;
        }

        _shortWaits++;
#pragma warning disable CA5394 // Jitter needs no secure randomness.
        await DelayAsync(TimeSpan.FromMilliseconds(ShortestMilliseconds + (Random.Shared.NextDouble() * (LongestShortMilliseconds - ShortestMilliseconds))), cancellationToken);
#pragma warning restore CA5394
    }

    /// <param name="isSlow">A fault that a person must mend: at least a second between tries.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    public async Task WaitAsync(bool isSlow, CancellationToken cancellationToken)
    {
        var wait = isSlow && _next < TimeSpan.FromSeconds(1) ? TimeSpan.FromSeconds(1) : _next;
        if (wait > _longest) wait = _longest;
        _next = wait * 2;
#pragma warning disable CA5394 // Jitter needs no secure randomness.
        await DelayAsync(wait * (0.5 + (Random.Shared.NextDouble() / 2)), cancellationToken);
#pragma warning restore CA5394
    }

    private async Task DelayAsync(TimeSpan wait, CancellationToken cancellationToken)
    {
        await Task.WhenAny(_wake.Task, Task.Delay(wait, _timeProvider, cancellationToken));
        cancellationToken.ThrowIfCancellationRequested();
    }
}
