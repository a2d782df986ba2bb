using ActiveActive.Diagnostics;

namespace ActiveActive.Transport;

/// <summary>
/// How long a node has not been reached, and whether it is time to ask others for its transactions. In a healthy cluster each change travels
/// once, from its origin.
/// </summary>
/// <param name="timeProvider">The clock.</param>
/// <param name="patience">See <see cref="ReplicationNodeOptions.RelayAfter"/>.</param>
internal sealed class PeerAbsence(TimeProvider timeProvider, TimeSpan patience)
{
    private long? _since;

    /// <summary>The node is dialled: unless that succeeds, it is away from now on.</summary>
    public void Begin() => _since ??= timeProvider.GetTimestamp();

    public void End() => _since = null;

    /// <param name="isAwaited">Whether another node's stream waits here for one of its transactions: then somebody has it, and is held up.</param>
    public bool IsDue(bool isAwaited) =>
        _since is { } since && (isAwaited || timeProvider.GetElapsedTime(since) >= patience) && !Safeguards.IsOff(Safeguard.Relay);
}
