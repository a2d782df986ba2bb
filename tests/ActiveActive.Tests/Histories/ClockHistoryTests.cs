using ActiveActive.Apply;
using ActiveActive.Changes;
using ActiveActive.Diagnostics;
using ActiveActive.Testing.Database;
using ActiveActive.Testing.Time;
using ActiveActive.Tests.Cluster;

namespace ActiveActive.Tests.Histories;

/// <summary>Convergence R4: stamps follow causality, whatever the servers' clocks say.</summary>
[Collection(PinnedHistory.Collection)]
public sealed class ClockHistoryTests
{
    private static readonly TimeSpan s_second = TimeSpan.FromSeconds(1);

    /// <summary>A time at which every clock can be made to stand.</summary>
    private static readonly DateTimeOffset s_stamp = NodeClock.Beginning + (60 * s_second);

    /// <summary>It has no switch: stamps that follow the log hold alone, too. The wait keeps what a node shows and what it stamps in one order.</summary>
    [Fact]
    [Trait("Story", "1")]
    public async Task Transaction_waits_until_the_servers_clock_is_past_its_stamp_and_not_at_it()
    {
        // B:I k(5), and the clock of A says 4, 5, 5, 6: a write of A's over it at 5 would have the same stamp, and the greater name would beat the later write.
        var stamp = CommitTimestamp.From(s_stamp);
        await using var database = new InMemoryDatabase(new InMemoryDatabaseOptions { Node = new("a"), Tables = [], Clock = new ScriptedClock(-1, 0, 0, 1) });
        await database.SetUpAsync(isJoining: false, CancellationToken.None);
        await using var session = await database.OpenApplySessionAsync(new("b"), CancellationToken.None);
        await new ApplyClock(TimeProvider.System).WaitUntilPastAsync(stamp, session, CancellationToken.None);
        Assert.Equal(1, session.ServerTime.Microseconds - stamp.Microseconds);
    }

    [Fact]
    [Trait("Story", "3")]
    public Task Equal_stamps_on_three_nodes_have_the_same_winner_in_every_order_of_arrival() => PinnedHistory.AssertAsync(Safeguard.TieByNode, 3, async cluster =>
    {
        // A:I k(5), B:I k(5), C:I k(5); A has B's first, C has A's first.
        var (a, b, c) = (cluster[0], cluster[1], cluster[2]);
        foreach (var node in cluster.Nodes)
        {
            node.Clock.StandsAt = s_stamp;
            await node.PutAsync("lww", "1", $"of {node.Name}");
            node.Clock.StandsAt = null;
        }

        cluster.Delay(c, a, s_second);
        cluster.Delay(b, c, s_second);
        await cluster.PassAsync(60 * s_second);
        await cluster.ConvergeAsync();
        Assert.All(cluster.Nodes, node => Assert.Equal("of c", node.Text("lww", "1")));
        Assert.Single(b.Conflicts, record => record.Winner == c.Name);
    });

    [Fact]
    [Trait("Story", "2")]
    public Task Write_after_the_clock_was_set_back_is_later_than_what_its_node_wrote_before() => PinnedHistory.AssertAsync(Safeguard.CorrectStamps, 2, async cluster =>
    {
        // A:I(10), then A's clock steps back, A:U(1); B:I(5) is newer than 1 and older than 10.
        var (a, b) = (cluster[0], cluster[1]);
        a.Clock.Offset = 10 * s_second;
        await a.PutAsync("lww", "1", "before the step");
        a.Clock.Offset = TimeSpan.Zero;
        await a.SetAsync("lww", "1", "after the step");
        b.Clock.Offset = 5 * s_second;
        await b.PutAsync("lww", "1", "b");
        await cluster.ConvergeAsync();
        Assert.All(cluster.Nodes, node => Assert.Equal("after the step", node.Text("lww", "1")));
    });

    [Fact]
    [Trait("Story", "2")]
    public Task Delete_after_the_clock_was_set_back_has_a_corrected_tombstone() => PinnedHistory.AssertAsync(Safeguard.CorrectStamps, 2, async cluster =>
    {
        // A:I(10), then A's clock steps back, A:D(1); B:I(5).
        var (a, b) = (cluster[0], cluster[1]);
        a.Clock.Offset = 10 * s_second;
        await a.PutAsync("lww", "1", "before the step");
        a.Clock.Offset = TimeSpan.Zero;
        await a.DeleteAsync("lww", "1");
        b.Clock.Offset = 5 * s_second;
        await b.PutAsync("lww", "1", "b");
        await cluster.ConvergeAsync();
        Assert.Null(b.Text("lww", "1"));
    });

    [Fact]
    [Trait("Story", "3")]
    public Task Row_that_everyone_has_is_not_taken_for_that_of_a_later_transaction_with_its_stamp() => PinnedHistory.AssertAsync(Safeguard.TiedStamps, 2, async cluster =>
    {
        // A:I j takes the stamp 5 and is not in the log yet; A:I k(5), which B has, and which A forgets for that; j's record is written; B:U k has seen k and not j.
        var (a, b) = (cluster[0], cluster[1]);
        a.Clock.StandsAt = s_stamp;
        var other = await SteppedCommit.StampAsync(cluster, a, t => t.InsertAsync("merged", ("id", "2"), ("v", "other")));
        await a.PutAsync("merged", "1", "old");
        a.Clock.StandsAt = null;
        await cluster.PassAsync(90 * s_second);
        Assert.Equal("old", b.Text("merged", "1"));
        cluster.Partition(a, b);
        await other.LogAsync();
        await other.ShowAsync();
        await b.SetAsync("merged", "1", "new");
        cluster.Heal();
        await cluster.ConvergeAsync();
        Assert.All(cluster.Nodes, node => Assert.Equal("new", node.Text("merged", "1")));
        Assert.All(cluster.Nodes, node => Assert.Empty(node.Conflicts));
    });

    /// <summary>Each look shows the next time, in microseconds from <see cref="s_stamp"/>.</summary>
    private sealed class ScriptedClock(params IEnumerable<int> microseconds) : TimeProvider
    {
        private readonly Queue<int> _next = new(microseconds);

        public override DateTimeOffset GetUtcNow() => s_stamp.AddMicroseconds(_next.Dequeue());
    }
}
