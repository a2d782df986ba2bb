namespace ActiveActive.Transport;

/// <summary>Waits between tries: doubling from the first to the longest, each cut by a random share, so that nodes do not dial in step.</summary>
internal sealed class BackOff
{
    private readonly TimeSpan _first;
    private readonly TimeSpan _longest;
    private readonly TimeProvider _timeProvider;
    private TaskCompletionSource _wake = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private TimeSpan _next;

    public BackOff(TimeSpan first, TimeSpan longest, TimeProvider timeProvider)
    {
        _first = first;
        _longest = longest;
        _timeProvider = timeProvider;
        _next = first;
    }

    public void Reset() => _next = _first;

    /// <summary>Ends a wait under way.</summary>
    public void Wake()
    {
        Reset();
        Interlocked.Exchange(ref _wake, new(TaskCreationOptions.RunContinuationsAsynchronously)).TrySetResult();
    }

    /// <param name="isSlow">A fault that a person must mend: at least a second between tries.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    public async Task WaitAsync(bool isSlow, CancellationToken cancellationToken)
    {
        var wake = _wake.Task;
        var wait = isSlow && _next < TimeSpan.FromSeconds(1) ? TimeSpan.FromSeconds(1) : _next;
        if (wait > _longest) wait = _longest;
        _next = wait * 2;
#pragma warning disable CA5394 // Jitter needs no secure randomness.
        await Task.WhenAny(wake, Task.Delay(wait * (0.5 + (Random.Shared.NextDouble() / 2)), _timeProvider, cancellationToken));
#pragma warning restore CA5394
        cancellationToken.ThrowIfCancellationRequested();
    }
}
