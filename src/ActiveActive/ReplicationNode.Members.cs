using ActiveActive.Database;
using ActiveActive.Hosting;
using ActiveActive.Membership;
using ActiveActive.Transport;
using Microsoft.Extensions.Logging;

namespace ActiveActive;

public sealed partial class ReplicationNode
{
    private static readonly TimeSpan s_partingPoll = TimeSpan.FromMilliseconds(50);

    /// <summary>
    /// The other members that the options name as peers. The first nodes of a cluster are members from the start; so are those that a node which has been alone names later, whether they join or have the same data.
    /// </summary>
    private async Task<IReadOnlyList<Member>> ReadMembersAsync(CancellationToken cancellationToken)
    {
        var members = await _database.ReadMembersAsync(cancellationToken);
        if (members.All(m => m.Name == Name))
        {
            members = [.. _links.Keys.Append(Name).Order().Select(name => new Member(name, MemberState.Joined))];
            await _database.SaveMembersAsync(members, cancellationToken);
        }

        return [.. members.Where(m => _links.ContainsKey(m.Name))];
    }

    /// <summary>Gets this node's data from a member, and returns where it goes on.</summary>
    private async Task<CaptureCheckpoint> JoinAsync(Handshake handshake, NodeName donor, CaptureCheckpoint? givenUp, CancellationToken cancellationToken)
    {
        _state = NodeState.Joining;
        _join = new JoinProgress(_timeProvider);
        await new NodeJoin(_context, handshake, donor, _options.JoinParallelism, _join, _logger) { GivenUp = givenUp }.RunAsync(cancellationToken);
        _state = NodeState.Starting;
        return (await _database.FindCheckpointAsync(cancellationToken))!;
    }

    /// <summary>
    /// Adds a node that asks to join. From the next life on nothing becomes stable before that node has it; so it is let in only then, and asks again.
    /// </summary>
    private async Task<Frame> AdmitAsync(HelloFrame hello, NodeRun run, WelcomeFrame welcome, CancellationToken cancellationToken)
    {
        if (run.Members.FirstOrDefault(m => m.Name == hello.From) is { } already)
        {
            return already.State == MemberState.Joining ? welcome with { Reach = already.Reach }
                : new RefuseFrame("AA3088", $"Node '{hello.From}' asks to join, and is a member of the cluster already, as node '{Name}' knows it. If its data is to be replaced: part it first, with PartAsync(\"{hello.From}\") on node '{Name}'.");
        }

        if (run.Partings.Keys.FirstOrDefault() is { IsNone: false } leaving)
            return new RefuseFrame(PeerGreeting.NotReadyCode, $"Node '{leaving}' is being parted from the cluster: '{hello.From}' can join when that is done.");
        var before = run.Parted.FirstOrDefault(m => m.Name == hello.From);
        // Whatever one that was a member writes from now on lies behind its log's present end.
        if ((before?.Reach ?? run.Capture.ExtentOf(hello.From).Reach) is var reach && reach != default && (before is null || hello.ResumeAfter <= reach))
        {
            return new RefuseFrame("AA3042", $"Node '{Name}' has applied transactions of a node '{hello.From}' before (up to {reach}): what another database of that name writes could not be told from them. Join under a name of its own.");
        }

        await _database.SaveMembersAsync([new Member(hello.From, MemberState.Joining) { Reach = reach }], cancellationToken);
        LogAdmitted(Name, hello.From);
        run.MembersChanged.TrySetResult();
        return new RefuseFrame(PeerGreeting.NotReadyCode, $"Node '{Name}' has added '{hello.From}' to its members, and starts again with it.");
    }

    /// <summary>
    /// Parts a peer from the cluster: for one that is dead for good, or that is to be decommissioned. The other members take nothing from it any more, give each other what they have of it, and then neither wait for it nor keep anything
    /// for it. What it has committed and none of them has received stays in its database alone, until it is given another node's data (<see cref="ResyncAsync"/>).
    /// </summary>
    /// <param name="peer">The peer. It need not be there.</param>
    /// <param name="cancellationToken">Ends the wait; once begun, the parting goes on by itself, also after a restart.</param>
    /// <returns>When this node is done with it; the others may need longer. <see cref="PeerStatus.Message"/> says what it waits for.</returns>
    /// <remarks>
    /// Every other member must be there for it, or be parted as well: each has to say how much of the peer it has.
    /// Where the network is cut and each side parts the other, two clusters go on by themselves: part nodes only of which you know that they are gone.
    /// </remarks>
    /// <exception cref="ArgumentException">There is no such peer.</exception>
    /// <exception cref="InvalidOperationException">This instance does not lead the node, or does not replicate yet; or the peer is no member.</exception>
    public async Task PartAsync(NodeName peer, CancellationToken cancellationToken = default)
    {
        LinkOf(peer);
        var run = LeadingRun();
        if (run.Parted.Any(m => m.Name == peer)) return;
        if (!run.Members.Any(m => m.Name == peer)) throw new InvalidOperationException($"Node '{peer}' is no member of the cluster, as node '{Name}' knows it: there is nothing to part.");
        await BeginPartingAsync(peer, $"PartAsync on node '{Name}'", run, cancellationToken);
        while (!(_run?.Parted.Any(m => m.Name == peer) ?? false)) await Task.Delay(s_partingPoll, _timeProvider, cancellationToken);
    }

    /// <summary>
    /// Gets this node, which was parted from the cluster, the data of another one in place of its own, and makes it a member again; the others go on writing meanwhile. From now on local writers get an error until that is done.
    /// What this node has committed and no other one has received is given up: each of those changes is recorded in the conflict history (<see cref="Conflicts"/>, resolver <c>resync</c>).
    /// </summary>
    /// <param name="donor">The peer that the data comes from.</param>
    /// <param name="cancellationToken">Ends the wait for the locks on the tables.</param>
    /// <returns>When that has begun; it goes on by itself, also after a restart. <see cref="NodeStatus.State"/> is <see cref="NodeState.Joining"/> meanwhile. Nothing is given up before every member has taken the node in again.</returns>
    /// <exception cref="ArgumentException">There is no such peer.</exception>
    /// <exception cref="InvalidOperationException">This instance does not lead the node, or does not replicate yet.</exception>
    /// <exception cref="ReplicationException">The database can't be reached, or a table's lock was not granted in time.</exception>
    public async Task ResyncAsync(NodeName donor, CancellationToken cancellationToken = default)
    {
        LinkOf(donor);
        var run = LeadingRun();
        await _database.BeginResyncAsync(donor, cancellationToken);
        LogResync(Name, donor);
        run.MembersChanged.TrySetResult();
    }

    private NodeRun LeadingRun() => _run ?? throw new InvalidOperationException($"Node '{Name}' does not replicate in this process ({_state}{(_message is null ? "" : $": {_message}")}): ask where it does.");

    private async Task BeginPartingAsync(NodeName peer, string reason, NodeRun run, CancellationToken cancellationToken)
    {
        if (run.Partings.ContainsKey(peer)) return;
        await _database.SaveMembersAsync([new Member(peer, MemberState.Parting) { Reason = reason }], cancellationToken);
        LogParting(Name, peer, reason);
        run.MembersChanged.TrySetResult();
    }

    /// <summary>The answer to a member that parts another: how much of that other one is here, once nothing can come of it any more but what other members have.</summary>
    private async Task<Frame> AnswerPartingAsync(HelloFrame hello, NodeRun run, WelcomeFrame welcome, CancellationToken cancellationToken)
    {
        if (run.Partings.TryGetValue(hello.Origin, out var parting)) return welcome with { Reach = await parting.ReadReachAsync(run, cancellationToken) };
        // Not what capture shows: it may be reading the log anew.
        if (run.Parted.FirstOrDefault(m => m.Name == hello.Origin) is { } parted) return welcome with { Reach = parted.Reach };
        await BeginPartingAsync(hello.Origin, $"as node '{hello.From}' asked", run, cancellationToken);
        return new RefuseFrame(PeerGreeting.NotReadyCode, $"Node '{Name}' takes nothing of '{hello.Origin}' any more, and starts again without it.");
    }

    private static PeerLinkState StateOf(PeerLink link, NodeRun run) =>
        run.Partings.ContainsKey(link.Peer) ? PeerLinkState.Parting
        : run.Members.Any(m => m.Name == link.Peer) ? link.Status.State
        : run.Parted.Any(m => m.Name == link.Peer) ? PeerLinkState.Parted
        : PeerLinkState.Expected;

    private static string? LeavingMessage(PeerLink link, NodeRun? run) =>
        run?.Partings.GetValueOrDefault(link.Peer) is { } parting ? link.IsPaused ? $"{parting.Message} It is paused here, and that does not go on before it is resumed." : parting.Message
        : (run?.Parted.FirstOrDefault(m => m.Name == link.Peer) is { } parted ? $"Parted from the cluster ({parted.Reason}); its transactions end with {parted.Reach}." : null);

    private async Task SendMembersAsync(FrameConnection frames, NodeRun run, CancellationToken cancellationToken)
    {
        await frames.WriteAsync(new MembersFrame([.. run.Members.Where(static m => m.IsKeptFor).Append(new Member(Name, MemberState.Joined)).OrderBy(m => m.Name)]), cancellationToken);
        await frames.FlushAsync(cancellationToken);
    }

    [LoggerMessage(EventId = 3089, Level = LogLevel.Warning, Message = "AA3089: node '{Node}' gives its data up and gets that of node '{Donor}'; local writers are kept out until then")]
    private partial void LogResync(NodeName node, NodeName donor);

    [LoggerMessage(EventId = 3087, Level = LogLevel.Warning, Message = "AA3087: node '{Node}' parts peer '{Peer}' from the cluster ({Reason}): nothing is taken from it any more")]
    private partial void LogParting(NodeName node, NodeName peer, string reason);

    [LoggerMessage(EventId = 3047, Level = LogLevel.Information, Message = "AA3047: node '{Node}' has added node '{Peer}', which joins, to its members, and keeps for it what it has not")]
    private partial void LogAdmitted(NodeName node, NodeName peer);
}
