using ActiveActive;
using QuickStart.Bank;

namespace QuickStart.Progress;

/// <summary>What the hosts said of themselves at one moment.</summary>
internal sealed record ClusterSnapshot(IReadOnlyList<string> Names, IReadOnlyList<HostStatus?> Statuses)
{
    /// <summary>Conflicts recorded by the hosts since they started.</summary>
    public long Conflicts => Statuses.Sum(s => s?.Conflicts ?? 0);

    /// <summary>Transactions applied by the hosts since they started.</summary>
    public long Applied => Statuses.Sum(s => s?.Peers.Sum(p => p.AppliedTransactions) ?? 0);

    /// <summary>Each pair of nodes, by sender and receiver.</summary>
    public IEnumerable<PairStatus> Pairs()
    {
        for (var to = 0; to < Statuses.Count; to++)
        {
            for (var from = 0; from < Statuses.Count; from++)
            {
                if (from != to) yield return PairOf(from, to);
            }
        }
    }

    /// <summary>What the hosts report as wrong, one line each; empty where all is well.</summary>
    public string Troubles()
    {
        var lines = new List<string>();
        for (var i = 0; i < Statuses.Count; i++)
        {
            if (Statuses[i] is not { } status) lines.Add($"Host '{Names[i]}' does not answer.");
            else if (status.State != NodeState.Running) lines.Add($"Node '{Names[i]}' is {status.State}. {status.Message}");
        }

        lines.AddRange(Pairs().Where(p => p.Message is not null).Select(p => $"{p.From} → {p.To}: {p.Message}"));
        return string.Join('\n', lines);
    }

    private PairStatus PairOf(int from, int to)
    {
        if (Statuses[to]?.Peers.FirstOrDefault(p => p.Peer == Names[from]) is not { } peer) return new PairStatus(Names[from], Names[to], null, 0, 0, null, null);
        // What the sender has published and the receiver not yet applied; unknown while a host is away or has only just come back.
        var lagBytes = Statuses[from] is { } sender && peer.AppliedPosition > 0 ? Math.Max(0, (long)sender.PublishedPosition - (long)peer.AppliedPosition) : (long?)null;
        return new PairStatus(Names[from], Names[to], lagBytes, peer.LagSeconds, peer.AppliedTransactions, peer.Receiving, peer.Message);
    }
}

/// <summary>One direction between two nodes; what is null is not known because a host is away.</summary>
internal sealed record PairStatus(string From, string To, long? LagBytes, double LagSeconds, long AppliedTransactions, PeerLinkState? Receiving, string? Message);
