using System.IO.Pipelines;
using ActiveActive.Credentials;
using ActiveActive.Transport;

namespace ActiveActive.Testing.Transport;

/// <summary>
/// A network of nodes in one process: byte pipes with the same bounds and endings as a real connection, and links that tests can cut.
/// </summary>
/// <param name="scheduler">
/// Where pipe continuations run; null for the thread pool. A simulation gives its own, since a pipe does not come back to the
/// <see cref="TaskScheduler"/> that awaits it.
/// </param>
/// <param name="faults">What befalls frames under way; null for nothing, and then the bytes need be no frames.</param>
internal sealed class InMemoryNetwork(PipeScheduler? scheduler = null, LinkFaults? faults = null)
{
    private readonly Lock _gate = new();
    private readonly Dictionary<NodeName, List<Registration>> _nodes = [];
    private readonly HashSet<(NodeName, NodeName)> _cutLinks = [];
    private readonly List<InMemoryLink> _links = [];
    private readonly List<Exception> _acceptorFaults = [];

    /// <summary>What acceptors have thrown, other than on a cut or a stop: a test ends with none.</summary>
    public IReadOnlyList<Exception> AcceptorFaults
    {
        get
        {
            lock (_gate) return [.. _acceptorFaults];
        }
    }

    /// <summary>How many connections are open between any two nodes.</summary>
    public int OpenConnections
    {
        get
        {
            lock (_gate) return _links.Count;
        }
    }

    /// <summary>Lets a node be dialled. Disposing the result is its crash: all its connections break, and it can't be reached.</summary>
    /// <param name="node">Its name.</param>
    /// <param name="acceptor">Takes its connections.</param>
    /// <param name="isFurther">Whether it is one more instance of the node: those who dial the node reach its instances in turn, as through a load balancer.</param>
    /// <exception cref="InvalidOperationException">The node is registered.</exception>
    public IDisposable Register(NodeName node, IPeerAcceptor acceptor, bool isFurther = false)
    {
        var registration = new Registration(this, node, acceptor);
        lock (_gate)
        {
            if (_nodes.TryAdd(node, [registration])) return registration;
            if (!isFurther) throw new InvalidOperationException($"{node} is on the network already.");
            _nodes[node].Add(registration);
        }

        return registration;
    }

    /// <summary>The network as one node sees it.</summary>
    public IPeerTransport For(NodeName node) => new Dialler(this, node);

    /// <summary>Breaks the open connections between two nodes, and refuses new ones until <see cref="Heal"/>.</summary>
    public void Cut(NodeName a, NodeName b)
    {
        lock (_gate) _cutLinks.Add(Pair(a, b));
        BreakWhere(link => link.IsBetween(a, b));
    }

    /// <summary>Lets two nodes reach each other again; they have to dial.</summary>
    public void Heal(NodeName a, NodeName b)
    {
        lock (_gate) _cutLinks.Remove(Pair(a, b));
    }

    /// <summary>Lets all nodes reach each other again.</summary>
    public void HealAll()
    {
        lock (_gate) _cutLinks.Clear();
    }

    /// <summary>The pairs of nodes that can't reach each other.</summary>
    public IReadOnlyList<(NodeName A, NodeName B)> CutLinks
    {
        get
        {
            lock (_gate) return [.. _cutLinks.Order()];
        }
    }

    private static (NodeName, NodeName) Pair(NodeName a, NodeName b) => a < b ? (a, b) : (b, a);

    private InMemoryPeerConnection Connect(NodeName from, PeerAddress peer)
    {
        Registration target;
        InMemoryLink link;
        lock (_gate)
        {
            if (_cutLinks.Contains(Pair(from, peer.Name))) throw Unreachable(peer, $"the link from {from} is cut");
            if (!_nodes.TryGetValue(peer.Name, out var instances)) throw Unreachable(peer, "no such node is on the network");
            target = instances[0];
            instances.RemoveAt(0);
            instances.Add(target);
            link = new InMemoryLink(from, peer.Name, scheduler, faults, Forget);
            _links.Add(link);
        }

        _ = AcceptAsync(target, link);
        return link.Dialler;
    }

    private async Task AcceptAsync(Registration target, InMemoryLink link)
    {
        // The acceptor runs on its own: nothing that it does on arrival happens inside the dialler's call.
        await Task.Yield();
        try
        {
            await target.Acceptor.AcceptAsync(link.Acceptor, PresentedCredential.InProcess, target.Stopped);
            await link.Acceptor.DisposeAsync();
        }
        catch (Exception e)
        {
            if (!link.IsBroken && !target.Stopped.IsCancellationRequested)
            {
                lock (_gate) _acceptorFaults.Add(e);
            }

            link.Break();
        }
    }

    private void BreakWhere(Func<InMemoryLink, bool> isMeant)
    {
        InMemoryLink[] broken;
        lock (_gate) broken = [.. _links.Where(isMeant)];

        // Outside the lock: what waits on a broken link may run at once and come back to the network.
        foreach (var link in broken) link.Break();
    }

    private void Forget(InMemoryLink link)
    {
        lock (_gate) _links.Remove(link);
    }

    private static ReplicationException Unreachable(PeerAddress peer, string reason) =>
        new(ReplicationErrorKind.Transient, $"Peer {peer.Name} can't be reached: {reason}.");

    private sealed class Dialler(InMemoryNetwork network, NodeName node) : IPeerTransport
    {
        public ValueTask<IPeerConnection> ConnectAsync(PeerAddress peer, CancellationToken cancellationToken)
        {
            cancellationToken.ThrowIfCancellationRequested();
            return new(network.Connect(node, peer));
        }
    }

    private sealed class Registration(InMemoryNetwork network, NodeName node, IPeerAcceptor acceptor) : IDisposable
    {
        private readonly CancellationTokenSource _stop = new();

        public IPeerAcceptor Acceptor => acceptor;

        public CancellationToken Stopped => _stop.Token;

        public void Dispose()
        {
            lock (network._gate)
            {
                if (!network._nodes.TryGetValue(node, out var instances) || !instances.Remove(this)) return;
                if (instances.Count == 0) network._nodes.Remove(node);
            }

            _stop.Cancel();
            network.BreakWhere(link => link.Touches(node));
        }
    }
}
