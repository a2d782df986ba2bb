using ActiveActive.Postgres.Tests.Cluster;
using ActiveActive.Postgres.Tests.Stories;
using ActiveActive.Transport;
using Microsoft.Extensions.DependencyInjection;

namespace ActiveActive.Postgres.Tests.Routes;

/// <summary>Rows stay on the nodes that hold them, on real servers: also on the wire.</summary>
[Collection(nameof(ClusterServers))]
public sealed class RouteTests(ClusterServers servers)
{
    private const string Schema = """
        CREATE TABLE notes (id int PRIMARY KEY, body text);
        CREATE TABLE patients (id int PRIMARY KEY, name text, file text);
        CREATE TABLE visits (id int, day date, body text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
        CREATE TABLE visits_all PARTITION OF visits DEFAULT;
        """;

    private static readonly string[] s_elsewhere = ["patients", "visits"];

    [Fact]
    public async Task No_byte_of_a_table_reaches_a_node_that_does_not_hold_it()
    {
        var taps = new List<TappedTransport>();
        await using var cluster = await TestCluster.StartAsync(await servers.GetAsync(18, 15, 18), Schema, node =>
        {
            node.Replicate("public.*").Replicate("public.patients", table => table.OnlyOn("a", "b")).Replicate("public.visits*", table => table.OnlyOn("a", "b"))
                .With(o => (o.RelayAfter, o.MaxChangesPerPart) = (TimeSpan.Zero, 50));
            if (node.Options.Name == "c") node.Services.AddSingleton<IPeerTransport>(provider => TappedTransport.Of(provider, taps.Add));
        });
        var (a, b, c) = (cluster[0], cluster[1], cluster[2]);
        await a.ExecuteAsync("INSERT INTO patients SELECT g, 'MARKED' || g, repeat('MARKED', 2000) FROM generate_series(1, 200) g; INSERT INTO notes SELECT g, 'open' FROM generate_series(1, 20) g");
        await b.ExecuteAsync("INSERT INTO visits SELECT g, '2026-01-01', 'MARKED' FROM generate_series(1, 200) g");
        await cluster.QuietAsync();
        // What a large value that stays is asked for, and what is relayed.
        await cluster.PauseAsync(b, a);
        await a.ExecuteAsync("UPDATE patients SET name = 'MARKED a' WHERE id <= 10; UPDATE notes SET body = 'open a' WHERE id = 1");
        await b.ExecuteAsync("UPDATE patients SET file = 'MARKED b' WHERE id <= 5; UPDATE notes SET body = 'open b' WHERE id = 2; TRUNCATE visits");
        b.Resume(a);
        await cluster.QuietAsync();
        await cluster.PauseAsync(c, a);
        await a.ExecuteAsync("UPDATE patients SET name = 'MARKED for b' WHERE id = 20; UPDATE notes SET body = 'open relayed' WHERE id = 4");
        await cluster.UntilAsync(b, "SELECT body FROM notes WHERE id = 4", "(\"open relayed\")");
        await a.StopAsync();
        c.Resume(a);
        await cluster.UntilAsync(c, "SELECT body FROM notes WHERE id = 4", "(\"open relayed\")");
        Assert.Equal("b", c.Node.Status.Peers.Single(p => p.Peer.Value == "a").RelayedBy?.Value);
        await b.ExecuteAsync("DELETE FROM patients WHERE id = 100; UPDATE patients SET id = 1000 WHERE id = 101; UPDATE notes SET body = 'open later' WHERE id = 3");
        await cluster.UntilAsync(c, "SELECT body FROM notes WHERE id = 3", "(\"open later\")");
        await a.StartAsync();
        await cluster.QuietAsync();

        foreach (var table in s_elsewhere)
        {
            Assert.Equal(await a.DumpAsync(table), await b.DumpAsync(table));
            Assert.Equal(0, await c.ScalarAsync<long>($"SELECT count(*) FROM {table}"));
        }

        Assert.Equal(199, await b.ScalarAsync<long>("SELECT count(*) FROM patients"));
        await cluster.AssertIdenticalAsync("notes");
        Assert.True(taps.Sum(t => t.Count("open")) >= 22);
        Assert.Equal(0, taps.Sum(t => t.Count("MARKED")));
        Assert.Equal(0, taps.Sum(t => t.Count("patients") + t.Count("visits")));
        Assert.Equal(0, await c.ScalarAsync<long>("SELECT count(*) FROM pg_publication_rel WHERE prrelid IN ('patients'::regclass, 'visits'::regclass)"));
    }
}
