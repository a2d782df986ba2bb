using ActiveActive.Database;
using ActiveActive.Database.Postgres;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;
using Npgsql;

namespace ActiveActive.CommandLine;

/// <summary>The node that a verb is about: with the application's options where they are known, else by its database alone.</summary>
internal sealed class NodeTarget : IAsyncDisposable
{
    private readonly IHost? _host;

    private NodeTarget(string connectionString, ReplicationNode? node, IHost? host)
    {
        ConnectionString = connectionString;
        Node = node;
        _host = host;
    }

    public string ConnectionString { get; }

    /// <summary>Made of the application's options, and not started. Null where only the database is known.</summary>
    public ReplicationNode? Node { get; }

    /// <exception cref="ToolException">No node is registered, or its options are not valid.</exception>
    public static NodeTarget Of(IServiceProvider services, object? serviceKey, IHost? owned = null)
    {
        try
        {
            var node = services.GetKeyedService<ReplicationNode>(serviceKey) ?? throw new ToolException(
                "AA6009", $"The application has no node{(serviceKey is null ? "" : $" under the key '{serviceKey}'")}: call AddActiveActive before it is built.", ExitCodes.Usage);
            return new NodeTarget(node.Options.ConnectionString!, node, owned);
        }
        catch (OptionsValidationException e)
        {
            throw new ToolException("AA6009", $"The options of the node are not valid: {string.Join(" ", e.Failures)}", ExitCodes.Usage);
        }
    }

    /// <summary>By a settings file of the application.</summary>
    /// <exception cref="ToolException">The file can't be read, or is not valid.</exception>
    public static NodeTarget OfSettings(string file, string section)
    {
        var builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings());
        try
        {
            builder.Configuration.AddJsonFile(Path.GetFullPath(file)).AddEnvironmentVariables();
            builder.Services.AddActiveActive(builder.Configuration.GetRequiredSection(section));
        }
        catch (Exception e) when (e is IOException or InvalidDataException or FormatException or InvalidOperationException)
        {
            throw new ToolException("AA6009", $"The settings in {file} can't be used: {e.Message}", ExitCodes.Usage);
        }

        var host = builder.Build();
        return Of(host.Services, null, host);
    }

    /// <summary>By its database alone.</summary>
    /// <exception cref="ToolException">The connection string can't be read.</exception>
    public static NodeTarget OfDatabase(string connectionString)
    {
        try
        {
            return new NodeTarget(new NpgsqlConnectionStringBuilder(connectionString).ConnectionString, null, null);
        }
        catch (Exception e) when (e is ArgumentException or FormatException)
        {
            throw new ToolException("AA6001", $"The connection string can't be read: {e.Message}", ExitCodes.Usage);
        }
    }

    /// <summary>The database seam, to read from: whatever the options say of tables.</summary>
    public PostgresDatabase OpenDatabase(NodeName node, IReadOnlyList<NodeName>? peers = null, IEnumerable<TableRule>? rules = null) =>
        new(new PostgresDatabaseOptions { Node = node, ConnectionString = ConnectionString, Peers = peers ?? [], Tables = new ReplicatedTables(rules ?? []) });

    public async ValueTask DisposeAsync()
    {
        if (_host is IAsyncDisposable host) await host.DisposeAsync();
    }
}
