using QuickStart.Cluster;
using QuickStart.Writes;

namespace QuickStart.Checks;

/// <summary>What the tables of one node hold, by what tells writes apart.</summary>
internal sealed class BankState(string node)
{
    public string Node { get; } = node;

    public Dictionary<string, long> Balances { get; } = [];

    public Dictionary<string, string[]> Tags { get; } = [];

    /// <summary>Per table and key, the last edit.</summary>
    public Dictionary<(BankTable, string), string> Edits { get; } = [];

    public static async Task<BankState> ReadAsync(BankNode node, CancellationToken cancellationToken)
    {
        var state = new BankState(node.Name);
        await ReadAsync<long>(node, "SELECT id::text, balance FROM accounts", state.Balances.Add, cancellationToken);
        await ReadAsync<string[]>(node, "SELECT id::text, tags FROM documents", state.Tags.Add, cancellationToken);
        await ReadAsync<string>(node, "SELECT id::text, edit FROM profiles", (key, edit) => state.Edits.Add((BankTable.Profiles, key), edit), cancellationToken);
        await ReadAsync<string>(node, "SELECT id::text, edit FROM messages", (key, edit) => state.Edits.Add((BankTable.Messages, key), edit), cancellationToken);
        return state;
    }

    private static async Task ReadAsync<T>(BankNode node, string sql, Action<string, T> add, CancellationToken cancellationToken)
    {
        await using var command = node.App.CreateCommand(sql);
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        while (await reader.ReadAsync(cancellationToken)) add(reader.GetString(0), reader.GetFieldValue<T>(1));
    }
}
