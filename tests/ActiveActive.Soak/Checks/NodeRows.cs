using ActiveActive.Soak.Cluster;
using Npgsql;

namespace ActiveActive.Soak.Checks;

/// <summary>A row of the ledger, with the commit timestamp that this node's row shows.</summary>
internal sealed record LedgerEntry(Guid Id, string Node, string Kind, string Key, string? Content, long Amount, DateTime? Stamp);

/// <summary>What one node holds at a moment without writers.</summary>
internal sealed class NodeRows(string node)
{
    private static readonly string[] s_tables = ["accounts", "profiles", "documents", "handles", "bulk", "pages", "ledger"];

    public string Node => node;

    /// <summary>Count and hash of each table.</summary>
    public Dictionary<string, string> Digests { get; } = [];

    public List<LedgerEntry> Ledger { get; } = [];

    public Dictionary<string, long> Balances { get; } = [];

    public Dictionary<string, string[]> Tags { get; } = [];

    public Dictionary<string, string> Profiles { get; } = [];

    public Dictionary<string, string> Pages { get; } = [];

    /// <summary>Handle by id, of the visible rows.</summary>
    public Dictionary<string, int> Handles { get; } = [];

    /// <summary>Ids of the rows of <c>handles</c> that are out of sight.</summary>
    public HashSet<string> Hidden { get; } = [];

    /// <summary>Rows of each bulk insert.</summary>
    public Dictionary<string, long> Bulk { get; } = [];

    public static async Task<NodeRows> ReadAsync(SoakNode node, CancellationToken cancellationToken)
    {
        var rows = new NodeRows(node.Name);
        foreach (var table in s_tables)
        {
            await ReadAsync(node.App, $"SELECT count(*) || ' rows, ' || coalesce(md5(string_agg(t::text, E'\\n' ORDER BY t::text COLLATE \"C\")), '') FROM {table} t", r => rows.Digests[table] = r.GetString(0), cancellationToken);
        }

        await ReadAsync(node.App, "SELECT id, node, kind, key, content, amount, pg_xact_commit_timestamp(xmin) FROM ledger", r => rows.Ledger.Add(new LedgerEntry(
            r.GetGuid(0), r.GetString(1), r.GetString(2), r.GetString(3), r.IsDBNull(4) ? null : r.GetString(4), r.GetInt64(5), r.IsDBNull(6) ? null : r.GetDateTime(6))), cancellationToken);
        await ReadAsync(node.App, "SELECT id::text, balance FROM accounts", r => rows.Balances.Add(r.GetString(0), r.GetInt64(1)), cancellationToken);
        await ReadAsync(node.App, "SELECT id::text, tags FROM documents", r => rows.Tags.Add(r.GetString(0), r.GetFieldValue<string[]>(1)), cancellationToken);
        await ReadAsync(node.App, "SELECT id::text, edit FROM profiles", r => rows.Profiles.Add(r.GetString(0), r.GetString(1)), cancellationToken);
        await ReadAsync(node.App, "SELECT id::text, edit FROM pages", r => rows.Pages.Add(r.GetString(0), r.GetString(1)), cancellationToken);
        await ReadAsync(node.App, "SELECT id::text, handle FROM handles", r => rows.Handles.Add(r.GetString(0), r.GetInt32(1)), cancellationToken);
        await ReadAsync(node.App, "SELECT id::text, count(*) FROM bulk GROUP BY id", r => rows.Bulk.Add(r.GetString(0), r.GetInt64(1)), cancellationToken);
        await ReadAsync(node.Bank.History, "SELECT \"row\"->>'id' FROM active_active.unique_loser WHERE table_name = 'public.handles'", r => rows.Hidden.Add(r.GetString(0)), cancellationToken);
        return rows;
    }

    private static async Task ReadAsync(NpgsqlDataSource source, string sql, Action<NpgsqlDataReader> row, CancellationToken cancellationToken)
    {
        await using var command = source.CreateCommand(sql);
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        while (await reader.ReadAsync(cancellationToken)) row(reader);
    }
}
