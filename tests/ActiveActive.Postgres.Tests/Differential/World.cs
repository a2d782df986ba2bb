using System.Globalization;

namespace ActiveActive.Postgres.Tests.Differential;

/// <summary>Where a history runs: three nodes of the real engine, over servers or in memory. Nothing is received until it is handed over.</summary>
internal abstract class World : IAsyncDisposable
{
    /// <summary>Which transaction of the history a version names: its number by origin and what tells it there.</summary>
    protected Dictionary<(string Origin, long Place), int> Writers { get; } = [];

    /// <summary>Runs the round, and returns what each node then holds.</summary>
    public async Task<string[]> RunAsync(DrawnRound round)
    {
        await PauseAllAsync();
        foreach (var transaction in round.Transactions)
        {
            if (await CommitAsync(transaction) is { } place) Writers[(NameOf(transaction.Node), place)] = transaction.Number;
        }

        await EndWritesAsync();
        foreach (var (to, from) in round.HandOver) await HandOverAsync(to, from);
        var states = new string[DrawnHistory.Nodes];
        for (var node = 0; node < states.Length; node++) states[node] = await RowsAsync(node);
        return states;
    }

    /// <summary>The conflict records of a node, as lines that name transactions by number.</summary>
    public async Task<string> ConflictsAsync(int node)
    {
        var lines = new List<string>();
        await foreach (var record in NodeOf(node).Conflicts.QueryAsync(new ConflictQuery { Limit = 100_000 }, TestContext.Current.CancellationToken))
        {
            lines.Add(string.Create(CultureInfo.InvariantCulture,
                $"{record.Table.Name}/{string.Join(',', record.Key)} {record.Type} {record.Outcome}: {WriterOf(record.RemoteVersion)} against {(record.LocalVersion is { } local ? WriterOf(local) : "nothing")}, {record.Winner} by {record.Resolver}, {record.Reason}"));
        }

        lines.Sort(StringComparer.Ordinal);
        return string.Join('\n', lines);
    }

    public abstract ValueTask DisposeAsync();

    protected abstract ReplicationNode NodeOf(int node);

    /// <summary>What tells a version of a node's own transaction from another.</summary>
    protected abstract long PlaceOf(RowVersion version);

    /// <summary>Commits a transaction; null where it changed nothing.</summary>
    protected abstract Task<long?> CommitAsync(DrawnTransaction transaction);

    /// <summary>Called when the round's transactions are committed.</summary>
    protected abstract Task EndWritesAsync();

    /// <summary>Waits until a node has applied all that another committed.</summary>
    protected abstract Task AppliedAsync(int to, int from);

    protected abstract Task UntilAsync(string what, Func<bool> condition);

    /// <summary>All rows of all tables of a node as one text.</summary>
    protected abstract Task<string> RowsAsync(int node);

    protected static string NameOf(int node) => ((char)('a' + node)).ToString();

    private async Task PauseAllAsync()
    {
        foreach (var to in Enumerable.Range(0, DrawnHistory.Nodes))
        {
            foreach (var peer in NodeOf(to).Status.Peers) NodeOf(to).PausePeer(peer.Peer);
        }

        await UntilAsync("all nodes have paused", () => Enumerable.Range(0, DrawnHistory.Nodes).All(to => NodeOf(to).Status.Peers.All(p => p.Receiving == PeerLinkState.Paused)));
    }

    private async Task HandOverAsync(int to, int from)
    {
        NodeOf(to).ResumePeer(new NodeName(NameOf(from)));
        await AppliedAsync(to, from);
    }

    private string WriterOf(RowVersion version) => Writers.TryGetValue((version.Origin.Value, PlaceOf(version)), out var number) ? $"{version.Origin}{number}" : $"{version.Origin} ?";
}
