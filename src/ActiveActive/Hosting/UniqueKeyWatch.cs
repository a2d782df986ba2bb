using ActiveActive.Database;
using ActiveActive.Routes;
using ActiveActive.Transport;
using Microsoft.Extensions.Logging;

namespace ActiveActive.Hosting;

/// <summary>
/// The unique keys of this node's tables, read now and then, and those that peers have told of theirs. Which rows are visible depends on them
/// (convergence R6), so that rows can differ where the keys do. A difference refuses nobody: an index is made node by node.
/// </summary>
internal sealed partial class UniqueKeyWatch(NodeName self, TableRoutes routes, ILocalDatabase database, ILogger logger)
{
    private static readonly TimeSpan s_interval = TimeSpan.FromSeconds(10);

    private readonly Lock _lock = new();
    private readonly Dictionary<NodeName, IReadOnlyList<UniqueKey>> _peers = [];
    private readonly Dictionary<NodeName, string> _told = [];
    private volatile IReadOnlyList<UniqueKey> _own = [];

    /// <summary>This node's keys; another list once they are others.</summary>
    public IReadOnlyList<UniqueKey> Own => _own;

    /// <param name="timeProvider">The clock.</param>
    /// <param name="changed">Told when this node's keys are others.</param>
    /// <param name="cancellationToken">Ends the loop.</param>
    public async Task RunAsync(TimeProvider timeProvider, Action changed, CancellationToken cancellationToken)
    {
        using var timer = new PeriodicTimer(s_interval, timeProvider);
        while (await timer.WaitForNextTickAsync(cancellationToken))
        {
            if (await ReadAsync(cancellationToken)) changed();
        }
    }

    /// <summary>Returns whether they are others than before.</summary>
    public async ValueTask<bool> ReadAsync(CancellationToken cancellationToken)
    {
        var read = await database.ReadUniqueKeysAsync(cancellationToken);
        if (_own.SequenceEqual(read)) return false;
        _own = read;
        NodeName[] peers;
        lock (_lock) peers = [.. _peers.Keys];
        foreach (var peer in peers) Tell(peer);
        return true;
    }

    /// <summary>What a peer has told; it stands until it tells anew.</summary>
    public void Set(NodeName peer, IReadOnlyList<UniqueKey> keys)
    {
        lock (_lock) _peers[peer] = keys;
        Tell(peer);
    }

    public IReadOnlyList<string> DifferencesWith(NodeName peer)
    {
        // A peer tells so many of its own, which are in the same order.
        IReadOnlyList<UniqueKey> own = [.. _own.Where(k => routes.Holds(peer, k.Table)).Take(FrameLimits.MaxUniqueKeys)];
        lock (_lock) return _peers.TryGetValue(peer, out var theirs) ? UniqueKey.Differences(self, own, peer, theirs) : [];
    }

    private void Tell(NodeName peer)
    {
        var differences = string.Join("; ", DifferencesWith(peer));
        lock (_lock)
        {
            if (_told.GetValueOrDefault(peer, "") == differences) return;
            _told[peer] = differences;
        }

        if (differences.Length > 0) LogDifferent(self, peer, differences);
    }

    [LoggerMessage(EventId = 3029, Level = LogLevel.Warning, Message = "AA3029: unique keys of nodes '{Node}' and '{Peer}' differ, so that rows may: {Differences}. Make them equal on every node")]
    private partial void LogDifferent(NodeName node, NodeName peer, string differences);
}
