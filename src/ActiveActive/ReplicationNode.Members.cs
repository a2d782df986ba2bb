using ActiveActive.Database;
using ActiveActive.Hosting;
using ActiveActive.Membership;
using ActiveActive.Transport;
using Microsoft.Extensions.Logging;

namespace ActiveActive;

public sealed partial class ReplicationNode
{
    /// <summary>
    /// The other members that the options name as peers. The first nodes of a cluster are members from the start; so are those that a node which has been alone names later, whether they join or have the same data.
    /// </summary>
    private async Task<IReadOnlyList<Member>> ReadMembersAsync(CancellationToken cancellationToken)
    {
        var members = await _database.ReadMembersAsync(cancellationToken);
        if (members.All(m => m.Name == Name))
        {
            members = [.. _links.Keys.Append(Name).Order().Select(name => new Member(name, HasJoined: true))];
            await _database.SaveMembersAsync(members, cancellationToken);
        }

        return [.. members.Where(m => _links.ContainsKey(m.Name))];
    }

    /// <summary>Gets this node's data from a member, and returns where it goes on.</summary>
    private async Task<CaptureCheckpoint> JoinAsync(Handshake handshake, CancellationToken cancellationToken)
    {
        _state = NodeState.Joining;
        _join = new JoinProgress(_timeProvider);
        await new NodeJoin(_context, handshake, new NodeName(_options.JoinFrom!), _options.JoinParallelism, _join, _logger).RunAsync(cancellationToken);
        _state = NodeState.Starting;
        return (await _database.FindCheckpointAsync(cancellationToken))!;
    }

    /// <summary>
    /// Adds a node that asks to join. From the next life on nothing becomes stable before that node has it; so it is let in only then, and asks again.
    /// </summary>
    private async Task<Frame> AdmitAsync(HelloFrame hello, NodeRun run, Frame welcome, CancellationToken cancellationToken)
    {
        if (run.Members.Any(m => m.Name == hello.From)) return welcome;
        if (run.Capture.ExtentOf(hello.From).Reach is var reach && reach != default)
        {
            return new RefuseFrame("AA3042", $"Node '{Name}' has applied transactions of a node '{hello.From}' before (up to {reach}): what another database of that name writes could not be told from them. Join under a name of its own.");
        }

        await _database.SaveMembersAsync([new Member(hello.From, HasJoined: false)], cancellationToken);
        LogAdmitted(Name, hello.From);
        run.MembersChanged.TrySetResult();
        return new RefuseFrame(PeerGreeting.NotReadyCode, $"Node '{Name}' has added '{hello.From}' to its members, and starts again with it.");
    }

    private async Task SendMembersAsync(FrameConnection frames, NodeRun run, CancellationToken cancellationToken)
    {
        await frames.WriteAsync(new MembersFrame([.. run.Members.Append(new Member(Name, HasJoined: true)).OrderBy(m => m.Name)]), cancellationToken);
        await frames.FlushAsync(cancellationToken);
    }

    [LoggerMessage(EventId = 3047, Level = LogLevel.Information, Message = "AA3047: node '{Node}' has added node '{Peer}', which joins, to its members, and keeps for it what it has not")]
    private partial void LogAdmitted(NodeName node, NodeName peer);
}
