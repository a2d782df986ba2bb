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
}
