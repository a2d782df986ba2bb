using ActiveActive.Postgres.Tests.Cluster;
using ActiveActive.Postgres.Tests.Stories;
using Npgsql;

namespace ActiveActive.Postgres.Tests.Differential;

/// <summary>Real nodes, all paused but for hand-overs. One cluster serves all histories, each of which has keys of its own and starts from empty tables.</summary>
public sealed class ServerTwin(ClusterServers servers) : ITwin, IAsyncLifetime
{
    private readonly long[] _recordedBefore = new long[TwinHistory.Nodes];

    private TestCluster Cluster { get; set; } = null!;

    public async ValueTask InitializeAsync() => Cluster = await TestCluster.StartAsync(await servers.GetAsync(18, 18, 18), TwinChanges.Schema, TwinChanges.Configure);

    public ValueTask DisposeAsync() => Cluster.DisposeAsync();

    internal async Task<IReadOnlyList<string>> RunAsync(TwinHistory history)
    {
        await Cluster.ResumeAllAsync();
        await Cluster[0].ExecuteAsync(string.Concat(TwinChanges.Columns.Keys.Append("written").Select(table => $"DELETE FROM {table};")));
        await Cluster.QuietAsync();
        await Cluster.PauseAllAsync();
        for (var node = 0; node < TwinHistory.Nodes; node++) _recordedBefore[node] = await Cluster[node].ScalarAsync<long>("SELECT coalesce(max(id), 0) FROM active_active.conflict");
        return await TwinOutcome.RunAsync(history, this);
    }

    async Task<IReadOnlyList<bool>> ITwin.WriteAsync(TwinWrite write, TwinVersions versions)
    {
        var node = Cluster[write.Node];
        var found = new List<bool>();
        await using var connection = await node.Sql.OpenConnectionAsync();
        await using (var transaction = await connection.BeginTransactionAsync())
        {
            foreach (var change in write.Changes)
            {
                await using var command = new NpgsqlCommand(Sql(change), connection);
                found.Add(await command.ExecuteNonQueryAsync() != 0);
            }

            await using var mark = new NpgsqlCommand($"INSERT INTO written VALUES ('{write.Id}')", connection);
            await mark.ExecuteNonQueryAsync();
            await transaction.CommitAsync();
        }

        var stamp = await node.ScalarAsync<DateTime>($"SELECT pg_xact_commit_timestamp(xmin) FROM written WHERE id = '{write.Id}'");
        versions.Add(write.Node, CommitTimestamp.From(stamp), write.Id);
        return found;
    }

    async Task ITwin.HandOverAsync(TwinHandOver handOver)
    {
        var (from, to) = (Cluster[handOver.From], Cluster[handOver.To]);
        await to.ResumeAsync(from);
        await Cluster.UntilAsync(handOver.ToString(), async () => await to.ScalarAsync<bool>($"SELECT EXISTS (SELECT FROM written WHERE id = '{handOver.Last}')"));
        await Cluster.PauseAsync(to, from);
    }

    async Task<IReadOnlyList<string>> ITwin.ReadRowsAsync(int node)
    {
        var rows = new List<string>();
        foreach (var (table, columns) in TwinChanges.Columns)
        {
            await using var command = Cluster[node].Sql.CreateCommand($"SELECT {string.Join(", ", columns.Select(c => $"{c}::text"))} FROM {table}");
            await using var reader = await command.ExecuteReaderAsync();
            while (await reader.ReadAsync()) rows.Add(TwinOutcome.RowText(table, Enumerable.Range(0, columns.Length).Select(i => reader.IsDBNull(i) ? null : reader.GetString(i))));
        }

        return [.. rows.Order(StringComparer.Ordinal)];
    }

    async Task<IReadOnlyList<ConflictRecord>> ITwin.ReadConflictsAsync(int node)
    {
        var records = new List<ConflictRecord>();
        await foreach (var record in Cluster[node].Node.Conflicts.QueryAsync(new ConflictQuery { Limit = 100_000 }))
        {
            if (record.Id <= _recordedBefore[node]) break;
            records.Add(record);
        }

        records.Reverse();
        return records;
    }

    private static string Sql(TwinChange change) => change.Kind switch
    {
        TwinChangeKind.Insert => $"INSERT INTO {change.Table} ({string.Join(", ", change.Values.Select(v => v.Column))}) VALUES ({string.Join(", ", change.Values.Select(v => $"'{v.Text}'"))}) ON CONFLICT (id) DO NOTHING",
        TwinChangeKind.Update => $"UPDATE {change.Table} SET {string.Join(", ", [.. change.Values.Select(v => $"{v.Column} = '{v.Text}'"), .. Added(change)])} WHERE id = {change.Key}",
        TwinChangeKind.ChangeKey => $"UPDATE {change.Table} SET id = {change.NewKey} WHERE id = {change.Key} AND NOT EXISTS (SELECT FROM {change.Table} WHERE id = {change.NewKey})",
        TwinChangeKind.Delete => $"DELETE FROM {change.Table} WHERE id = {change.Key}",
        _ => $"TRUNCATE {change.Table}",
    };

    private static string[] Added(TwinChange change) => change.Add == 0 ? [] : [$"balance = balance + ({change.Add})"];
}
