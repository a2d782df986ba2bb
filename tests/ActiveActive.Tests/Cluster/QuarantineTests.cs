using Microsoft.Extensions.Time.Testing;

namespace ActiveActive.Tests.Cluster;

/// <summary>
/// Transactions that a node refuses for good, under the policy Quarantine: put aside whole, in nobody's way but of those that come after
/// them, and applied later as if they had only been late.
/// </summary>
public sealed class QuarantineTests
{
    private static readonly string[] s_names = ["a", "b", "c"];

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    [Trait("Story", "15")]
    [Trait("Story", "26")]
    public async Task Refused_transaction_is_put_aside_whole_while_the_stream_goes_on()
    {
        await using var cluster = await StartAsync();
        var (a, b, c) = (cluster[0], cluster[1], cluster[2]);
        b.Refuses = static (_, v) => v == "bad";
        await a.RunAsync(a.Insert("lww", "1", "good"), a.Insert("lww", "2", "bad"), a.Insert("delta", "1", "x", "5"));
        await a.InsertAsync("lww", "3", "good");
        await cluster.UntilAsync("b and c have the later transaction", () => b.Row("lww", "3") is not null && c.Row("lww", "3") is not null);

        Assert.Null(b.Row("lww", "1"));
        Assert.Null(b.Row("delta", "1"));
        Assert.Equal("bad", c.Row("lww", "2"));
        var entry = Assert.Single(await b.Node.Quarantine.ListAsync(Token));
        Assert.Equal((a.Node.Name, 3L, "AA4001", 3, false), (entry.Origin, entry.Changes, entry.Code, entry.Attempts, entry.IsBehindAnother));
        Assert.Equal(["public.delta", "public.lww"], entry.Tables.Select(t => t.ToString()));
        Assert.Contains("public.lww violates the check constraint refused", entry.Reason, StringComparison.Ordinal);
        Assert.Equal((1, 0), (b.Node.Status.Quarantined, c.Node.Status.Quarantined));
        Assert.Equal(PeerLinkState.Streaming, b.StatusOf(a).Receiving);

        Assert.Equal(0, await b.Node.Quarantine.RetryAsync(entry.Id, Token));
        Assert.Equal(4, Assert.Single(await b.Node.Quarantine.ListAsync(Token)).Attempts);
        b.Refuses = null;
        Assert.Equal(1, await b.Node.Quarantine.RetryAsync(entry.Id, Token));
        await cluster.QuietAsync();
        cluster.AssertIdentical();
        Assert.Empty(await b.Node.Quarantine.ListAsync(Token));
        Assert.All(cluster.Nodes, node => Assert.Equal((0, 0L), (node.Node.Status.Quarantined, node.Node.Status.Conflicts)));
    }

    [Fact]
    [Trait("Story", "26")]
    public async Task Later_writes_of_its_rows_wait_behind_it_and_follow_it_in_order()
    {
        await using var cluster = await StartAsync();
        var (a, b, c) = (cluster[0], cluster[1], cluster[2]);
        b.Refuses = static (_, v) => v == "bad";
        await a.InsertAsync("lww", "1", "bad");
        await a.UpdateAsync("lww", "1", "better");
        await cluster.UntilAsync("c has a's update", () => c.Row("lww", "1") == "better");
        await c.UpdateAsync("lww", "1", "best");
        await c.InsertAsync("lww", "2", "other");
        await cluster.UntilAsync("b has put three aside and gone on", () => b.Node.Status.Quarantined == 3 && b.Row("lww", "2") == "other");
        Assert.Null(b.Row("lww", "1"));
        var entries = await b.Node.Quarantine.ListAsync(Token);
        Assert.Equal(["AA4001", "AA4002", "AA4002"], entries.Select(e => e.Code));
        Assert.Contains($"(entry {entries[0].Id})", entries[1].Reason, StringComparison.Ordinal);

        // Not past what keeps them there.
        Assert.Equal(0, await b.Node.Quarantine.RetryAsync(entries[2].Id, Token));
        b.Refuses = null;
        Assert.Equal(3, await b.Node.Quarantine.RetryAsync(entries[0].Id, Token));
        await cluster.QuietAsync();
        Assert.Equal("best", b.Row("lww", "1"));
        cluster.AssertIdentical();
        Assert.All(cluster.Nodes, node => Assert.Equal(0, node.Node.Status.Conflicts));
    }

    [Fact]
    [Trait("Story", "26")]
    public async Task Local_write_of_its_row_has_not_seen_it()
    {
        await using var cluster = await StartAsync();
        var (a, b, c) = (cluster[0], cluster[1], cluster[2]);
        b.Refuses = static (_, v) => v == "bad";
        await a.InsertAsync("merged", "1", "bad");
        await cluster.UntilAsync("b has put it aside", () => b.Node.Status.Quarantined == 1);
        await b.InsertAsync("merged", "1", "mine");
        await cluster.UntilAsync("a and c merge the two", () => a.Row("merged", "1") == "(bad>mine)" && c.Row("merged", "1") == "(bad>mine)");

        Assert.Equal(1, await b.Node.Quarantine.RetryAllAsync(Token));
        await cluster.QuietAsync();
        cluster.AssertIdentical();
        Assert.All(cluster.Nodes, node => Assert.Equal(1, node.Node.Status.Conflicts));
        // From here on b has seen it: no conflict any more.
        await b.UpdateAsync("merged", "1", "new");
        await cluster.QuietAsync();
        Assert.Equal("new", c.Row("merged", "1"));
        cluster.AssertIdentical();
    }

    [Fact]
    [Trait("Story", "14")]
    public async Task Deltas_that_met_no_quarantined_delete_die_with_it()
    {
        await using var cluster = await StartAsync();
        var (a, b, c) = (cluster[0], cluster[1], cluster[2]);
        b.Refuses = static (_, v) => v == "bad";
        await a.InsertAsync("delta", "1", "x", "5");
        await cluster.QuietAsync();
        await a.RunAsync(a.Delete("delta", "1"), a.Insert("lww", "1", "bad"));
        await cluster.UntilAsync("b has put it aside, and c applied it", () => b.Node.Status.Quarantined == 1 && c.Row("lww", "1") is not null);
        await c.InsertAsync("delta", "1", "again", "10");
        await b.AddAsync("1", 1);
        Assert.Equal("x|6", b.Row("delta", "1"));
        await cluster.UntilAsync("b put c's insert behind", () => b.Node.Status.Quarantined == 2);

        b.Refuses = null;
        Assert.Equal(2, await b.Node.Quarantine.RetryTableAsync(TableName.Parse("lww"), Token));
        await cluster.QuietAsync();
        Assert.Equal("again|10", b.Row("delta", "1"));
        cluster.AssertIdentical();
    }

    [Fact]
    [Trait("Story", "37")]
    public async Task What_it_has_not_seen_is_kept_until_it_is_applied()
    {
        var clock = new FakeTimeProvider(DateTimeOffset.UtcNow);
        await using var cluster = await StartAsync(clock: clock);
        var (a, b, c) = (cluster[0], cluster[1], cluster[2]);
        b.Refuses = static (_, v) => v == "bad";
        cluster.Network.Cut(a.Node.Name, c.Node.Name);
        await a.InsertAsync("lww", "1", "bad");
        await cluster.UntilAsync("b has put it aside", () => b.Node.Status.Quarantined == 1);
        await c.InsertAsync("lww", "1", "c's");
        await c.DeleteAsync("lww", "1");
        cluster.Network.Heal(a.Node.Name, c.Node.Name);
        await cluster.QuietAsync();
        // Twice the interval at which what is stable is collected.
        var later = clock.GetUtcNow() + TimeSpan.FromMinutes(2);
        await cluster.UntilAsync("two minutes pass", () => clock.GetUtcNow() > later);
        Assert.True(b.Database.NoteCount > 0, "The tombstone that the transaction must meet is gone.");

        b.Refuses = null;
        Assert.Equal(1, await b.Node.Quarantine.RetryAllAsync(Token));
        Assert.Null(b.Row("lww", "1"));
        cluster.AssertIdentical();
        await cluster.UntilAsync("all is collected", () => cluster.Nodes.All(n => n.Database.NoteCount == 0));
    }

    [Fact]
    [Trait("Story", "18")]
    public async Task Quarantine_survives_a_crash_with_what_it_keeps_back()
    {
        await using var cluster = await StartAsync();
        var (a, b, c) = (cluster[0], cluster[1], cluster[2]);
        b.Refuses = static (_, v) => v == "bad";
        for (var i = 0; i < 10; i++)
        {
            await a.InsertAsync("merged", $"{i}", "bad");
            if (i % 3 == 1) b.Database.Crash();
        }

        await cluster.UntilAsync("b has put all aside", () => b.Node.Status.Quarantined == 10);
        b.Database.Crash();
        await b.InsertAsync("merged", "4", "mine");
        await a.UpdateAsync("merged", "5", "later");
        await cluster.UntilAsync("b has put the update behind, and c merged", () => b.Node.Status.Quarantined == 11 && c.Row("merged", "4") == "(bad>mine)");

        b.Refuses = null;
        for (var round = 0; (await b.Node.Quarantine.ListAsync(Token)).Count > 0; round++)
        {
            try
            {
                var retrying = b.Node.Quarantine.RetryAllAsync(Token);
                // Commits that were not durable are lost, and their transactions are in quarantine again.
                if (round < 2) b.Database.Crash();
                await retrying;
            }
            catch (ReplicationException)
            {
                await cluster.UntilAsync("b is up again", () => b.Node.Status.State == NodeState.Running);
            }
        }

        await cluster.QuietAsync();
        Assert.Equal("later", b.Row("merged", "5"));
        cluster.AssertIdentical();
    }

    [Fact]
    [Trait("Story", "28")]
    public async Task Large_transaction_is_put_aside_and_taken_back_in_parts()
    {
        await using var cluster = await StartAsync(o => o.MaxChangesPerPart = 2);
        var (a, b) = (cluster[0], cluster[1]);
        b.Refuses = static (_, v) => v == "bad";
        await a.RunAsync([.. Enumerable.Range(0, 7).Select(i => a.Insert("lww", $"{i}", i == 4 ? "bad" : "good"))]);
        await a.InsertAsync("lww", "9", "good");
        await cluster.UntilAsync("b has put it aside and gone on", () => b.Row("lww", "9") is not null);
        Assert.Equal(7, Assert.Single(await b.Node.Quarantine.ListAsync(Token)).Changes);
        Assert.Null(b.Row("lww", "0"));

        b.Refuses = null;
        Assert.Equal(1, await b.Node.Quarantine.RetryAllAsync(Token));
        cluster.AssertIdentical();
    }

    [Fact]
    [Trait("Story", "26")]
    public async Task Transaction_that_writes_a_held_table_too_holds_its_stream()
    {
        await using var cluster = await StartAsync(o =>
        {
            o.OnApplyError = ApplyErrorPolicy.Hold;
            o.Tables.Add(new TableRule { Pattern = "public.lww", OnApplyError = ApplyErrorPolicy.Quarantine });
            o.MaxChangesPerPart = 1;
        });
        var (a, b) = (cluster[0], cluster[1]);
        b.Refuses = static (_, v) => v == "bad";
        await a.RunAsync(a.Insert("lww", "1", "bad"), a.Insert("delta", "1", "x", "1"));
        await cluster.UntilAsync("b holds and says why", () => b.StatusOf(a) is { Receiving: PeerLinkState.Holding, Message: { } message }
            && message.Contains("writes public.delta, too, whose policy is Hold", StringComparison.Ordinal));
        Assert.Equal(0, b.Node.Status.Quarantined);

        b.Refuses = null;
        await cluster.QuietAsync();
        cluster.AssertIdentical();
    }

    [Fact]
    [Trait("Story", "26")]
    public async Task Discarded_transaction_is_recorded_and_what_waited_behind_it_applied()
    {
        await using var cluster = await StartAsync();
        var (a, b) = (cluster[0], cluster[1]);
        await a.InsertAsync("lww", "1", "old");
        await cluster.QuietAsync();
        b.Refuses = static (_, v) => v == "bad";
        await a.UpdateAsync("lww", "1", "bad");
        await a.UpdateAsync("lww", "1", "good");
        await cluster.UntilAsync("b has put both aside", () => b.Node.Status.Quarantined == 2);
        var entry = (await b.Node.Quarantine.ListAsync(Token))[0];
        await b.Node.Quarantine.DiscardAsync(entry.Id, Token);

        await cluster.QuietAsync();
        cluster.AssertIdentical();
        Assert.Equal("good", b.Row("lww", "1"));
        var record = Assert.Single(await b.Node.Conflicts.QueryAsync(cancellationToken: Token).ToListAsync(Token));
        Assert.Equal((ConflictType.Discarded, ConflictOutcome.Skip, "old", "bad"), (record.Type, record.Outcome, record.LocalRow!["v"], record.RemoteRow!["v"]));
        Assert.Equal((entry.Position, b.Node.Name), (record.RemoteVersion.Position, record.Winner));
        Assert.Contains("check constraint refused", record.Reason, StringComparison.Ordinal);
        await Assert.ThrowsAsync<ArgumentException>(() => b.Node.Quarantine.DiscardAsync(entry.Id, Token));
        await cluster.UntilAsync("the checkpoint moves again", () => cluster.Nodes.All(n => n.Node.Status.RetainedBytes < 200));
    }

    private static Task<MemoryCluster> StartAsync(Action<ReplicationNodeOptions>? configure = null, FakeTimeProvider? clock = null) => MemoryCluster.StartAsync(s_names, o =>
    {
        o.OnApplyError = ApplyErrorPolicy.Quarantine;
        configure?.Invoke(o);
    }, clock);
}
