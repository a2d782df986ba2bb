using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography.X509Certificates;
using ActiveActive.Credentials;
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

    /// <summary>Adds a peer: its name, the address of its application, and how it shows who it is.</summary>
    public ReplicationNodeBuilder AddPeer(string name, Uri address, Action<PeerBuilder>? configure = null)
    {
        var peer = PeerOf(name, [address]);
        configure?.Invoke(new PeerBuilder(peer));
        return this;
    }

    /// <summary>Adds a peer: its name and the addresses of its application's instances; see <see cref="PeerOptions.Addresses"/>.</summary>
    public ReplicationNodeBuilder AddPeer(string name, params IReadOnlyList<Uri> addresses)
    {
        PeerOf(name, addresses);
        return this;
    }

    /// <summary>Lets a new node get its data from a peer while all others go on writing; see <see cref="ReplicationNodeOptions.JoinFrom"/>.</summary>
    public ReplicationNodeBuilder JoinFrom(string peer) => With(o => o.JoinFrom = peer);

    /// <summary>The secret that nodes show each other; see <see cref="ReplicationNodeOptions.SharedToken"/>.</summary>
    /// <param name="token">Shown and accepted.</param>
    /// <param name="accepted">Accepted as well, while one takes the place of another.</param>
    public ReplicationNodeBuilder UseSharedToken(string token, params string[] accepted) => With(o =>
    {
        o.SharedToken = token;
        foreach (var other in accepted) o.AcceptedSharedTokens.Add(other);
    });

    /// <summary>The token that this node shows to peers; see <see cref="ReplicationNodeOptions.OwnToken"/>.</summary>
    public ReplicationNodeBuilder UseToken(string token) => UseToken(() => token);

    /// <summary>The token that this node shows to peers, called for each dial; see <see cref="ReplicationNodeOptions.OwnToken"/>.</summary>
    public ReplicationNodeBuilder UseToken(Func<string> token) => With(o => o.OwnToken = token);

    /// <summary>The certificate, with its private key, that this node shows to peers; see <see cref="ReplicationNodeOptions.OwnCertificate"/>.</summary>
    public ReplicationNodeBuilder UseCertificate(X509Certificate2 certificate) => UseCertificate(() => certificate);

    /// <summary>The certificate that this node shows to peers, called for each dial; see <see cref="ReplicationNodeOptions.OwnCertificate"/>.</summary>
    public ReplicationNodeBuilder UseCertificate(Func<X509Certificate2> certificate) => With(o => o.OwnCertificate = certificate);

    /// <summary>
    /// The certificate that this node shows to peers, from a file that is read again when it has changed. Intermediate certificates that follow in it are shown, too.
    /// </summary>
    /// <param name="path">PEM (the certificate first) or PKCS#12.</param>
    /// <param name="keyPath">The private key as PEM; null where it is in the same file.</param>
    /// <param name="password">Of the key; null for none.</param>
    public ReplicationNodeBuilder UseCertificateFile(string path, string? keyPath = null, string? password = null) =>
        With(o => o.OwnCertificateFile = new CertificateFile(path, keyPath, password));

    /// <summary>Issuers that are trusted for certificates which are listed by name; see <see cref="ReplicationNodeOptions.TrustedAuthorities"/>.</summary>
    public ReplicationNodeBuilder TrustAuthorities(params X509Certificate2[] authorities) => With(o => o.TrustedAuthorities.AddRange(authorities));

    /// <summary>Allows connections without TLS; see <see cref="ReplicationNodeOptions.AllowPlaintext"/>.</summary>
    public ReplicationNodeBuilder AllowPlaintext() => With(o => o.AllowPlaintext = true);

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

    private PeerOptions PeerOf(string name, IReadOnlyList<Uri> addresses)
    {
        ArgumentNullException.ThrowIfNull(addresses);
        if (!Options.Peers.TryGetValue(name, out var peer)) Options.Peers[name] = peer = new PeerOptions();
        peer.Addresses.Clear();
        foreach (var address in addresses) peer.Addresses.Add(address);
        return peer;
    }

    private TableRule RuleOf(string pattern)
    {
        var rule = Options.Tables.FirstOrDefault(r => r.Pattern == pattern);
        if (rule is null) Options.Tables.Add(rule = new TableRule { Pattern = pattern });
        return rule;
    }
}
