using ActiveActive.Testing;

namespace ActiveActive.Postgres.Tests.Cluster;

/// <summary>A real node stays away past the WAL budget: it is parted, its share of the log is let go, and it comes back by another one's data.</summary>
[Collection(nameof(ClusterServers))]
public sealed class PartingTests(ClusterServers servers)
{
    private const string Schema =
        """
        CREATE TABLE notes (id int PRIMARY KEY, body text);
        CREATE TABLE counters (id int PRIMARY KEY, n bigint NOT NULL);
        CREATE TABLE lines (note int REFERENCES notes, at int, PRIMARY KEY (note, at)) PARTITION BY RANGE (at);
        CREATE TABLE lines_low PARTITION OF lines FOR VALUES FROM (0) TO (100);
        """;

    private static readonly string[] s_tables = ["notes", "counters", "lines"];

    [Fact]
    [Trait("Story", "23")]
    [Trait("Run", "Long")]
    public async Task Node_that_is_away_past_the_budget_is_parted_and_comes_back_by_another_ones_data()
    {
        await using var cluster = await TestCluster.StartAsync(await servers.GetAsync(15, 17, 18), Schema, node => node
            .Replicate("public.*").Replicate("public.counters", table => table.DeltaColumn("n")).With(o => o.WalBudget = 4 << 20));
        var (a, b, c) = (cluster[0], cluster[1], cluster[2]);
        await a.ExecuteAsync("INSERT INTO counters VALUES (1, 0); INSERT INTO notes SELECT g, 'base' FROM generate_series(1, 10) g; INSERT INTO lines SELECT 1, g FROM generate_series(0, 9) g");
        await cluster.QuietAsync();

        // b and a differ in what they have of c.
        await a.Node.PausePeerAsync(new NodeName("c"), TestContext.Current.CancellationToken);
        await c.ExecuteAsync("UPDATE notes SET body = 'b has it' WHERE id = 1; UPDATE counters SET n = n + 10");
        await cluster.UntilAsync("b has c's write", async () => await b.ScalarAsync<string>("SELECT body FROM notes WHERE id = 1") == "b has it");
        await c.StopAsync();
        await a.Node.ResumePeerAsync(new NodeName("c"), TestContext.Current.CancellationToken);
        await c.ExecuteAsync("UPDATE notes SET body = 'nobody has it' WHERE id IN (2, 3); DELETE FROM notes WHERE id = 4; INSERT INTO notes VALUES (100, 'nobody has it'); UPDATE counters SET n = n + 1000; DELETE FROM lines WHERE at = 5");

        await b.ExecuteAsync("DELETE FROM notes WHERE id = 2");
        for (var i = 0; i < 8 && a.Peer("c").Receiving is not (PeerLinkState.Parting or PeerLinkState.Parted); i++)
        {
            await a.ExecuteAsync($"INSERT INTO notes SELECT 1000 * {i + 1} + g, repeat(md5(g::text), 60) FROM generate_series(1, 500) g");
            await cluster.UntilAsync("a has captured it", () => Task.FromResult(a.Node.Status.PublishedTransactions > i));
        }

        await cluster.UntilAsync("c is parted", () => Task.FromResult(a.Peer("c").Receiving == PeerLinkState.Parted && b.Peer("c").Receiving == PeerLinkState.Parted));
        Assert.Contains("WalBudget of 4194304", a.Peer("c").Message + b.Peer("c").Message, StringComparison.Ordinal);
        Assert.Equal("b has it", await a.ScalarAsync<string>("SELECT body FROM notes WHERE id = 1"));
        // Other tests write to these servers, too: what was there at the parting goes.
        var (ofA, ofB) = (await EndAsync(a), await EndAsync(b));
        await a.ExecuteAsync("INSERT INTO notes VALUES (-9, 'after the parting')");
        await cluster.UntilAsync("the slots let the log go", async () => await IsPastAsync(a, ofA) && await IsPastAsync(b, ofB), TimeSpan.FromMinutes(1));

        c.Sql.Clear();
        await c.StartAsync();
        await cluster.UntilAsync("c is told", () => Task.FromResult(c.Peer("a").Message?.Contains("AA3085", StringComparison.Ordinal) == true));
        await a.ExecuteAsync("UPDATE counters SET n = n + 1");
        await c.Node.ResyncAsync(new NodeName("a"), TestContext.Current.CancellationToken);
        var refused = await Assert.ThrowsAsync<Npgsql.PostgresException>(() => c.ExecuteAsync("INSERT INTO notes VALUES (-2, 'too early')"));
        Assert.Contains("AA5001", refused.MessageText, StringComparison.Ordinal);
        await cluster.UntilAsync("c is a member again", () => Task.FromResult(a.Peer("c").Receiving == PeerLinkState.Streaming && b.Peer("c").Receiving == PeerLinkState.Streaming), TimeSpan.FromMinutes(1));
        await c.ExecuteAsync("INSERT INTO notes VALUES (-1, 'a member again'); UPDATE counters SET n = n + 100");
        await cluster.QuietAsync(TimeSpan.FromMinutes(1));
        await cluster.AssertIdenticalAsync(s_tables);
        Assert.Equal(111, await b.ScalarAsync<long>("SELECT n FROM counters"));
        Assert.Equal("base", await c.ScalarAsync<string>("SELECT body FROM notes WHERE id = 3"));

        // With both rows, as far as the log names the old one.
        const string GivenUp = "SELECT string_agg(table_name || ' ' || (key::jsonb)::text || ' ' || coalesce(remote_row ->> 'body', remote_row ->> 'n', '-'), ', ' ORDER BY id) FROM active_active.conflict WHERE resolver = 'resync'";
        Assert.Equal("""public.notes ["2"] nobody has it, public.notes ["3"] nobody has it, public.notes ["4"] -, public.notes ["100"] nobody has it, public.counters ["1"] 1010, public.lines ["1", "5"] -""", await c.ScalarAsync<string>(GivenUp));
        Assert.Equal("10", await c.ScalarAsync<string>("SELECT local_row ->> 'n' FROM active_active.conflict WHERE resolver = 'resync' AND table_name = 'public.counters'"));
        Assert.Equal(0, await a.ScalarAsync<long>("SELECT count(*) FROM active_active.conflict WHERE resolver = 'resync'"));
    }

    private static Task<string> EndAsync(ClusterNode node) => node.ScalarAsync<string>("SELECT pg_current_wal_lsn()::text");

    private static Task<bool> IsPastAsync(ClusterNode node, string position) =>
        node.ScalarAsync<bool>($"SELECT bool_and(confirmed_flush_lsn >= '{position}') FROM pg_replication_slots WHERE database = current_database()");
}
