using System.Globalization;
using ActiveActive.Testing;

namespace ActiveActive.Postgres.Tests.Differential;

/// <summary>Nodes in memory, all paused but for hand-overs.</summary>
internal sealed class MemoryTwin : ITwin, IAsyncDisposable
{
    private readonly InMemoryCluster _cluster;

    private MemoryTwin(InMemoryCluster cluster) => _cluster = cluster;

    public static async Task<MemoryTwin> StartAsync()
    {
        var cluster = await InMemoryCluster.StartAsync(TwinHistory.Nodes, options => options
            .Table("written", "id text")
            .Table(new TableDefinition("note", "id integer", "body text", "paper text") { LargeColumns = ["paper"] })
            .Table(new TableDefinition("account", "id integer", "owner text", "balance bigint", "paper text") { LargeColumns = ["paper"] })
            .Table(new TableDefinition("profile", "id integer", "tags text[]", "paper text") { LargeColumns = ["paper"] })
            .Node(TwinChanges.Configure));
        foreach (var node in cluster.Nodes)
        {
            foreach (var peer in cluster.Nodes.Where(n => n != node)) await node.Replication.PausePeerAsync(peer.Name);
        }

        await cluster.UntilAsync("all peers are paused", () => cluster.Nodes.All(n => n.Replication.Status.Peers.All(p => p.Receiving == PeerLinkState.Paused)));
        return new MemoryTwin(cluster);
    }

    public async Task<IReadOnlyList<bool>> WriteAsync(TwinWrite write, TwinVersions versions)
    {
        var node = _cluster[write.Node];
        var found = await node.TransactAsync(async transaction =>
        {
            var results = new List<bool>();
            foreach (var change in write.Changes) results.Add(await ApplyAsync(transaction, change));
            await transaction.InsertAsync("written", ("id", write.Id));
            return results;
        });
        var written = node.Database.Table("written");
        versions.Add(write.Node, node.Database.ReadVersions(written).Single(v => v.Key.Values[0] == write.Id).Version.Stamp, write.Id);
        return found;
    }

    public async Task HandOverAsync(TwinHandOver handOver)
    {
        var (from, to) = (_cluster[handOver.From], _cluster[handOver.To]);
        await to.Replication.ResumePeerAsync(from.Name);
        await _cluster.UntilAsync(handOver.ToString(), () => to.Read("written", handOver.Last) is not null);
        await to.Replication.PausePeerAsync(from.Name);
        await _cluster.UntilAsync($"{to.Name} has paused {from.Name}", () => to.StatusOf(from).Receiving == PeerLinkState.Paused);
    }

    public Task<IReadOnlyList<string>> ReadRowsAsync(int node) => Task.FromResult<IReadOnlyList<string>>(
        [.. TwinChanges.Columns.SelectMany(table => _cluster[node].ReadAll(table.Key).Select(row => TwinOutcome.RowText(table.Key, table.Value.Select(c => row[c])))).Order(StringComparer.Ordinal)]);

    public Task<IReadOnlyList<ConflictRecord>> ReadConflictsAsync(int node) => Task.FromResult(_cluster[node].Conflicts);

    public ValueTask DisposeAsync() => _cluster.DisposeAsync();

    private static async Task<bool> ApplyAsync(LocalTransaction transaction, TwinChange change)
    {
        var key = change.Key.ToString(CultureInfo.InvariantCulture);
        switch (change.Kind)
        {
            case TwinChangeKind.Insert:
                return await transaction.InsertAsync(change.Table, Row.Of([.. change.Values.Select(v => (v.Column, (string?)v.Text))]));
            case TwinChangeKind.Update:
                if (await transaction.ReadForUpdateAsync(change.Table, key) is not { } row) return false;
                List<(string, string?)> values = [.. change.Values.Select(v => (v.Column, (string?)v.Text))];
                if (change.Add != 0) values.Add(("balance", (row.Get<long>("balance")!.Value + change.Add).ToString(CultureInfo.InvariantCulture)));
                return await transaction.UpdateAsync(change.Table, [key], Row.Of([.. values]));
            case TwinChangeKind.ChangeKey:
                var newKey = change.NewKey.ToString(CultureInfo.InvariantCulture);
                return transaction.Read(change.Table, newKey) is null && await transaction.UpdateAsync(change.Table, [key], Row.Of(("id", newKey)));
            case TwinChangeKind.Delete:
                return await transaction.DeleteAsync(change.Table, key);
            default:
                await transaction.TruncateAsync(change.Table);
                return true;
        }
    }
}
