using System.Globalization;
using QuickStart.Cluster;
using QuickStart.Writes;

namespace QuickStart.Checks;

/// <summary>Asks each database for the commit timestamps of its transactions, and for the outcome of those whose answer got lost.</summary>
internal static class CommitLookup
{
    private const int PerQuery = 10_000;
    private static readonly TimeSpan s_pollInterval = TimeSpan.FromMilliseconds(100);

    /// <summary>Completes the writes and returns those that are committed.</summary>
    public static async Task<IReadOnlyList<LoggedWrite>> RunAsync(BankCluster cluster, IReadOnlyList<LoggedWrite> writes, CancellationToken cancellationToken)
    {
        foreach (var chunk in writes.GroupBy(w => w.Node).SelectMany(ofNode => ofNode.Chunk(PerQuery)))
        {
            // A session whose client is gone may still be committing.
            while (!await CompleteAsync(cluster.Nodes[chunk[0].Node], chunk, cancellationToken)) await Task.Delay(s_pollInterval, cancellationToken);
        }

        return [.. writes.Where(w => w.Outcome == WriteOutcome.Acknowledged)];
    }

    private static async Task<bool> CompleteAsync(BankNode node, LoggedWrite[] writes, CancellationToken cancellationToken)
    {
        const string sql = """
            SELECT pg_xact_status(x), CASE WHEN pg_xact_status(x) = 'committed' THEN pg_xact_commit_timestamp(x::xid) END
            FROM unnest($1::text[]::xid8[]) WITH ORDINALITY AS u (x, place) ORDER BY place
            """;
        await using var command = node.App.CreateCommand(sql);
        command.Parameters.Add(new() { Value = writes.Select(w => w.Xid.ToString(CultureInfo.InvariantCulture)).ToArray() });
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        foreach (var write in writes)
        {
            await reader.ReadAsync(cancellationToken);
            var status = reader.IsDBNull(0) ? "forgotten" : reader.GetString(0);
            if (status == "in progress") return false;
            if (status == "committed" && !reader.IsDBNull(1))
            {
                write.Outcome = WriteOutcome.Acknowledged;
                write.Stamp = reader.GetDateTime(1);
            }
            else if (write.Outcome == WriteOutcome.Unknown && status == "aborted")
            {
                write.Outcome = WriteOutcome.RolledBack;
            }
            else
            {
                throw new QuickStartException($"Node '{node.Name}' says that transaction {write.Xid}, known here as {write.Outcome}, is {status}: it can't be checked.");
            }
        }

        return true;
    }
}
