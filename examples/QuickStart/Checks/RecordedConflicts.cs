using QuickStart.Cluster;
using QuickStart.Writes;

namespace QuickStart.Checks;

/// <summary>The conflict histories of all nodes.</summary>
internal sealed class RecordedConflicts
{
    private readonly HashSet<(string Table, string Key, string Origin, DateTime Stamp)> _versions = [];

    /// <summary>Entries over all nodes. A conflict is recorded once on each node that met it.</summary>
    public long Count { get; private set; }

    public static async Task<RecordedConflicts> ReadAsync(BankCluster cluster, CancellationToken cancellationToken)
    {
        var conflicts = new RecordedConflicts();
        foreach (var node in cluster.Nodes) await conflicts.AddAsync(node, cancellationToken);
        return conflicts;
    }

    /// <summary>Whether some node's history names a write, as the winner or as the loser.</summary>
    public bool Contains(BankTable table, string key, string origin, DateTime stamp) => _versions.Contains((NameOf(table), key, origin, stamp));

    /// <summary>Adds one side of an entry.</summary>
    public void Add(string table, string key, string origin, DateTime stamp) => _versions.Add((table, key, origin, stamp));

    private async Task AddAsync(BankNode node, CancellationToken cancellationToken)
    {
        await using var command = node.History.CreateCommand(
            "SELECT table_name, coalesce(key->>0, ''), local_origin, local_stamp, remote_origin, remote_stamp FROM active_active.conflict");
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        while (await reader.ReadAsync(cancellationToken))
        {
            Count++;
            for (var side = 2; side <= 4; side += 2)
            {
                if (!reader.IsDBNull(side) && !reader.IsDBNull(side + 1)) Add(reader.GetString(0), reader.GetString(1), reader.GetString(side), reader.GetDateTime(side + 1));
            }
        }
    }

    private static string NameOf(BankTable table) => table switch
    {
        BankTable.Accounts => "public.accounts",
        BankTable.Profiles => "public.profiles",
        BankTable.Documents => "public.documents",
        _ => "public.messages",
    };
}
