using ActiveActive.Commands;
using ActiveActive.Database;

namespace ActiveActive;

/// <content>What whoever operates a node can ask of it.</content>
public sealed partial class ReplicationNode
{
    private const int MostTriesToPause = 5;

    private readonly CommandLoop _commands;
    private readonly SemaphoreSlim _pausing = new(1);

    internal ReplicationNodeOptions Options => _options;

    /// <summary>
    /// Stops applying a peer's transactions, after the one under way, until <see cref="ResumePeerAsync"/>. The peer keeps what was not applied, in its log; local writes go on and reach it. It is
    /// durable: it outlasts a restart, and holds for whichever instance leads. Called on another instance, it takes effect within a second.
    /// </summary>
    /// <exception cref="ArgumentException">There is no such peer.</exception>
    /// <exception cref="ReplicationException">The database can't be written to, or was never set up.</exception>
    public async Task PausePeerAsync(NodeName peer, CancellationToken cancellationToken = default)
    {
        LinkOf(peer);
        await SetPausedAsync(peer, isPaused: true, cancellationToken);
    }

    /// <summary>Goes on where <see cref="PausePeerAsync"/> stopped.</summary>
    /// <exception cref="ArgumentException">There is no such peer.</exception>
    /// <exception cref="ReplicationException">The database can't be written to, or was never set up.</exception>
    public async Task ResumePeerAsync(NodeName peer, CancellationToken cancellationToken = default)
    {
        LinkOf(peer);
        await SetPausedAsync(peer, isPaused: false, cancellationToken);
    }

    /// <summary>Checks whether the database is fit to be this node's, as its start does, and changes nothing. The node may run meanwhile, here or elsewhere.</summary>
    /// <returns>All problems, each with what mends it; none where all is well.</returns>
    /// <exception cref="ReplicationException">The database can't be reached.</exception>
    public async Task<IReadOnlyList<SetUpProblem>> CheckAsync(CancellationToken cancellationToken = default) => await _database.CheckAsync(cancellationToken);

    /// <summary>
    /// Checks, and creates what is missing (schema, publication, slot, origins), as the node's start does: for a role that may do so where the application's may not, or ahead of a start. A node that runs has been set up.
    /// </summary>
    /// <exception cref="SetUpException">Lists all problems; nothing was changed.</exception>
    /// <exception cref="ReplicationException">The database can't be reached; InUse: an instance leads the node.</exception>
    public async Task SetUpAsync(CancellationToken cancellationToken = default)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        string? leader = null;
        try
        {
            // As a leader does: nobody else may be at it, or join.
            await using var lease = await _database.LeadAsync(other =>
            {
                leader = other ?? "another one";
                stop.Cancel();
            }, stop.Token);
            await _database.SetUpAsync(isJoining: _options.JoinFrom is not null, stop.Token);
        }
        catch (OperationCanceledException) when (leader is not null)
        {
            throw new ReplicationException(ReplicationErrorKind.InUse, $"An instance leads node '{Name}' ({leader}): it sets the node up at its start.");
        }
    }

    /// <summary>Pauses the peers that the database says, whoever said it there, and resumes the others.</summary>
    /// <returns>Whether a command waits.</returns>
    internal async Task<bool> FollowDeskAsync(CancellationToken cancellationToken)
    {
        await _pausing.WaitAsync(cancellationToken);
        try
        {
            var desk = await _database.Desk.ReadDeskAsync(cancellationToken);
            foreach (var link in _links.Values) Set(link, desk.Paused.Contains(link.Peer));
            return desk.IsAsked;
        }
        finally
        {
            _pausing.Release();
        }
    }

    // One after the other: what was read before a change must not be acted on after it.
    private async Task SetPausedAsync(NodeName peer, bool isPaused, CancellationToken cancellationToken)
    {
        await _pausing.WaitAsync(cancellationToken);
        try
        {
            // A pooled connection may have been ended by the server since it was used last; the next one is a new one.
            for (var attempt = 1; ; attempt++)
            {
                try
                {
                    await _database.Desk.SavePauseAsync(peer, isPaused, cancellationToken);
                    break;
                }
                catch (ReplicationException e) when (e.Kind == ReplicationErrorKind.Transient && attempt < MostTriesToPause)
                {
                }
            }

            Set(_links[peer], isPaused);
        }
        finally
        {
            _pausing.Release();
        }
    }

    private static void Set(Transport.PeerLink link, bool isPaused)
    {
        if (link.IsPaused == isPaused) return;
        if (isPaused) link.Pause();
        else link.Resume();
    }

    internal Task ReportAsync(CancellationToken cancellationToken) => _commands.ReportAsync(Status, cancellationToken);

    private static PeerMembership MembershipOf(NodeName peer, Hosting.NodeRun? run) =>
        run is null ? PeerMembership.Unknown
        : run.Parted.Any(m => m.Name == peer) ? PeerMembership.Parted
        : run.Members.FirstOrDefault(m => m.Name == peer) is not { } member ? PeerMembership.Expected
        : member.State switch
        {
            MemberState.Joining => PeerMembership.Joining,
            MemberState.Parting => PeerMembership.Parting,
            _ => PeerMembership.Joined,
        };
}
