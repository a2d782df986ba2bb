using Npgsql;
using QuickStart.Cluster;

namespace QuickStart.Checks;

/// <summary>Compares every replicated table, row by row as text, over all nodes.</summary>
internal static class TableComparison
{
    private const int RowsShown = 5;

    /// <summary>What differs, one line each; empty where all nodes are identical.</summary>
    public static async Task<IReadOnlyList<string>> FindDifferencesAsync(BankCluster cluster, CancellationToken cancellationToken)
    {
        var differences = new List<string>();
        var published = new List<(BankNode Node, string[] Tables)>();
        foreach (var node in cluster.Nodes) published.Add((node, await ReadTablesAsync(node, cancellationToken)));
        foreach (var table in published.SelectMany(p => p.Tables).Distinct().Order())
        {
            differences.AddRange(published.Where(p => !p.Tables.Contains(table)).Select(p => $"{table} is not replicated on {p.Node.Name}."));
        }

        if (differences.Count > 0) return differences;
        foreach (var table in published[0].Tables)
        {
            var hashes = new List<string>();
            foreach (var node in cluster.Nodes) hashes.Add(await HashAsync(node, table, cancellationToken));
            for (var i = 1; i < hashes.Count; i++)
            {
                if (hashes[i] != hashes[0]) await AddDifferingRowsAsync(differences, table, cluster.Nodes[0], cluster.Nodes[i], cancellationToken);
            }
        }

        return differences;
    }

    private static async Task AddDifferingRowsAsync(List<string> differences, string table, BankNode left, BankNode right, CancellationToken cancellationToken)
    {
        var (leftRows, rightRows) = (await RowsAsync(left, table, cancellationToken), await RowsAsync(right, table, cancellationToken));
        foreach (var (node, rows) in new[] { (left, leftRows.Except(rightRows)), (right, rightRows.Except(leftRows)) })
        {
            var only = rows.ToList();
            var more = only.Count > RowsShown ? $" and {only.Count - RowsShown} more" : "";
            differences.Add($"{table}, {left.Name} against {right.Name}: only on {node.Name}: {string.Join("  ", only.Take(RowsShown))}{more}");
        }
    }

    private static async Task<string[]> ReadTablesAsync(BankNode node, CancellationToken cancellationToken)
    {
        // The library's own replicated table belongs to its role.
        const string sql = "SELECT array_agg(format('%I.%I', schemaname, tablename) ORDER BY schemaname, tablename) FROM pg_publication_tables WHERE pubname = 'active_active' AND schemaname <> 'active_active'";
        await using var command = node.App.CreateCommand(sql);
        return await command.ExecuteScalarAsync(cancellationToken) as string[] ?? [];
    }

    private static async Task<string> HashAsync(BankNode node, string table, CancellationToken cancellationToken)
    {
        await using var command = node.App.CreateCommand($"SELECT count(*) || ' ' || coalesce(md5(string_agg(t::text, E'\\n' ORDER BY t::text COLLATE \"C\")), '') FROM {table} t");
        return (string)(await command.ExecuteScalarAsync(cancellationToken))!;
    }

    private static async Task<List<string>> RowsAsync(BankNode node, string table, CancellationToken cancellationToken)
    {
        await using NpgsqlCommand command = node.App.CreateCommand($"SELECT t::text FROM {table} t ORDER BY 1");
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        var rows = new List<string>();
        while (await reader.ReadAsync(cancellationToken)) rows.Add(reader.GetString(0));
        return rows;
    }
}
