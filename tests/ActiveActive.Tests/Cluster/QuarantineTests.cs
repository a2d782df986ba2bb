using ActiveActive.Changes;
using ActiveActive.Testing;

namespace ActiveActive.Tests.Cluster;

/// <summary>
/// Transactions that a node refuses for good, under the policy Quarantine: put aside whole, in nobody's way but of those that come after
/// them, and applied later as if they had only been late.
/// </summary>
public sealed class QuarantineTests
{
    private static readonly string[] s_names = ["a", "b", "c"];

    private static readonly Func<TableName, ColumnValue[], string?> s_noBad = static (_, row) => row[1].Text == "bad" ? "no_bad" : null;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    [Trait("Story", "15")]
    [Trait("Story", "26")]
    public async Task Refused_transaction_is_put_aside_whole_while_the_stream_goes_on()
    {
        await using var cluster = await StartAsync();
        var (a, b, c) = (cluster[0], cluster[1], cluster[2]);
        b.Refuses = s_noBad;
        await a.TransactAsync(async t =>
        {
            await t.InsertAsync("lww", ("id", "1"), ("v", "good"));
            await t.InsertAsync("lww", ("id", "2"), ("v", "bad"));
            await t.InsertAsync("delta", ("id", "1"), ("v", "x"), ("n", "5"));
        });
        await a.PutAsync("lww", "3", "good");
        await cluster.UntilAsync("b and c have the later transaction", () => b.Text("lww", "3") is not null && c.Text("lww", "3") is not null);

        Assert.Null(b.Text("lww", "1"));
        Assert.Null(b.Text("delta", "1"));
        Assert.Equal("bad", c.Text("lww", "2"));
        var entry = Assert.Single(await b.Replication.Quarantine.ListAsync(Token));
        Assert.Equal((a.Name, 3L, "AA4001", 3, false), (entry.Origin, entry.Changes, entry.Code, entry.Attempts, entry.IsBehindAnother));
        Assert.Equal(["public.delta", "public.lww"], entry.Tables.Select(t => t.ToString()));
        Assert.Contains("public.lww violates the check constraint no_bad", entry.Reason, StringComparison.Ordinal);
        Assert.Equal((1, 0), (b.Replication.Status.Quarantined, c.Replication.Status.Quarantined));
        Assert.Equal(PeerLinkState.Streaming, b.StatusOf(a).Receiving);

        Assert.Equal(0, await cluster.RunAsync("it is retried", () => b.Replication.Quarantine.RetryAsync(entry.Id, Token)));
        Assert.Equal(4, Assert.Single(await b.Replication.Quarantine.ListAsync(Token)).Attempts);
        b.Refuses = null;
        Assert.Equal(1, await cluster.RunAsync("it is retried", () => b.Replication.Quarantine.RetryAsync(entry.Id, Token)));
        await cluster.ConvergeAsync();
        Assert.Empty(await b.Replication.Quarantine.ListAsync(Token));
        Assert.All(cluster.Nodes, node => Assert.Equal((0, 0), (node.Replication.Status.Quarantined, node.Conflicts.Count)));
    }

    [Fact]
    [Trait("Story", "26")]
    public async Task Later_writes_of_its_rows_wait_behind_it_and_follow_it_in_order()
    {
        await using var cluster = await StartAsync();
        var (a, b, c) = (cluster[0], cluster[1], cluster[2]);
        b.Refuses = s_noBad;
        await a.PutAsync("lww", "1", "bad");
        await a.SetAsync("lww", "1", "better");
        await cluster.UntilAsync("c has a's update", () => c.Text("lww", "1") == "better");
        await c.SetAsync("lww", "1", "best");
        await c.PutAsync("lww", "2", "other");
        await cluster.UntilAsync("b has put three aside and gone on", () => b.Replication.Status.Quarantined == 3 && b.Text("lww", "2") == "other");
        Assert.Null(b.Text("lww", "1"));
        var entries = await b.Replication.Quarantine.ListAsync(Token);
        Assert.Equal(["AA4001", "AA4002", "AA4002"], entries.Select(e => e.Code));
        Assert.Contains($"(entry {entries[0].Id})", entries[1].Reason, StringComparison.Ordinal);

        // Not past what keeps them there.
        Assert.Equal(0, await cluster.RunAsync("it is retried", () => b.Replication.Quarantine.RetryAsync(entries[2].Id, Token)));
        b.Refuses = null;
        Assert.Equal(3, await cluster.RunAsync("it is retried", () => b.Replication.Quarantine.RetryAsync(entries[0].Id, Token)));
        await cluster.ConvergeAsync();
        Assert.Equal("best", b.Text("lww", "1"));
        Assert.All(cluster.Nodes, node => Assert.Empty(node.Conflicts));
    }

    [Fact]
    [Trait("Story", "26")]
    public async Task Local_write_of_its_row_has_not_seen_it()
    {
        await using var cluster = await StartAsync();
        var (a, b, c) = (cluster[0], cluster[1], cluster[2]);
        b.Refuses = s_noBad;
        await a.PutAsync("merged", "1", "bad");
        await cluster.UntilAsync("b has put it aside", () => b.Replication.Status.Quarantined == 1);
        await b.PutAsync("merged", "1", "mine");
        await cluster.UntilAsync("a and c merge the two", () => a.Text("merged", "1") == "(bad>mine)" && c.Text("merged", "1") == "(bad>mine)");

        Assert.Equal(1, await cluster.RunAsync("it is retried", () => b.Replication.Quarantine.RetryAllAsync(Token)));
        await cluster.ConvergeAsync();
        Assert.All(cluster.Nodes, node => Assert.Single(node.Conflicts));
        // From here on b has seen it: no conflict any more.
        await b.SetAsync("merged", "1", "new");
        await cluster.ConvergeAsync();
        Assert.Equal("new", c.Text("merged", "1"));
    }

    [Fact]
    [Trait("Story", "14")]
    public async Task Deltas_that_met_no_quarantined_delete_die_with_it()
    {
        await using var cluster = await StartAsync();
        var (a, b, c) = (cluster[0], cluster[1], cluster[2]);
        b.Refuses = s_noBad;
        await a.PutAsync("delta", "1", "x", "5");
        await cluster.ConvergeAsync();
        await a.TransactAsync(async t =>
        {
            await t.DeleteAsync("delta", "1");
            await t.InsertAsync("lww", ("id", "1"), ("v", "bad"));
        });
        await cluster.UntilAsync("b has put it aside, and c applied it", () => b.Replication.Status.Quarantined == 1 && c.Text("lww", "1") is not null);
        await c.PutAsync("delta", "1", "again", "10");
        await b.AddAsync("delta", "n", 1, "1");
        Assert.Equal("x|6", b.Text("delta", "1"));
        await cluster.UntilAsync("b put c's insert behind", () => b.Replication.Status.Quarantined == 2);

        b.Refuses = null;
        Assert.Equal(2, await cluster.RunAsync("it is retried", () => b.Replication.Quarantine.RetryTableAsync(TableName.Parse("lww"), Token)));
        await cluster.ConvergeAsync();
        Assert.Equal("again|10", b.Text("delta", "1"));
    }

    [Fact]
    [Trait("Story", "37")]
    public async Task What_it_has_not_seen_is_kept_until_it_is_applied()
    {
        await using var cluster = await StartAsync();
        var (a, b, c) = (cluster[0], cluster[1], cluster[2]);
        b.Refuses = s_noBad;
        cluster.Partition(a, c);
        await a.PutAsync("lww", "1", "bad");
        await cluster.UntilAsync("b has put it aside", () => b.Replication.Status.Quarantined == 1);
        await c.PutAsync("lww", "1", "c's");
        await c.DeleteAsync("lww", "1");
        cluster.Heal();
        // Twice the interval at which what is stable is collected.
        await cluster.PassAsync(TimeSpan.FromMinutes(2));
        Assert.True(b.Database.NoteCount > 0, "The tombstone that the transaction must meet is gone.");

        b.Refuses = null;
        Assert.Equal(1, await cluster.RunAsync("it is retried", () => b.Replication.Quarantine.RetryAllAsync(Token)));
        Assert.Null(b.Text("lww", "1"));
        await cluster.ConvergeAsync();
        await cluster.PassAsync(TimeSpan.FromMinutes(2));
        Assert.All(cluster.Nodes, n => Assert.Equal(0, n.Database.NoteCount));
    }

    [Fact]
    [Trait("Story", "18")]
    public async Task Quarantine_survives_a_crash_with_what_it_keeps_back()
    {
        await using var cluster = await StartAsync();
        var (a, b, c) = (cluster[0], cluster[1], cluster[2]);
        b.Refuses = s_noBad;
        for (var i = 0; i < 10; i++)
        {
            await a.PutAsync("merged", $"{i}", "bad");
            await cluster.PassAsync(TimeSpan.FromMilliseconds(100));
            if (i % 3 == 1) cluster.CrashDatabase(b);
        }

        await cluster.UntilAsync("b has put all aside", () => b.Replication.Status.Quarantined == 10);
        cluster.CrashDatabase(b);
        await b.PutAsync("merged", "4", "mine");
        await a.SetAsync("merged", "5", "later");
        await cluster.UntilAsync("b has put the update behind, and c merged", () => b.Replication.Status.Quarantined == 11 && c.Text("merged", "4") == "(bad>mine)");

        b.Refuses = null;
        for (var round = 0; (await b.Replication.Quarantine.ListAsync(Token)).Count > 0; round++)
        {
            try
            {
                await cluster.RunAsync("all are retried", () =>
                {
                    var retrying = b.Replication.Quarantine.RetryAllAsync(Token);
                    // Commits that were not durable are lost, and their transactions are in quarantine again.
                    if (round < 2) cluster.CrashDatabase(b);
                    return retrying;
                });
            }
            catch (ReplicationException)
            {
                await cluster.UntilAsync("b is up again", () => b.Replication.Status.State == NodeState.Running);
            }
        }

        await cluster.ConvergeAsync();
        Assert.Equal("later", b.Text("merged", "5"));
    }

    [Fact]
    [Trait("Story", "28")]
    public async Task Large_transaction_is_put_aside_and_taken_back_in_parts()
    {
        await using var cluster = await StartAsync(o => o.MaxChangesPerPart = 2);
        var (a, b) = (cluster[0], cluster[1]);
        b.Refuses = s_noBad;
        await a.TransactAsync(async t =>
        {
            for (var i = 0; i < 7; i++) await t.InsertAsync("lww", ("id", $"{i}"), ("v", i == 4 ? "bad" : "good"));
        });
        await a.PutAsync("lww", "9", "good");
        await cluster.UntilAsync("b has put it aside and gone on", () => b.Text("lww", "9") is not null);
        Assert.Equal(7, Assert.Single(await b.Replication.Quarantine.ListAsync(Token)).Changes);
        Assert.Null(b.Text("lww", "0"));

        b.Refuses = null;
        Assert.Equal(1, await cluster.RunAsync("it is retried", () => b.Replication.Quarantine.RetryAllAsync(Token)));
        await cluster.ConvergeAsync();
    }

    [Fact]
    [Trait("Story", "26")]
    public async Task Transaction_that_writes_a_held_table_too_holds_its_stream()
    {
        await using var cluster = await StartAsync(o =>
        {
            o.OnApplyError = ApplyErrorPolicy.Hold;
            o.Tables.Single(t => t.Pattern == "public.lww").OnApplyError = ApplyErrorPolicy.Quarantine;
            o.MaxChangesPerPart = 1;
        });
        var (a, b) = (cluster[0], cluster[1]);
        b.Refuses = s_noBad;
        await a.TransactAsync(async t =>
        {
            await t.InsertAsync("lww", ("id", "1"), ("v", "bad"));
            await t.InsertAsync("delta", ("id", "1"), ("v", "x"), ("n", "1"));
        });
        await cluster.UntilAsync("b holds and says why", () => b.StatusOf(a) is { Receiving: PeerLinkState.Holding, Message: { } message }
            && message.Contains("writes public.delta, too, whose policy is Hold", StringComparison.Ordinal));
        Assert.Equal(0, b.Replication.Status.Quarantined);

        b.Refuses = null;
        await cluster.ConvergeAsync();
    }

    [Fact]
    [Trait("Story", "26")]
    public async Task Discarded_transaction_is_recorded_and_what_waited_behind_it_applied()
    {
        await using var cluster = await StartAsync();
        var (a, b) = (cluster[0], cluster[1]);
        await a.PutAsync("lww", "1", "old");
        await cluster.ConvergeAsync();
        b.Refuses = s_noBad;
        await a.SetAsync("lww", "1", "bad");
        await a.SetAsync("lww", "1", "good");
        await cluster.UntilAsync("b has put both aside", () => b.Replication.Status.Quarantined == 2);
        var entry = (await b.Replication.Quarantine.ListAsync(Token))[0];
        await cluster.RunAsync("it is discarded", async () =>
        {
            await b.Replication.Quarantine.DiscardAsync(entry.Id, Token);
            return true;
        });

        await cluster.ConvergeAsync();
        Assert.Equal("good", b.Text("lww", "1"));
        var record = Assert.Single(b.Conflicts);
        Assert.Equal((ConflictType.Discarded, ConflictOutcome.Skip, "old", "bad"), (record.Type, record.Outcome, record.LocalRow!["v"], record.RemoteRow!["v"]));
        Assert.Equal((entry.Position, b.Name), (record.RemoteVersion.Position, record.Winner));
        Assert.Contains("check constraint no_bad", record.Reason, StringComparison.Ordinal);
        await Assert.ThrowsAsync<ArgumentException>(() => b.Replication.Quarantine.DiscardAsync(entry.Id, Token));
        await cluster.UntilAsync("the checkpoint moves again", () => cluster.Nodes.All(n => n.Replication.Status.RetainedBytes < 200));
    }

    [Fact]
    [Trait("Story", "26")]
    public async Task Discard_that_becomes_a_deadlock_s_victim_is_tried_again()
    {
        await using var cluster = await StartAsync();
        var (a, b) = (cluster[0], cluster[1]);
        foreach (var key in (string[])["1", "2", "3"]) await a.PutAsync("lww", key, "old");
        await cluster.ConvergeAsync();
        b.Refuses = s_noBad;
        await a.TransactAsync(async t =>
        {
            foreach (var key in (string[])["1", "2", "3"]) await t.UpdateAsync("lww", ("id", key), ("v", "bad"));
        });
        await cluster.UntilAsync("b has put it aside", () => b.Replication.Status.Quarantined == 1);
        var entry = Assert.Single(await b.Replication.Quarantine.ListAsync(Token));
        Task? discarding = null;
        await b.TransactAsync(async last =>
        {
            await last.ReadForUpdateAsync("lww", "3");
            Task? waiting = null;
            await b.TransactAsync(async first =>
            {
                await first.ReadForUpdateAsync("lww", "2");
                discarding = b.Replication.Quarantine.DiscardAsync(entry.Id, Token);
                await cluster.PassAsync(TimeSpan.FromSeconds(1));
                // The first row is taken by then; the third is not.
                waiting = last.ReadForUpdateAsync("lww", "1");
                Assert.False(waiting.IsCompleted);
            });
            await cluster.UntilAsync("the discard has let go of the first row", () => waiting!.IsCompleted);
            await waiting!;
        });
        await cluster.UntilAsync("it is discarded", () => discarding!.IsCompleted);
        await discarding!;
        Assert.Equal(3, b.Conflicts.Count(c => c.Type == ConflictType.Discarded));
    }

    private static Task<InMemoryCluster> StartAsync(Action<ReplicationNodeOptions>? configure = null) => TestTables.StartAsync(s_names, o =>
    {
        o.OnApplyError = ApplyErrorPolicy.Quarantine;
        configure?.Invoke(o);
    });
}
