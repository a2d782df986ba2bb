using System.Collections.Concurrent;
using System.Diagnostics;
using System.Diagnostics.Metrics;
using ActiveActive.Commands;
using ActiveActive.Diagnostics;
using ActiveActive.Testing;
using ActiveActive.Tests.Cluster;
using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace ActiveActive.Tests.Hosting;

/// <summary>What an application sees of a <see cref="ReplicationNode"/>: status, pause, conflicts, meter, spans, health.</summary>
public sealed class NodeTests
{
    [Fact]
    public async Task Paused_peer_is_not_applied_and_all_of_it_after_resuming()
    {
        await using var cluster = await TestTables.StartAsync("a", "b", "c");
        var (a, b, c) = (cluster[0], cluster[1], cluster[2]);
        await b.Replication.PausePeerAsync(a.Name);
        await cluster.UntilAsync("b has paused a", () => b.StatusOf(a).Receiving == PeerLinkState.Paused);
        for (var i = 0; i < 30; i++) await a.PutAsync("lww", $"{i}", "x");
        await c.PutAsync("delta", "1", "of c", "1");
        // c has a's rows and b has c's, which c wrote before it had any of a's: the pause stops one peer only.
        await cluster.UntilAsync("c has a's rows, and b has c's", () => c.Text("lww", "29") is not null && b.Text("delta", "1") is not null);
        Assert.Null(b.Text("lww", "0"));
        Assert.Equal(HealthStatus.Degraded, (await HealthAsync(b)).Status);

        await b.Replication.ResumePeerAsync(a.Name);
        await cluster.ConvergeAsync();
        Assert.NotNull(b.Text("lww", "29"));
        await Assert.ThrowsAsync<ArgumentException>(() => b.Replication.PausePeerAsync(new NodeName("nobody")));
    }

    [Fact]
    public async Task Pause_outlasts_the_host_and_ends_where_the_database_says_so()
    {
        await using var cluster = await TestTables.StartAsync("a", "b");
        var (a, b) = (cluster[0], cluster[1]);
        await b.Replication.PausePeerAsync(a.Name);
        cluster.Crash(b);
        await a.PutAsync("lww", "1", "x");
        await cluster.RestartAsync(b);
        await cluster.UntilAsync("b has paused a again", () => b.StatusOf(a) is { Receiving: PeerLinkState.Paused, IsPaused: true });
        Assert.Null(b.Text("lww", "1"));

        // By whichever instance, or by hand: whoever leads follows.
        await b.Database.Desk.SavePauseAsync(a.Name, isPaused: false, CancellationToken.None);
        await cluster.ConvergeAsync();
        Assert.Equal("x", b.Text("lww", "1"));
        Assert.Equal(PeerMembership.Joined, b.StatusOf(a).Membership);
    }

    [Fact]
    public async Task Idle_cluster_has_nothing_new_to_report()
    {
        await using var cluster = await TestTables.StartAsync("a", "b");
        var (a, b) = (cluster[0], cluster[1]);
        await a.PutAsync("lww", "1", "x");
        await cluster.ConvergeAsync();
        await cluster.UntilAsync("a knows what b applied", () => a.StatusOf(b).AcknowledgedPosition >= a.Replication.Status.PublishedPosition);
        var (before, after) = (b.Replication.Status, b.Replication.Status);
        await cluster.UntilAsync("heartbeats have passed", () => (after = b.Replication.Status).CheckpointPosition > before.CheckpointPosition);
        Assert.NotEqual(StatusReport.Of(before).ToJsonString(), StatusReport.Of(after).ToJsonString());
        Assert.Equal((StatusReport.StatesOf(before).ToJsonString(), StatusReport.CountOf(before)), (StatusReport.StatesOf(after).ToJsonString(), StatusReport.CountOf(after)));

        await a.PutAsync("lww", "2", "x");
        await cluster.ConvergeAsync();
        Assert.NotEqual(StatusReport.CountOf(after), StatusReport.CountOf(b.Replication.Status));
        await b.Replication.PausePeerAsync(a.Name);
        Assert.NotEqual(StatusReport.StatesOf(after).ToJsonString(), StatusReport.StatesOf(b.Replication.Status).ToJsonString());
    }

    [Fact]
    public async Task Status_tells_positions_lag_and_states()
    {
        await using var cluster = await TestTables.StartAsync("a", "b");
        var (a, b) = (cluster[0], cluster[1]);
        for (var i = 0; i < 5; i++) await a.PutAsync("lww", $"{i}", "x");
        await cluster.ConvergeAsync();
        await cluster.UntilAsync("a knows what b applied", () => a.StatusOf(b).AcknowledgedPosition >= a.Replication.Status.PublishedPosition);
        var (onA, onB) = (a.Replication.Status, b.StatusOf(a));
        Assert.Equal((NodeState.Running, 5L, null), (onA.State, onA.PublishedTransactions, onA.Message));
        Assert.Equal((5L, 0L, TimeSpan.Zero, 0L), (onB.AppliedTransactions, onB.LagBytes, onB.LagTime, onB.Retries));
        Assert.Equal((PeerLinkState.Streaming, PeerFeedState.Streaming, null), (onB.Receiving, onB.Sending, onB.Message));
        Assert.Equal(onA.PublishedPosition, a.StatusOf(b).SentPosition);
        Assert.True(onB.AppliedPosition >= onA.PublishedPosition);
        var health = await HealthAsync(a);
        Assert.Equal(HealthStatus.Healthy, health.Status);
        Assert.Contains("Streaming", (string)health.Data["b"], StringComparison.Ordinal);

        cluster.Partition(a, b);
        await cluster.UntilAsync("b misses a", () => b.StatusOf(a).Receiving == PeerLinkState.Disconnected);
        health = await HealthAsync(b);
        Assert.Equal(HealthStatus.Degraded, health.Status);
        Assert.Contains("Peer 'a' is", health.Description, StringComparison.Ordinal);

        b.Database.Crash(stayDown: true);
        await cluster.UntilAsync("b says that its database is down", () => b.Replication.Status.Message?.Contains("database", StringComparison.Ordinal) == true);
        Assert.Equal(HealthStatus.Unhealthy, (await HealthAsync(b)).Status);
        b.Database.Start();
        cluster.Heal();
        await cluster.UntilAsync("b is back", () => b.Replication.Status is { State: NodeState.Running, Message: null } && b.StatusOf(a).Receiving == PeerLinkState.Streaming);
    }

    [Fact]
    public async Task Conflicts_are_watched_live_counted_and_queried_by_table_type_time_and_page()
    {
        var measured = new ConcurrentBag<(string Instrument, long Value, string Tags)>();
        using var meters = new MeterListener { InstrumentPublished = (instrument, listener) => { if (instrument.Meter.Name == "ActiveActive") listener.EnableMeasurementEvents(instrument); } };
        meters.SetMeasurementEventCallback<long>((instrument, value, tags, _) => measured.Add((instrument.Name, value, string.Join(",", tags.ToArray().Select(t => $"{t.Key}={t.Value}")))));
        meters.Start();
        await using var cluster = await TestTables.StartAsync("watch1", "watch2");
        var (a, b) = (cluster[0], cluster[1]);
        await using var watching = b.Replication.Conflicts.WatchAsync(TestContext.Current.CancellationToken).GetAsyncEnumerator();
        var seen = watching.MoveNextAsync();
        await MakeConflictsAsync(cluster, "lww", 4);
        await MakeConflictsAsync(cluster, "delta", 2);
        Assert.True(await seen.AsTask().WaitAsync(TimeSpan.FromSeconds(30)));
        Assert.Equal(("public.lww", "0"), (watching.Current.Table.ToString(), watching.Current.Key.Single()));
        Assert.True(await watching.MoveNextAsync().AsTask().WaitAsync(TimeSpan.FromSeconds(30)));
        Assert.Equal("1", watching.Current.Key.Single());

        var all = await QueryAsync(b, new ConflictQuery());
        Assert.Equal(6, all.Count);
        Assert.Equal(all.OrderByDescending(r => r.Id).Select(r => r.Id), all.Select(r => r.Id));
        Assert.Equal(6, b.Replication.Status.Conflicts);
        Assert.Equal(2, (await QueryAsync(b, new ConflictQuery { Table = new("public", "delta") })).Count);
        Assert.Equal(6, (await QueryAsync(b, new ConflictQuery { Type = ConflictType.InsertExists })).Count);
        Assert.Empty(await QueryAsync(b, new ConflictQuery { Type = ConflictType.DeleteMissing }));
        Assert.Empty(await QueryAsync(b, new ConflictQuery { Since = DateTimeOffset.UtcNow.AddHours(1) }));
        var first = await QueryAsync(b, new ConflictQuery { Limit = 4 });
        var rest = await QueryAsync(b, new ConflictQuery { Limit = 4, BeforeId = first[^1].Id });
        Assert.Equal(all.Select(r => r.Id), first.Concat(rest).Select(r => r.Id));
        Assert.Throws<ArgumentOutOfRangeException>(() => b.Replication.Conflicts.QueryAsync(new ConflictQuery { Limit = 0 }));

        meters.RecordObservableInstruments();
        Assert.Equal(6, measured.Count(m => m.Instrument == "active_active.conflicts" && m.Tags == "node=watch2,peer=watch1,type=InsertExists"));
        Assert.Contains(measured, m => m.Instrument == "active_active.transactions.published" && m is { Value: 6, Tags: "node=watch1" });
        Assert.Contains(measured, m => m.Instrument == "active_active.transactions.applied" && m is { Value: 6, Tags: "node=watch2,peer=watch1" });
    }

    [Fact]
    public async Task Conflicts_older_than_their_retention_are_deleted()
    {
        await using var cluster = await TestTables.StartAsync(["a", "b"], o => o.ConflictRetention = TimeSpan.FromMinutes(1));
        await MakeConflictsAsync(cluster, "lww", 1);
        await cluster.PassAsync(TimeSpan.FromSeconds(55));
        Assert.Single(await QueryAsync(cluster[1], new ConflictQuery()));
        await cluster.PassAsync(TimeSpan.FromMinutes(2));
        Assert.Empty(await QueryAsync(cluster[1], new ConflictQuery()));
    }

    [Fact]
    public async Task Applied_transaction_is_a_span_where_someone_listens()
    {
        var spans = new ConcurrentBag<Activity>();
        using var listener = new ActivityListener
        {
            ShouldListenTo = source => source.Name == "ActiveActive", Sample = (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllData, ActivityStopped = spans.Add,
        };
        ActivitySource.AddActivityListener(listener);
        await using var cluster = await TestTables.StartAsync("span1", "span2");
        await cluster[0].PutAsync("lww", "1", "x");
        await cluster.ConvergeAsync();
        var span = Assert.Single(spans, s => (string?)s.GetTagItem("node") == "span2");
        Assert.Equal("apply", span.OperationName);
        Assert.Equal(("span1", cluster[0].Replication.Status.PublishedPosition.ToString(), 1), ((string?)span.GetTagItem("peer"), (string?)span.GetTagItem("position"), (int?)span.GetTagItem("changes")));
        Assert.True(span.Duration > TimeSpan.Zero);
    }

    [Fact]
    public async Task Stopping_node_lets_its_peer_take_a_burst_that_was_just_committed()
    {
        await using var cluster = await TestTables.StartAsync("a", "b");
        var (a, b) = (cluster[0], cluster[1]);
        for (var i = 0; i < 500; i++) await a.PutAsync("lww", $"{i}", "x");
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        await cluster.RunAsync("a has stopped", async () =>
        {
            await a.Replication.StopAsync(patience.Token);
            return true;
        });
        Assert.Equal(500, b.ReadAll("lww").Count);
        Assert.Equal(NodeState.Stopped, a.Replication.Status.State);
    }

    /// <summary>Inserts under the same keys on both nodes while they do not see each other.</summary>
    private static async Task MakeConflictsAsync(InMemoryCluster cluster, string table, int count)
    {
        var (a, b) = (cluster[0], cluster[1]);
        cluster.Partition(a, b);
        for (var i = 0; i < count; i++)
        {
            await a.PutAsync(table, $"{i}", "of a");
            await b.PutAsync(table, $"{i}", "of b");
        }

        cluster.Heal();
        await cluster.ConvergeAsync();
    }

    private static async Task<List<ConflictRecord>> QueryAsync(InMemoryNode node, ConflictQuery query)
    {
        var records = new List<ConflictRecord>();
        await foreach (var record in node.Replication.Conflicts.QueryAsync(query)) records.Add(record);
        return records;
    }

    private static Task<HealthCheckResult> HealthAsync(InMemoryNode node) => new ReplicationHealthCheck(node.Replication).CheckHealthAsync(new HealthCheckContext());
}
