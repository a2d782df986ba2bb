using ActiveActive;
using ActiveActive.Database;
using ActiveActive.Database.Postgres;
using ActiveActive.Diagnostics;
using ActiveActive.Hosting;
using ActiveActive.Transport;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;

namespace Microsoft.Extensions.DependencyInjection;

/// <summary>Adds a node of an active-active cluster to an application.</summary>
public static class ActiveActiveServiceCollectionExtensions
{
    /// <summary>Adds a node: <see cref="ReplicationNode"/> to inject, a hosted service that runs it, a health check <c>active_active</c>.</summary>
    /// <exception cref="OptionsValidationException">When the host starts: lists every problem of the options.</exception>
    public static IServiceCollection AddActiveActive(this IServiceCollection services, Action<ReplicationNodeBuilder> configure)
    {
        ArgumentNullException.ThrowIfNull(services);
        ArgumentNullException.ThrowIfNull(configure);
        var builder = new ReplicationNodeBuilder(services, new ReplicationNodeOptions());
        configure(builder);
        services.TryAddSingleton(provider => CreateNode(provider, builder));
        services.TryAddSingleton(provider => EndpointOf(provider.GetRequiredService<ReplicationNode>(), builder.Options));
        services.AddSingleton<IHostedService>(provider => new ReplicationHostedService(provider.GetRequiredService<ReplicationNode>()));
        services.AddHealthChecks().Add(new HealthCheckRegistration(
            "active_active", provider => new ReplicationHealthCheck(provider.GetRequiredService<ReplicationNode>()), HealthStatus.Unhealthy, ["ready"]));
        return services;
    }

    /// <summary>Adds a node from a configuration section, whose keys are the properties of <see cref="ReplicationNodeOptions"/>; resolvers are added in code.</summary>
    /// <exception cref="FormatException">The section has an unknown key or a value that can't be read.</exception>
    public static IServiceCollection AddActiveActive(this IServiceCollection services, IConfiguration section, Action<ReplicationNodeBuilder>? configure = null)
    {
        ArgumentNullException.ThrowIfNull(section);
        return services.AddActiveActive(builder =>
        {
            ReplicationNodeConfiguration.Bind(section, builder.Options);
            configure?.Invoke(builder);
        });
    }

    /// <summary>
    /// Adds a node under a key, for several clusters in one process: inject it with <c>[FromKeyedServices(key)]</c>, map it with
    /// <c>MapActiveActive(serviceKey: key)</c>; its health check is <c>active_active_</c> and the key.
    /// </summary>
    public static IServiceCollection AddKeyedActiveActive(this IServiceCollection services, string key, Action<ReplicationNodeBuilder> configure)
    {
        ArgumentNullException.ThrowIfNull(services);
        ArgumentException.ThrowIfNullOrEmpty(key);
        ArgumentNullException.ThrowIfNull(configure);
        var builder = new ReplicationNodeBuilder(services, new ReplicationNodeOptions());
        configure(builder);
        services.TryAddKeyedSingleton(key, (provider, _) => CreateNode(provider, builder));
        services.TryAddKeyedSingleton(key, (provider, _) => EndpointOf(provider.GetRequiredKeyedService<ReplicationNode>(key), builder.Options));
        services.AddSingleton<IHostedService>(provider => new ReplicationHostedService(provider.GetRequiredKeyedService<ReplicationNode>(key)));
        services.AddHealthChecks().Add(new HealthCheckRegistration(
            $"active_active_{key}", provider => new ReplicationHealthCheck(provider.GetRequiredKeyedService<ReplicationNode>(key)), HealthStatus.Unhealthy, ["ready"]));
        return services;
    }

    private static ReplicationNode CreateNode(IServiceProvider provider, ReplicationNodeBuilder builder)
    {
        var options = builder.Build(provider);
        var problems = ReplicationNodeOptionsValidator.Validate(options);
        if (problems.Count > 0) throw new OptionsValidationException(options.Name ?? "", typeof(ReplicationNodeOptions), problems);

        var database = new PostgresDatabase(new PostgresDatabaseOptions
        {
            Node = new NodeName(options.Name!),
            ConnectionString = options.ConnectionString!,
            Peers = [.. options.Peers.Keys.Select(name => new NodeName(name))],
            Tables = new ReplicatedTables(options.Tables, options.DefaultResolver),
            MaxChangesPerPart = options.MaxChangesPerPart,
        });
        return new ReplicationNode(
            options,
            database,
            provider.GetService<IPeerTransport>() ?? new HttpPeerTransport(options.SharedToken, options.Path),
            provider.GetService<TimeProvider>() ?? TimeProvider.System,
            provider.GetService<ILoggerFactory>() ?? NullLoggerFactory.Instance);
    }

    private static PeerEndpoint EndpointOf(ReplicationNode node, ReplicationNodeOptions options) => new(node, options.SharedToken, options.Path) { Stopping = node.Stopping };
}
