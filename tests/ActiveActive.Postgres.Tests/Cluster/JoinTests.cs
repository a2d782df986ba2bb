using System.Globalization;
using ActiveActive.Testing;

namespace ActiveActive.Postgres.Tests.Cluster;

/// <summary>A node joins real servers while all others go on writing.</summary>
[Collection(nameof(ClusterServers))]
public sealed class JoinTests(ClusterServers servers)
{
    private const int Rows = 20_000;

    private const string Schema =
        """
        CREATE TABLE items (id bigint PRIMARY KEY, node text, body text);
        CREATE TABLE people (id uuid PRIMARY KEY, email text UNIQUE, name text);
        CREATE TABLE counters (id int PRIMARY KEY, n bigint NOT NULL);
        CREATE TABLE events (id bigint, day date, kind text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
        CREATE TABLE events_old PARTITION OF events FOR VALUES FROM (MINVALUE) TO ('2026-01-01');
        CREATE TABLE events_new PARTITION OF events FOR VALUES FROM ('2026-01-01') TO (MAXVALUE);
        """;

    private static readonly string[] s_tables = ["items", "people", "counters", "events"];

    [Theory]
    [InlineData("15, 17, 18", 18, Traits = ["Run", "Long"])]
    [InlineData("18, 15", 15, Traits = ["Run", "Long"])]
    public async Task Node_that_joins_has_all_that_was_there_and_all_that_comes(string versions, int version)
    {
        await using var cluster = await StartAsync(versions);
        using var stop = new CancellationTokenSource();
        var writers = cluster.Nodes.Select((node, i) => WriteUntilAsync(node, i, stop.Token)).ToList();
        var joining = await cluster.AddNodeAsync((await servers.GetAsync(version))[0]);
        await joining.StartAsync(node => node.JoinFrom("b"));
        await cluster.UntilAsync("the node is a member", () => Task.FromResult(joining.Node.Status.State == NodeState.Running), TimeSpan.FromMinutes(2));
        var applied = joining.Node.Status.Peers.Sum(p => p.AppliedTransactions);
        await cluster.UntilAsync("what the others write arrives", () => Task.FromResult(joining.Node.Status.Peers.All(p => p.Receiving == PeerLinkState.Streaming) && joining.Node.Status.Peers.Sum(p => p.AppliedTransactions) > applied + 100), TimeSpan.FromMinutes(2));
        await stop.CancelAsync();
        var written = (await Task.WhenAll(writers)).Sum();
        await joining.ExecuteAsync("INSERT INTO items VALUES (-1, 'd', 'of the new one')");
        await cluster.QuietAsync(TimeSpan.FromMinutes(2));
        await cluster.AssertIdenticalAsync(s_tables);
        Assert.Equal(written, await joining.ScalarAsync<long>("SELECT n FROM counters WHERE id = 1"));
        Assert.Equal(Rows, await joining.ScalarAsync<long>("SELECT count(*) FROM events WHERE kind = 'old'"));
    }

    [Fact]
    public async Task Host_that_is_stopped_while_it_joins_begins_anew_and_its_application_is_kept_out_meanwhile()
    {
        await using var cluster = await StartAsync("18, 18");
        var joining = await cluster.AddNodeAsync((await servers.GetAsync(18))[0]);
        for (var round = 0; round < 3; round++)
        {
            var begun = round;
            await joining.StartAsync(node => node.JoinFrom("a"));
            // Each time a little later.
            await cluster.UntilAsync("the copy is under way", () => Task.FromResult(joining.Node.Status.State == NodeState.Running || joining.Node.Status.Join is { } join && join.CopiedTables >= begun));
            if (joining.Node.Status.State != NodeState.Running)
            {
                var refused = await Assert.ThrowsAsync<Npgsql.PostgresException>(() => joining.ExecuteAsync("INSERT INTO items VALUES (-2, 'd', 'too early')"));
                Assert.Contains("join", refused.MessageText, StringComparison.OrdinalIgnoreCase);
            }

            await joining.StopAsync();
            await cluster[round % 2].ExecuteAsync($"INSERT INTO items VALUES ({-10 - round}, 'x', 'meanwhile')");
        }

        await joining.StartAsync(node => node.JoinFrom("a"));
        await cluster.UntilAsync("the node is a member", () => Task.FromResult(joining.Node.Status.State == NodeState.Running), TimeSpan.FromMinutes(2));
        await joining.ExecuteAsync("INSERT INTO items VALUES (-2, 'd', 'now')");
        await cluster.QuietAsync(TimeSpan.FromMinutes(1));
        await cluster.AssertIdenticalAsync(s_tables);
    }

    private async Task<TestCluster> StartAsync(string versions)
    {
        var all = await servers.GetAsync(versions.Split(", ").Select(v => int.Parse(v, CultureInfo.InvariantCulture)));
        var cluster = await TestCluster.StartAsync(all, Schema, node => node.Replicate("public.*").Replicate("public.counters", table => table.DeltaColumn("n")));
        await cluster[0].ExecuteAsync("INSERT INTO counters VALUES (1, 0)");
        await cluster[0].ExecuteAsync($"INSERT INTO items SELECT i, 'a', repeat('x', i % 300) FROM generate_series(1, {Rows}) i");
        await cluster[0].ExecuteAsync($"INSERT INTO events SELECT i, '2025-12-01'::date + i % 60, 'old' FROM generate_series(1, {Rows}) i");
        await cluster.QuietAsync(TimeSpan.FromMinutes(1));
        return cluster;
    }

    /// <summary>Every committed transaction adds one to the counter.</summary>
    private static async Task<long> WriteUntilAsync(ClusterNode node, int number, CancellationToken stop)
    {
        var random = new Random(number);
        var committed = 0L;
        for (var i = 0; !stop.IsCancellationRequested; i++)
        {
            var statement = random.Next(6) switch
            {
                0 => $"INSERT INTO items VALUES ({(1_000_000L * (number + 1)) + i}, '{node.Name}', E'a\\tb\\n')",
                1 => $"DELETE FROM items WHERE id = {random.Next(Rows)}",
                2 => $"INSERT INTO people VALUES (gen_random_uuid(), 'p{random.Next(200)}', '{node.Name}') ON CONFLICT (email) DO UPDATE SET name = excluded.name",
                3 => $"INSERT INTO events VALUES ({(1_000_000L * (number + 1)) + i}, '2025-12-31'::date + {random.Next(3)}, 'new')",
                _ => $"UPDATE items SET node = '{node.Name}', body = '{i}' WHERE id = {random.Next(Rows)}",
            };
            try
            {
                await node.ExecuteAsync($"WITH w AS ({statement}) UPDATE counters SET n = n + 1 WHERE id = 1");
                committed++;
            }
            catch (Npgsql.PostgresException e) when (e.SqlState is Npgsql.PostgresErrorCodes.DeadlockDetected or Npgsql.PostgresErrorCodes.UniqueViolation)
            {
                // The applier and this one, in two orders; or a value that was taken in this moment.
            }
        }

        return committed;
    }
}
