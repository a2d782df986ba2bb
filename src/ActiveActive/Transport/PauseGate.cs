namespace ActiveActive.Transport;

/// <summary>Open or paused; those who run can ask to be told of a pause.</summary>
internal sealed class PauseGate
{
    private readonly Lock _lock = new();
    private TaskCompletionSource? _paused;
    private CancellationTokenSource _pauseRequested = new();

    public bool IsPaused
    {
        get
        {
            lock (_lock) return _paused is not null;
        }
    }

    public void Pause()
    {
        CancellationTokenSource requested;
        lock (_lock)
        {
            if (_paused is not null) return;
            _paused = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            requested = _pauseRequested;
        }

        requested.Cancel();
    }

    public void Resume()
    {
        TaskCompletionSource? paused;
        lock (_lock)
        {
            paused = _paused;
            _paused = null;
            if (paused is not null) _pauseRequested = new CancellationTokenSource();
        }

        paused?.TrySetResult();
    }

    public Task WaitAsync(CancellationToken cancellationToken)
    {
        lock (_lock) return _paused is null ? Task.CompletedTask : _paused.Task.WaitAsync(cancellationToken);
    }

    public CancellationTokenRegistration Register(Action paused)
    {
        lock (_lock) return _pauseRequested.Token.Register(paused);
    }
}
