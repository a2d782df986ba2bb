using ActiveActive.Database;
using Microsoft.Extensions.Logging;

namespace ActiveActive.Hosting;

/// <summary>
/// The unique keys of this node's tables, read now and then, and those that peers have told of theirs. Which rows are visible depends on them
/// (convergence R6), so that rows can differ where the keys do. A difference refuses nobody: an index is made node by node.
/// </summary>
internal sealed partial class UniqueKeyWatch(NodeName self, ILocalDatabase database, ILogger logger)
{
    private static readonly TimeSpan s_interval = TimeSpan.FromSeconds(10);

    private readonly Lock _lock = new();
    private readonly Dictionary<NodeName, IReadOnlyList<UniqueKey>> _peers = [];
    private readonly Dictionary<NodeName, string> _told = [];
    private volatile IReadOnlyList<UniqueKey> _own = [];

    /// <summary>This node's keys; another list once they are others.</summary>
    public IReadOnlyList<UniqueKey> Own => _own;

    public async Task RunAsync(TimeProvider timeProvider, CancellationToken cancellationToken)
    {
        using var timer = new PeriodicTimer(s_interval, timeProvider);
        while (await timer.WaitForNextTickAsync(cancellationToken)) await ReadAsync(cancellationToken);
    }

    public async ValueTask ReadAsync(CancellationToken cancellationToken)
    {
        var read = await database.ReadUniqueKeysAsync(cancellationToken);
        if (_own.SequenceEqual(read)) return;
        _own = read;
        NodeName[] peers;
        lock (_lock) peers = [.. _peers.Keys];
        foreach (var peer in peers) Tell(peer);
    }

    /// <summary>What a peer has told; it stands until it tells anew.</summary>
    public void Set(NodeName peer, IReadOnlyList<UniqueKey> keys)
    {
        lock (_lock) _peers[peer] = keys;
        Tell(peer);
    }

    public IReadOnlyList<string> DifferencesWith(NodeName peer)
    {
        lock (_lock) return _peers.TryGetValue(peer, out var theirs) ? UniqueKey.Differences(self, _own, peer, theirs) : [];
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
