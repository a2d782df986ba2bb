using ActiveActive;
using ActiveActive.Credentials;
using ActiveActive.Database;
using ActiveActive.Database.Postgres;
using ActiveActive.Diagnostics;
using ActiveActive.Hosting;
using ActiveActive.Transport;
using Microsoft.Extensions.Configuration;
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
    /// <exception cref="InvalidOperationException">A node was added already: several in one process need keys.</exception>
    public static IServiceCollection AddActiveActive(this IServiceCollection services, Action<ReplicationNodeBuilder> configure) =>
        Add(services, null, configure);

    /// <summary>
    /// Adds a node from a configuration section, whose keys are the properties of <see cref="ReplicationNodeOptions"/>; resolvers are added in code. Where the
    /// section changes, credentials follow it without a restart, and nothing else does; <paramref name="configure"/> is then called again, on options of its own.
    /// </summary>
    /// <exception cref="FormatException">The section has an unknown key or a value that can't be read.</exception>
    /// <exception cref="InvalidOperationException">A node was added already: several in one process need keys.</exception>
    public static IServiceCollection AddActiveActive(this IServiceCollection services, IConfiguration section, Action<ReplicationNodeBuilder>? configure = null) =>
        Add(services, null, From(section, configure), section);

    /// <summary>
    /// Adds a node under a key, for several clusters in one process: inject it with <c>[FromKeyedServices(key)]</c>, map it with
    /// <c>MapActiveActive(serviceKey: key)</c>; its health check is <c>active_active_</c> and the key.
    /// </summary>
    /// <exception cref="InvalidOperationException">A node was added under this key already.</exception>
    public static IServiceCollection AddKeyedActiveActive(this IServiceCollection services, string key, Action<ReplicationNodeBuilder> configure)
    {
        ArgumentException.ThrowIfNullOrEmpty(key);
        return Add(services, key, configure);
    }

    /// <summary>Adds a node under a key, as the other overload, from a configuration section.</summary>
    /// <exception cref="FormatException">The section has an unknown key or a value that can't be read.</exception>
    /// <exception cref="InvalidOperationException">A node was added under this key already.</exception>
    public static IServiceCollection AddKeyedActiveActive(
        this IServiceCollection services, string key, IConfiguration section, Action<ReplicationNodeBuilder>? configure = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(key);
        return Add(services, key, From(section, configure), section);
    }

    private static Action<ReplicationNodeBuilder> From(IConfiguration section, Action<ReplicationNodeBuilder>? configure)
    {
        ArgumentNullException.ThrowIfNull(section);
        return builder =>
        {
            ReplicationNodeConfiguration.Bind(section, builder.Options);
            configure?.Invoke(builder);
        };
    }

    /// <summary>Without a key, a keyed service is the plain one.</summary>
    private static IServiceCollection Add(IServiceCollection services, string? key, Action<ReplicationNodeBuilder> configure, IConfiguration? section = null)
    {
        ArgumentNullException.ThrowIfNull(services);
        ArgumentNullException.ThrowIfNull(configure);
        if (services.Any(s => s.ServiceType == typeof(ReplicationNode) && Equals(s.ServiceKey, key)))
        {
            throw new InvalidOperationException(key is null
                ? "AddActiveActive was called twice: a process has one node, or several under keys with AddKeyedActiveActive(key, …)."
                : $"AddKeyedActiveActive was called twice with the key '{key}': give each node a key of its own.");
        }

        var builder = new ReplicationNodeBuilder(services, new ReplicationNodeOptions());
        configure(builder);
        services.AddKeyedSingleton(key, (provider, _) => CreateCredentials(provider, builder, section, configure));
        services.AddKeyedSingleton(key, (provider, _) => CreateNode(provider, key, builder));
        services.AddKeyedSingleton(key, (provider, _) => new PeerEndpoint(NodeOf(provider), builder.Options.Path, provider.GetRequiredKeyedService<CredentialStore>(key))
        {
            Stopping = NodeOf(provider).Stopping,
            TurnsStrangersAway = PolicyOf(provider, key) is null or PeerCredentialPolicy,
        });
        services.AddSingleton<IHostedService>(provider => new ReplicationHostedService(NodeOf(provider)));
        services.AddHealthChecks().Add(new HealthCheckRegistration(
            key is null ? "active_active" : $"active_active_{key}", provider => new ReplicationHealthCheck(NodeOf(provider)), HealthStatus.Unhealthy, ["ready"]));
        return services;

        ReplicationNode NodeOf(IServiceProvider provider) => provider.GetRequiredKeyedService<ReplicationNode>(key);
    }

    private static ReplicationNode CreateNode(IServiceProvider provider, string? key, ReplicationNodeBuilder builder)
    {
        var credentials = provider.GetRequiredKeyedService<CredentialStore>(key);
        var options = builder.Options;
        var loggers = provider.GetService<ILoggerFactory>() ?? NullLoggerFactory.Instance;
        var database = new PostgresDatabase(new PostgresDatabaseOptions
        {
            Node = new NodeName(options.Name!),
            ConnectionString = options.ConnectionString!,
            Peers = [.. options.Peers.Keys.Select(name => new NodeName(name))],
            Tables = new ReplicatedTables(options.Tables, options.DefaultResolver, new NodeName(options.Name!)),
            MaxChangesPerPart = options.MaxChangesPerPart,
            LeaderTimeout = options.LeaderTimeout,
        }, loggers.CreateLogger("ActiveActive.Database"));
        return new ReplicationNode(
            options,
            database,
            provider.GetService<IPeerTransport>() ?? new HttpPeerTransport(credentials, options.Path),
            provider.GetService<TimeProvider>() ?? TimeProvider.System,
            loggers,
            credentials,
            PolicyOf(provider, key));
    }

    /// <summary>Of valid options, which are looked at here first.</summary>
    private static CredentialStore CreateCredentials(IServiceProvider provider, ReplicationNodeBuilder builder, IConfiguration? section, Action<ReplicationNodeBuilder> configure)
    {
        var options = builder.Build(provider);
        var problems = ReplicationNodeOptionsValidator.Validate(options);
        if (problems.Count > 0) throw new OptionsValidationException(options.Name ?? "", typeof(ReplicationNodeOptions), problems);
        var logger = (provider.GetService<ILoggerFactory>() ?? NullLoggerFactory.Instance).CreateLogger("ActiveActive.Node");
        var time = provider.GetService<TimeProvider>() ?? TimeProvider.System;
        var store = CredentialStore.Of(options, time, logger);
        if (section is not null) store.KeepUpToDateBy(new CredentialReload(section, configure, store, time, logger));
        return store;
    }

    /// <summary>Of the key, or else the one for all; null where the application has none.</summary>
    private static IPeerAuthorizationPolicy? PolicyOf(IServiceProvider provider, string? key) =>
        (key is null ? null : provider.GetKeyedService<IPeerAuthorizationPolicy>(key)) ?? provider.GetService<IPeerAuthorizationPolicy>();
}
