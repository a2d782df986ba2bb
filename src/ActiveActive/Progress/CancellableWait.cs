namespace ActiveActive.Progress;

/// <summary>
/// Waits for a source that completes its continuations asynchronously. <see cref="Task.WaitAsync(CancellationToken)"/> on such a task
/// hops over the thread pool; this does not, so the waiter goes on where it was, and a simulation can own every step.
/// </summary>
internal static class CancellableWait
{
    /// <summary>A cancelled token cancels the source: nobody else may wait for it.</summary>
    public static async Task WaitAsync(this TaskCompletionSource source, CancellationToken cancellationToken)
    {
        using var registration = cancellationToken.UnsafeRegister(static (state, token) => ((TaskCompletionSource)state!).TrySetCanceled(token), source);
        await source.Task;
    }

    /// <summary>
    /// Waits for a signal that others wait for, too. After a cancellation the signal still knows of this wait: it must be one that comes soon.
    /// </summary>
    public static Task WaitForSignalAsync(this Task signal, CancellationToken cancellationToken)
    {
        if (signal.IsCompleted) return signal;
        var source = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _ = PassOnAsync(signal, source);
        return source.WaitAsync(cancellationToken);
    }

    private static async Task PassOnAsync(Task signal, TaskCompletionSource source)
    {
        await signal;
        source.TrySetResult();
    }
}
