using ActiveActive.Postgres.Tests.Cluster;
using ActiveActive.Postgres.Tests.Stories;

namespace ActiveActive.Postgres.Tests.Rewrite;

/// <summary>Three nodes whose tables are rewritten on the first.</summary>
public abstract class RewriteNodes(ClusterServers servers, params int[] versions) : IAsyncLifetime
{
    private const string Schema = """
        CREATE TABLE notes (id int PRIMARY KEY, n bigint, body text);
        CREATE TABLE letters (id int PRIMARY KEY, n bigint, body text);
        CREATE TABLE drafts (id int PRIMARY KEY, n bigint, body text);
        CREATE TABLE moved (id int PRIMARY KEY, n bigint);
        CREATE TABLE restarted (id int PRIMARY KEY, n bigint, body text);
        CREATE TABLE grouped (id int PRIMARY KEY, n bigint, body text);
        CREATE TABLE emptied (id int PRIMARY KEY, n bigint, body text);
        CREATE TABLE accounts (id int PRIMARY KEY, owner text NOT NULL, balance bigint NOT NULL);
        CREATE TABLE profiles (id int PRIMARY KEY, n bigint, tags text[] NOT NULL);
        CREATE TABLE contacts (id int PRIMARY KEY, n bigint, email text UNIQUE, phone text UNIQUE);
        CREATE TABLE parts (region text, id int, n bigint, body text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
        CREATE TABLE parts_eu PARTITION OF parts FOR VALUES IN ('eu');
        CREATE TABLE parts_us PARTITION OF parts FOR VALUES IN ('us');
        """;

    internal TestCluster Cluster { get; private set; } = null!;

    public async ValueTask InitializeAsync() => Cluster = await TestCluster.StartAsync(await servers.GetAsync(versions), Schema, node => node
        .Replicate("public.*")
        .Replicate("public.accounts", table => table.DeltaColumn("balance"))
        .ResolveConflictsWith<TagUnion>("public.profiles"));

    public async ValueTask DisposeAsync()
    {
        await Cluster.DisposeAsync();
        GC.SuppressFinalize(this);
    }
}

/// <summary>PostgreSQL 18 rewrites.</summary>
public sealed class RewriteNodes18(ClusterServers servers) : RewriteNodes(servers, 18, 15, 18);

/// <summary>PostgreSQL 15 rewrites.</summary>
public sealed class RewriteNodes15(ClusterServers servers) : RewriteNodes(servers, 15, 18, 15);
