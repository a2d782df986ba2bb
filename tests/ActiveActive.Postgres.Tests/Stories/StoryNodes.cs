using ActiveActive.Postgres.Tests.Cluster;

namespace ActiveActive.Postgres.Tests.Stories;

/// <summary>Three nodes, two on PostgreSQL 18 and one on 15, for all stories that need no servers or settings of their own. Each story has its own keys.</summary>
public sealed class StoryNodes(ClusterServers servers) : IAsyncLifetime
{
    private const string Schema = """
        CREATE TABLE notes (id int PRIMARY KEY, body text);
        CREATE TABLE emptied_notes (id int PRIMARY KEY, body text);
        CREATE TABLE places (country text, city text, body text, PRIMARY KEY (city, country));
        CREATE TABLE accounts (id int PRIMARY KEY, owner text NOT NULL, balance bigint NOT NULL);
        CREATE TABLE emptied_accounts (id int PRIMARY KEY, owner text NOT NULL, balance bigint NOT NULL);
        CREATE TABLE profiles (id int PRIMARY KEY, tags text[] NOT NULL);
        CREATE TABLE emptied_profiles (id int PRIMARY KEY, tags text[] NOT NULL);
        """;

    internal TestCluster Cluster { get; private set; } = null!;

    public async ValueTask InitializeAsync() => Cluster = await TestCluster.StartAsync(await servers.GetAsync(18, 15, 18), Schema, node => node
        .Replicate("public.*")
        .Replicate("public.accounts", table => table.DeltaColumn("balance"))
        .Replicate("public.emptied_accounts", table => table.DeltaColumn("balance"))
        .ResolveConflictsWith<TagUnion>("public.profiles").ResolveConflictsWith<TagUnion>("public.emptied_profiles"));

    public ValueTask DisposeAsync() => Cluster.DisposeAsync();
}

/// <summary>What the stories do with a cluster.</summary>
internal static class StoryActs
{
    /// <summary>Makes writes that do not know of each other: nobody applies anything while they are made. They arrive in any order.</summary>
    public static async Task ConcurrentlyAsync(this TestCluster cluster, params (ClusterNode Node, string Sql)[] writes)
    {
        await cluster.PauseAllAsync();
        foreach (var (node, sql) in writes) await node.ExecuteAsync(sql);
        await cluster.ResumeAllAsync();
    }

    public static async Task PauseAllAsync(this TestCluster cluster)
    {
        // Whatever a test that failed has left paused.
        await cluster.ResumeAllAsync();
        foreach (var node in cluster.Nodes) await cluster.PauseAsync(node, [.. cluster.Nodes.Where(n => n != node)]);
    }

    public static async Task ResumeAllAsync(this TestCluster cluster)
    {
        foreach (var node in cluster.Nodes)
        {
            foreach (var peer in node.Node.Status.Peers) await node.Node.ResumePeerAsync(peer.Peer);
        }

        await cluster.QuietAsync();
    }

    /// <summary>From here on the node applies nothing of these peers.</summary>
    public static async Task PauseAsync(this TestCluster cluster, ClusterNode node, params ClusterNode[] peers)
    {
        foreach (var peer in peers) await node.Node.PausePeerAsync(new NodeName(peer.Name));
        await cluster.UntilAsync($"node {node.Name} has paused {string.Join(", ", peers.Select(p => p.Name))}", () => Task.FromResult(
            node.Node.Status.Peers.Where(p => peers.Any(peer => peer.Name == p.Peer.Value)).All(p => p.Receiving == PeerLinkState.Paused)));
    }

    public static Task ResumeAsync(this ClusterNode node, ClusterNode peer) => node.Node.ResumePeerAsync(new NodeName(peer.Name));

    public static async Task UntilAsync(this TestCluster cluster, ClusterNode node, string query, string expected)
    {
        var last = "";
        try
        {
            await cluster.UntilAsync($"node {node.Name} answers [{expected}] to {query}", async () => (last = await node.TextAsync(query)) == expected);
        }
        catch (Xunit.Sdk.FailException e)
        {
            Assert.Fail($"Last answer: [{last}]. {e.Message}");
        }
    }

    /// <summary>Every node answers the same.</summary>
    public static async Task AssertEverywhereAsync(this TestCluster cluster, string expected, string query)
    {
        foreach (var node in cluster.Nodes)
        {
            var text = await node.TextAsync(query);
            Assert.True(expected == text, $"Node {node.Name} answers [{text}] instead of [{expected}] to {query}.\n{cluster.Describe()}");
        }
    }

    /// <summary>The rows of a query as one text, sorted.</summary>
    public static Task<string> TextAsync(this ClusterNode node, string query) => node.ScalarAsync<string>(
        $"SELECT coalesce(string_agg(r::text, ' ' ORDER BY r::text COLLATE \"C\"), '') FROM ({query}) r");

    /// <summary>The conflicts that a node has recorded for a key, in their order: type, outcome and winner.</summary>
    public static Task<string> ConflictsAsync(this ClusterNode node, string table, int id) => node.ScalarAsync<string>(
        $"SELECT coalesce(string_agg(type || ' ' || outcome || ' ' || winner, ', ' ORDER BY id), '') FROM active_active.conflict WHERE table_name = 'public.{table}' AND key->>0 = '{id}'");
}
