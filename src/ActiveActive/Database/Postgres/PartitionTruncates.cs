using ActiveActive.Changes;
using Npgsql;
using NpgsqlTypes;

namespace ActiveActive.Database.Postgres;

/// <summary>
/// The log names the leaves that a TRUNCATE emptied and never the partitioned table. Where they are all the leaves that there are, the
/// table as a whole was truncated, and peers whose partitions differ can follow.
/// </summary>
internal sealed class PartitionTruncates(NpgsqlDataSource dataSource)
{
    private const string LeavesSql = """
        SELECT n.nspname, c.relname
        FROM pg_catalog.pg_partition_tree(to_regclass($1)) t
        JOIN pg_catalog.pg_class c ON c.oid = t.relid
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE t.isleaf
        """;

    public static bool IsNeeded(CapturedTransaction transaction) =>
        transaction.Changes.Any(static c => c.Kind == ChangeKind.Truncate && c.Relation.Name != c.Relation.Root);

    /// <summary>
    /// The transaction with one TRUNCATE of the root in place of those of all its leaves. A leaf that has come since makes it stay as it
    /// is, which is the narrower reading.
    /// </summary>
    public async ValueTask<CapturedTransaction> GatherAsync(CapturedTransaction transaction, CancellationToken cancellationToken)
    {
        var changes = transaction.Changes.ToList();
        foreach (var root in changes.Where(c => c.Kind == ChangeKind.Truncate).Select(c => c.Relation.Root).Distinct().ToList())
        {
            var truncated = changes.Where(c => c.Kind == ChangeKind.Truncate && c.Relation.Root == root && c.Relation.Name != root).ToList();
            if (truncated.Count == 0) continue;
            var leaves = await ReadLeavesAsync(root, cancellationToken);
            if (leaves.Count == 0 || !leaves.IsSubsetOf(truncated.Select(c => c.Relation.Name))) continue;
            var first = truncated[0];
            changes[changes.IndexOf(first)] = Change.Truncate(new Relation(root, root, first.Relation.Columns));
            changes.RemoveAll(truncated.Contains);
        }

        return transaction with { Changes = changes };
    }

    private async ValueTask<HashSet<TableName>> ReadLeavesAsync(TableName root, CancellationToken cancellationToken)
    {
        await using var command = dataSource.CreateCommand(LeavesSql);
        command.Parameters.Add(new NpgsqlParameter { Value = PostgresNames.Quote(root), NpgsqlDbType = NpgsqlDbType.Text });
        var leaves = new HashSet<TableName>();
        await using var rows = await command.ExecuteReaderAsync(cancellationToken);
        while (await rows.ReadAsync(cancellationToken)) leaves.Add(new TableName(rows.GetString(0), rows.GetString(1)));
        return leaves;
    }
}
