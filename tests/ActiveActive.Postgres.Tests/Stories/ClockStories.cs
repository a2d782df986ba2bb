using System.Runtime.Versioning;
using ActiveActive.Postgres.Tests.Cluster;

namespace ActiveActive.Postgres.Tests.Stories;

/// <summary>Stories of servers whose clocks are wrong.</summary>
[SupportedOSPlatform("linux")]
public sealed class ClockStories
{
    private const string Schema = "CREATE TABLE notes (id int PRIMARY KEY, body text);";

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    [Trait("Story", "1")]
    public async Task Write_of_a_node_whose_clock_is_ahead_waits_and_is_told()
    {
        await using var early = await SteppedClock.StartAsync(18, Token);
        await using var late = await SteppedClock.StartAsync(15, Token);
        await using var cluster = await TestCluster.StartAsync([early.Server, late.Server], Schema, node => node.Replicate("public.*"));
        var (a, b) = (cluster[0], cluster[1]);
        await a.ExecuteAsync("INSERT INTO notes VALUES (1, 'old'), (2, 'old')");
        await cluster.QuietAsync();

        early.Set(TimeSpan.FromMinutes(10));
        await a.ExecuteAsync("UPDATE notes SET body = 'a' WHERE id = 1");
        await cluster.UntilAsync("b tells how far a is ahead", () => Task.FromResult(
            b.Node.Status.Peers[0] is { Message: { } message, ClockAhead.TotalMinutes: > 9 and < 11 } && message.Contains("Set the clocks", StringComparison.Ordinal)));
        // Local writes and the other direction go on.
        await b.ExecuteAsync("UPDATE notes SET body = 'b' WHERE id IN (1, 2)");
        await cluster.UntilAsync(a, "SELECT body FROM notes WHERE id = 2", "(b)");
        Assert.Equal("(1,b) (2,b)", await b.TextAsync("SELECT * FROM notes"));

        late.Set(TimeSpan.FromMinutes(10));
        await cluster.QuietAsync();
        await cluster.AssertEverywhereAsync("(1,a) (2,b)", "SELECT * FROM notes");

        // What is written over the row that came is later, on every node.
        await b.ExecuteAsync("UPDATE notes SET body = 'b2' WHERE id = 1");
        await cluster.QuietAsync();
        await cluster.AssertEverywhereAsync("(1,b2) (2,b)", "SELECT * FROM notes");
        Assert.Equal("update_origin_differs keep_local a", await a.ConflictsAsync("notes", 1));
    }

    [Fact]
    [Trait("Story", "2")]
    public async Task Writes_after_a_clock_was_set_back_are_later_than_those_before()
    {
        await using var clock = await SteppedClock.StartAsync(15, Token);
        await using var right = await SteppedClock.StartAsync(18, Token);
        await using var cluster = await TestCluster.StartAsync([clock.Server, right.Server], Schema, node => node.Replicate("public.*"));
        var (a, b) = (cluster[0], cluster[1]);
        await a.ExecuteAsync("INSERT INTO notes VALUES (1, 'old'), (2, 'old')");
        await cluster.PauseAllAsync();
        await b.ExecuteAsync("UPDATE notes SET body = 'b' WHERE id IN (1, 2)");
        await a.ExecuteAsync("UPDATE notes SET body = 'a1' WHERE id IN (1, 2)");
        clock.Set(TimeSpan.FromHours(-1));
        await a.ExecuteAsync("UPDATE notes SET body = 'a2' WHERE id = 1");
        await a.ExecuteAsync("DELETE FROM notes WHERE id = 2");
        Assert.True(await a.ScalarAsync<bool>("SELECT pg_xact_commit_timestamp(xmin) < now() FROM notes WHERE id = 1"));

        // a applies b's write only once its own clock is past it.
        foreach (var (node, peer) in new[] { (a, b), (b, a) }) await node.ResumeAsync(peer);
        await cluster.UntilAsync(b, "SELECT * FROM notes", "(1,a2)");
        clock.Set(TimeSpan.Zero);
        await cluster.QuietAsync();
        await cluster.AssertEverywhereAsync("(1,a2)", "SELECT * FROM notes");
        await a.ExecuteAsync("UPDATE notes SET body = 'a3' WHERE id = 1");
        await cluster.QuietAsync();
        await cluster.AssertEverywhereAsync("(1,a3)", "SELECT * FROM notes");
    }
}
