using System.Globalization;
using Npgsql;

namespace ActiveActive.Database.Postgres;

/// <summary>
/// Which node a commit's replication origin (<c>roident</c>) stands for. No origin, or an origin of another tool or database, is the
/// local node: to the cluster such a row was written here.
/// </summary>
internal sealed class OriginNodes(NodeName local, uint databaseOid)
{
    private Dictionary<string, NodeName> _nodes = new(StringComparer.Ordinal);

    /// <summary>False where the identifier was created after the last <see cref="LoadAsync"/>.</summary>
    public bool TryGet(string? identifier, out NodeName node)
    {
        if (identifier is null or "0")
        {
            node = local;
            return true;
        }

        return _nodes.TryGetValue(identifier, out node);
    }

    /// <summary>What rows that were applied from a node show.</summary>
    public string IdentifierOf(NodeName node) => _nodes.First(n => n.Value == node).Key;

    /// <summary>The node after a fresh <see cref="LoadAsync"/>: an origin that has been dropped since is nobody else's.</summary>
    public NodeName Get(string? identifier) => TryGet(identifier, out var node) ? node : local;

    /// <summary>Identifiers and nodes of this database's origins, for statements that judge rows in the server.</summary>
    public (long[] Identifiers, string[] Nodes) ToArrays() =>
        ([.. _nodes.Keys.Select(k => long.Parse(k, CultureInfo.InvariantCulture))], [.. _nodes.Values.Select(n => n.Value)]);

    public async ValueTask LoadAsync(NpgsqlConnection connection, CancellationToken cancellationToken)
    {
        var nodes = new Dictionary<string, NodeName>(StringComparer.Ordinal);
        await using var command = new NpgsqlCommand("SELECT roident::text, roname FROM pg_catalog.pg_replication_origin", connection);
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        while (await reader.ReadAsync(cancellationToken))
        {
            var node = PostgresNames.NodeOf(databaseOid, reader.GetString(1));
            nodes[reader.GetString(0)] = node.IsNone ? local : node;
        }

        _nodes = nodes;
    }
}
