using ActiveActive.Database;
using ActiveActive.Progress;

namespace ActiveActive.Testing.Database;

/// <summary>The lead of one instance over an <see cref="InMemoryServer"/>, or its place among those that wait for it.</summary>
internal sealed class InMemoryLease(InMemoryServer server) : ILeaderLease
{
    private readonly CancellationTokenSource _lost = new();
    private readonly TaskCompletionSource _granted = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _told = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public CancellationToken Lost => _lost.Token;

    public ReplicationException? Reason { get; private set; }

    /// <summary>Waits where the instance runs; and there, too, it learns later that the lead is lost.</summary>
    public async Task WaitAsync(CancellationToken cancellationToken)
    {
        await _granted.WaitAsync(cancellationToken);
        _ = CancelWhenToldAsync();
    }

    public void Grant() => _granted.TrySetResult();

    /// <summary>The server has ended the session. The instance does not know before it is told.</summary>
    public void End(ReplicationException reason)
    {
        Reason = reason;
        _granted.TrySetException(reason);
    }

    public void Tell() => _told.TrySetResult();

    public ValueTask DisposeAsync()
    {
        lock (server.Gate) server.Release(this);
        return default;
    }

    private async Task CancelWhenToldAsync()
    {
        await _told.Task;
        await _lost.CancelAsync();
    }
}
