using ActiveActive.Changes;
using ActiveActive.Database;
using ActiveActive.Diagnostics;
using ActiveActive.Hosting;
using ActiveActive.Transport;
using Microsoft.Extensions.Logging;
using NpgsqlTypes;

namespace ActiveActive.Membership;

/// <summary>
/// Sees a member out, on each of the others: (1) nothing is taken from it any more; (2) every other member says the same, and how much of it it has; (3) the greatest of these is the last that there is of it, and is got from
/// the others by relay; (4) it is waited for no more. Before (3) is done something of it could still arrive that has not seen what would be collected (convergence R1). A restart goes through the steps again.
/// </summary>
internal sealed partial class Parting(Member leaving, PeerLinkContext context, ILogger logger)
{
    private static readonly TimeSpan s_again = TimeSpan.FromSeconds(1);

    private readonly ILogger _logger = logger;
    private readonly TaskCompletionSource _fenced = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public NodeName Name => leaving.Name;

    /// <summary>What is waited for, for people.</summary>
    public string Message { get; private set; } = "";

    /// <summary>From now on no session can commit anything that came from the member itself.</summary>
    public void Fence() => _fenced.TrySetResult();

    /// <summary>How much of the member this node has: nothing is added to it but what another node has said of itself, too.</summary>
    public async ValueTask<NpgsqlLogSequenceNumber> ReadReachAsync(NodeRun run, CancellationToken cancellationToken)
    {
        await _fenced.Task.WaitAsync(cancellationToken);
        return await run.Capture.ReadReachAsync(Name, cancellationToken);
    }

    public async Task RunAsync(NodeRun run, CancellationToken cancellationToken)
    {
        Tell("its session here is taken over");
        var reach = await ReadReachAsync(run, cancellationToken);
        var backOff = new BackOff(context.ReconnectDelay, context.MaxReconnectDelay, context.TimeProvider);
        foreach (var other in run.Members.Where(static m => m.IsKeptFor && !Safeguards.IsOff(Safeguard.SettleBeforeParted)))
        {
            var has = await AskAsync(other.Name, run.Handshake, backOff, cancellationToken);
            if (has > reach) reach = has;
        }

        Tell($"its transactions up to {reach} come from other members");
        await run.Progress.WaitForDependenciesAsync(DependencyVector.Of([new(Name, reach)]), cancellationToken);
        // Durable, too.
        await run.Capture.ReadReachAsync(Name, cancellationToken);
        await WaitForQuarantineAsync(cancellationToken);
        await context.Database.SaveMembersAsync([leaving with { State = MemberState.Parted, Reach = reach }], cancellationToken);
        LogParted(context.Self, Name, reach);
        run.MembersChanged.TrySetResult();
    }

    private async Task<NpgsqlLogSequenceNumber> AskAsync(NodeName other, Handshake handshake, BackOff backOff, CancellationToken cancellationToken)
    {
        while (true)
        {
            Tell($"node '{other}' has not said yet how much of it it has");
            try
            {
                var welcome = await context.Peers.Single(p => p.Name == other).DialAsync(address => AskAsync(address, handshake, cancellationToken));
                backOff.Reset();
                return welcome.Reach;
            }
            catch (PeerNotReadyException) when (backOff.IsShort)
            {
                // It starts again without the member.
                await backOff.WaitShortlyAsync(cancellationToken);
            }
            catch (ReplicationException e) when (!cancellationToken.IsCancellationRequested)
            {
                Tell($"node '{other}' must say how much of it it has: {e.Message}");
                await backOff.WaitAsync(isSlow: false, cancellationToken);
            }
        }
    }

    private async ValueTask<WelcomeFrame> AskAsync(PeerAddress address, Handshake handshake, CancellationToken cancellationToken)
    {
        var connection = await context.Transport.ConnectAsync(address, cancellationToken);
        await using var frames = new FrameConnection(connection, $"Peer '{address.Name}'", context.MaxFrameBytes, context.ReadTimeout, context.TimeProvider);
        try
        {
            return await PeerGreeting.GreetAsync(frames, handshake, handshake.Hello(address.Name, Name, default, HelloPurpose.Part, takesCompressed: false), cancellationToken);
        }
        finally
        {
            frames.Abort();
        }
    }

    /// <summary>A transaction in quarantine can be applied only by the session of its origin, which a parted one has not.</summary>
    private async Task WaitForQuarantineAsync(CancellationToken cancellationToken)
    {
        while (await context.Database.ReadQuarantineAsync(Name, cancellationToken) is { Count: > 0 } waiting)
        {
            Tell($"{waiting.Count} of its transactions are in quarantine here: retry or discard them");
            await Task.Delay(s_again, context.TimeProvider, cancellationToken);
        }
    }

    private void Tell(string awaited) => Message = $"Parted from the cluster ({leaving.Reason}), which is not done yet: {awaited}.";

    [LoggerMessage(EventId = 3086, Level = LogLevel.Information, Message = "AA3086: node '{Peer}' is a member of the cluster no more, as node '{Node}' knows it, which has its transactions up to {Reach}; nothing comes after them")]
    private partial void LogParted(NodeName node, NodeName peer, NpgsqlLogSequenceNumber reach);
}
