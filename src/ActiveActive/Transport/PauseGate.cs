namespace ActiveActive.Transport;

/// <summary>Open or paused; those who run can ask to be told of a pause.</summary>
internal sealed class PauseGate
{
    private readonly Lock _lock = new();
    private TaskCompletionSource _changed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private bool _isPaused;

    public bool IsPaused
    {
        get
        {
            lock (_lock) return _isPaused;
        }
    }

    public void Pause() => Set(true);

    public void Resume() => Set(false);

    public Task WaitUntilOpenAsync(CancellationToken cancellationToken) => WaitUntilAsync(false, cancellationToken);

    public Task WaitUntilPausedAsync(CancellationToken cancellationToken) => WaitUntilAsync(true, cancellationToken);

    private async Task WaitUntilAsync(bool isPaused, CancellationToken cancellationToken)
    {
        while (true)
        {
            Task changed;
            lock (_lock)
            {
                if (_isPaused == isPaused) return;
                changed = _changed.Task;
            }

            await changed.WaitAsync(cancellationToken);
        }
    }

    private void Set(bool isPaused)
    {
        TaskCompletionSource changed;
        lock (_lock)
        {
            if (_isPaused == isPaused) return;
            _isPaused = isPaused;
            changed = _changed;
            _changed = new(TaskCreationOptions.RunContinuationsAsynchronously);
        }

        changed.TrySetResult();
    }
}
