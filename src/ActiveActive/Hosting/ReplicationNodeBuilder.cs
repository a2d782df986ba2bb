using System.Diagnostics.CodeAnalysis;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;

namespace ActiveActive;

/// <summary>Describes a node in code; see <c>AddActiveActive</c>. Later calls add to earlier ones and to bound configuration.</summary>
public sealed class ReplicationNodeBuilder
{
    private readonly List<(TableRule? Rule, Type Resolver)> _resolvers = [];

    internal ReplicationNodeBuilder(IServiceCollection services, ReplicationNodeOptions options)
    {
        Services = services;
        Options = options;
    }

    /// <summary>The application's services.</summary>
    public IServiceCollection Services { get; }

    /// <summary>The settings that the methods fill.</summary>
    public ReplicationNodeOptions Options { get; }

    /// <summary>Names the node; see <see cref="ReplicationNodeOptions.Name"/>.</summary>
    public ReplicationNodeBuilder Named(string name) => With(o => o.Name = name);

    /// <summary>The local database; see <see cref="ReplicationNodeOptions.ConnectionString"/>.</summary>
    public ReplicationNodeBuilder UsePostgres(string connectionString) => With(o => o.ConnectionString = connectionString);

    /// <summary>Adds a peer: its name and the address of its application.</summary>
    public ReplicationNodeBuilder AddPeer(string name, Uri address) => With(o => o.Peers[name] = address);

    /// <summary>Lets a new node get its data from a peer while all others go on writing; see <see cref="ReplicationNodeOptions.JoinFrom"/>.</summary>
    public ReplicationNodeBuilder JoinFrom(string peer) => With(o => o.JoinFrom = peer);

    /// <summary>The secret that nodes show each other; see <see cref="ReplicationNodeOptions.SharedToken"/>.</summary>
    public ReplicationNodeBuilder UseSharedToken(string token) => With(o => o.SharedToken = token);

    /// <summary>Tables that replicate: <c>schema.table</c> or a pattern such as <c>public.*</c>.</summary>
    public ReplicationNodeBuilder Replicate(string pattern, Action<TableRuleBuilder>? configure = null)
    {
        var rule = RuleOf(pattern);
        configure?.Invoke(new TableRuleBuilder(rule));
        return this;
    }

    /// <summary>Tables that do not replicate, whatever other patterns say.</summary>
    public ReplicationNodeBuilder Exclude(string pattern)
    {
        RuleOf(pattern).Exclude = true;
        return this;
    }

    /// <summary>The resolver of the tables that match; taken from dependency injection, registered as a singleton if it is not yet.</summary>
    public ReplicationNodeBuilder ResolveConflictsWith<[DynamicallyAccessedMembers(DynamicallyAccessedMemberTypes.PublicConstructors)] T>(string pattern)
        where T : class, IConflictResolver
    {
        Services.TryAddSingleton<T>();
        _resolvers.Add((RuleOf(pattern), typeof(T)));
        return this;
    }

    /// <summary>The resolver of tables without one of their own and without delta columns.</summary>
    public ReplicationNodeBuilder ResolveConflictsWith<[DynamicallyAccessedMembers(DynamicallyAccessedMemberTypes.PublicConstructors)] T>()
        where T : class, IConflictResolver
    {
        Services.TryAddSingleton<T>();
        _resolvers.Add((null, typeof(T)));
        return this;
    }

    /// <summary>Any other setting.</summary>
    public ReplicationNodeBuilder With(Action<ReplicationNodeOptions> configure)
    {
        ArgumentNullException.ThrowIfNull(configure);
        configure(Options);
        return this;
    }

    internal ReplicationNodeOptions Build(IServiceProvider services)
    {
        foreach (var (rule, type) in _resolvers)
        {
            var resolver = (IConflictResolver)services.GetRequiredService(type);
            if (rule is null) Options.DefaultResolver = resolver;
            else rule.Resolver = resolver;
        }

        return Options;
    }

    private TableRule RuleOf(string pattern)
    {
        var rule = Options.Tables.FirstOrDefault(r => r.Pattern == pattern);
        if (rule is null) Options.Tables.Add(rule = new TableRule { Pattern = pattern });
        return rule;
    }
}
