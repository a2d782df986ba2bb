using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace ActiveActive.Testing;

/// <summary>What the nodes of an <see cref="InMemoryCluster"/> have in common.</summary>
public sealed class InMemoryClusterOptions
{
    internal InMemoryClusterOptions()
    {
    }

    internal List<TableDefinition> Tables { get; } = [];

    internal List<Action<ReplicationNodeBuilder>> Configurations { get; } = [];

    /// <summary>Where the nodes log to.</summary>
    internal ILoggerFactory Loggers { get; set; } = NullLoggerFactory.Instance;

    /// <summary>
    /// How long the cluster's methods wait before they fail, in the cluster's own time, which costs next to none of the test's.
    /// Default: 1 minute.
    /// </summary>
    public TimeSpan Timeout { get; set; } = TimeSpan.FromMinutes(1);

    /// <summary>Adds a table whose primary key is its first column, for example <c>Table("profiles", "id integer", "tags text[]")</c>.</summary>
    public InMemoryClusterOptions Table(string name, params string[] columns) => Table(new TableDefinition(name, columns));

    /// <summary>Adds a table.</summary>
    public InMemoryClusterOptions Table(TableDefinition table)
    {
        ArgumentNullException.ThrowIfNull(table);
        Tables.Add(table);
        return this;
    }

    /// <summary>
    /// Configures each node, as the delegate of <c>AddActiveActive</c> does: table rules, delta columns, resolvers, any option. Names, peers and
    /// database are the cluster's, and every table replicates. Called once for each node.
    /// </summary>
    public InMemoryClusterOptions Node(Action<ReplicationNodeBuilder> configure)
    {
        ArgumentNullException.ThrowIfNull(configure);
        Configurations.Add(configure);
        return this;
    }
}
