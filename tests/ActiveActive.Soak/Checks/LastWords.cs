using System.Diagnostics;
using ActiveActive.Soak.Cluster;

namespace ActiveActive.Soak.Checks;

/// <summary>
/// Waits until every node has applied what every other one has committed: each writes a last word, and since a stream keeps its order, whoever has
/// a node's last word has all that it wrote before.
/// </summary>
internal static class LastWords
{
    private static readonly TimeSpan s_standstill = TimeSpan.FromSeconds(120);
    private static readonly TimeSpan s_pollInterval = TimeSpan.FromMilliseconds(100);

    /// <exception cref="SoakException">Nothing was applied anywhere for two minutes, though something is missing.</exception>
    public static async Task ArriveAsync(SoakCluster cluster, int round, CancellationToken cancellationToken)
    {
        foreach (var node in cluster.Nodes)
        {
            await using var command = node.App.CreateCommand("INSERT INTO last_words VALUES ($1, $2) ON CONFLICT (node) DO UPDATE SET round = excluded.round");
            command.Parameters.Add(new() { Value = node.Name });
            command.Parameters.Add(new() { Value = round });
            await command.ExecuteNonQueryAsync(cancellationToken);
        }

        var sinceProgress = Stopwatch.StartNew();
        var applied = -1L;
        while (true)
        {
            var missing = await FindMissingAsync(cluster, round, cancellationToken);
            if (missing.Count == 0) return;
            var snapshot = await cluster.ReadStatusAsync(cancellationToken);
            if (snapshot.Applied != applied)
            {
                applied = snapshot.Applied;
                sinceProgress.Restart();
            }
            else if (sinceProgress.Elapsed > s_standstill)
            {
                throw new SoakException($"Nothing was applied for {s_standstill.TotalSeconds} s, but not everything has arrived: {string.Join("; ", missing)}.\n{snapshot.Troubles()}\n{cluster.DescribeHosts()}");
            }

            await Task.Delay(s_pollInterval, cancellationToken);
        }
    }

    private static async Task<List<string>> FindMissingAsync(SoakCluster cluster, int round, CancellationToken cancellationToken)
    {
        var missing = new List<string>();
        foreach (var node in cluster.Nodes)
        {
            await using var command = node.App.CreateCommand("SELECT coalesce(array_agg(node), '{}') FROM last_words WHERE round = $1");
            command.Parameters.Add(new() { Value = round });
            var heard = (string[])(await command.ExecuteScalarAsync(cancellationToken))!;
            missing.AddRange(cluster.Nodes.Where(n => !heard.Contains(n.Name)).Select(n => $"node '{node.Name}' lacks something of '{n.Name}'"));
        }

        return missing;
    }
}
