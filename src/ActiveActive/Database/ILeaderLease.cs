namespace ActiveActive.Database;

/// <summary>
/// The right of one instance of an application to be its node: nobody else captures, applies or serves peers meanwhile. It is given back by disposing it, LAST, when
/// all that was done under it has ended.
/// </summary>
internal interface ILeaderLease : IAsyncDisposable
{
    /// <summary>Cancelled when the right is gone before it was given back. Another instance may lead from then on, and has ended this one's sessions.</summary>
    CancellationToken Lost { get; }

    /// <summary>Why it is gone; null while it is held.</summary>
    ReplicationException? Reason { get; }
}
