using System.Collections.Concurrent;
using System.Diagnostics;
using System.Diagnostics.Metrics;
using ActiveActive.Diagnostics;
using ActiveActive.Tests.Cluster;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Time.Testing;

namespace ActiveActive.Tests.Hosting;

/// <summary>What an application sees of a <see cref="ReplicationNode"/>: status, pause, conflicts, meter, spans, health.</summary>
public sealed class NodeTests
{
    [Fact]
    public async Task Paused_peer_is_not_applied_and_all_of_it_after_resuming()
    {
        await using var cluster = await MemoryCluster.StartAsync(["a", "b", "c"]);
        var (a, b, c) = (cluster[0], cluster[1], cluster[2]);
        b.Node.PausePeer(a.Node.Name);
        await cluster.UntilAsync("b has paused a", () => b.StatusOf(a).Receiving == PeerLinkState.Paused);
        for (var i = 0; i < 30; i++) await a.InsertAsync("lww", $"{i}", "x");
        await c.InsertAsync("delta", "1", "of c", "1");
        // c has a's rows and b has c's, which c wrote before it had any of a's: the pause stops one peer only.
        await cluster.UntilAsync("c has a's rows, and b has c's", () => c.Row("lww", "29") is not null && b.Row("delta", "1") is not null);
        Assert.Null(b.Row("lww", "0"));
        Assert.Equal(HealthStatus.Degraded, (await HealthAsync(b)).Status);

        b.Node.ResumePeer(a.Node.Name);
        await cluster.QuietAsync();
        cluster.AssertIdentical();
        Assert.NotNull(b.Row("lww", "29"));
        Assert.Throws<ArgumentException>(() => b.Node.PausePeer(new NodeName("nobody")));
    }

    [Fact]
    public async Task Status_tells_positions_lag_and_states()
    {
        await using var cluster = await MemoryCluster.StartAsync(["a", "b"]);
        var (a, b) = (cluster[0], cluster[1]);
        for (var i = 0; i < 5; i++) await a.InsertAsync("lww", $"{i}", "x");
        await cluster.QuietAsync();
        await cluster.UntilAsync("a knows what b applied", () => a.StatusOf(b).AcknowledgedPosition >= a.Node.Status.PublishedPosition);
        var (onA, onB) = (a.Node.Status, b.StatusOf(a));
        Assert.Equal((NodeState.Running, 5L, null), (onA.State, onA.PublishedTransactions, onA.Message));
        Assert.Equal((5L, 0L, TimeSpan.Zero, 0L), (onB.AppliedTransactions, onB.LagBytes, onB.LagTime, onB.Retries));
        Assert.Equal((PeerLinkState.Streaming, PeerFeedState.Streaming, null), (onB.Receiving, onB.Sending, onB.Message));
        Assert.Equal(onA.PublishedPosition, a.StatusOf(b).SentPosition);
        Assert.True(onB.AppliedPosition >= onA.PublishedPosition);
        var health = await HealthAsync(a);
        Assert.Equal(HealthStatus.Healthy, health.Status);
        Assert.Contains("Streaming", (string)health.Data["b"], StringComparison.Ordinal);

        cluster.Network.Cut(a.Node.Name, b.Node.Name);
        await cluster.UntilAsync("b misses a", () => b.StatusOf(a).Receiving == PeerLinkState.Disconnected);
        health = await HealthAsync(b);
        Assert.Equal(HealthStatus.Degraded, health.Status);
        Assert.Contains("Peer 'a' is", health.Description, StringComparison.Ordinal);

        b.Database.Crash(stayDown: true);
        await cluster.UntilAsync("b says that its database is down", () => b.Node.Status.Message?.Contains("database", StringComparison.Ordinal) == true);
        Assert.Equal(HealthStatus.Unhealthy, (await HealthAsync(b)).Status);
        b.Database.Start();
        cluster.Network.Heal(a.Node.Name, b.Node.Name);
        await cluster.UntilAsync("b is back", () => b.Node.Status is { State: NodeState.Running, Message: null } && b.StatusOf(a).Receiving == PeerLinkState.Streaming);
    }

    [Fact]
    public async Task Conflicts_are_watched_live_counted_and_queried_by_table_type_time_and_page()
    {
        var measured = new ConcurrentBag<(string Instrument, long Value, string Tags)>();
        using var meters = new MeterListener { InstrumentPublished = (instrument, listener) => { if (instrument.Meter.Name == "ActiveActive") listener.EnableMeasurementEvents(instrument); } };
        meters.SetMeasurementEventCallback<long>((instrument, value, tags, _) => measured.Add((instrument.Name, value, string.Join(",", tags.ToArray().Select(t => $"{t.Key}={t.Value}")))));
        meters.Start();
        await using var cluster = await MemoryCluster.StartAsync(["watch1", "watch2"]);
        var (a, b) = (cluster[0], cluster[1]);
        await using var watching = b.Node.Conflicts.WatchAsync(TestContext.Current.CancellationToken).GetAsyncEnumerator();
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
        Assert.Equal(6, b.Node.Status.Conflicts);
        Assert.Equal(2, (await QueryAsync(b, new ConflictQuery { Table = new("public", "delta") })).Count);
        Assert.Equal(6, (await QueryAsync(b, new ConflictQuery { Type = ConflictType.InsertExists })).Count);
        Assert.Empty(await QueryAsync(b, new ConflictQuery { Type = ConflictType.DeleteMissing }));
        Assert.Empty(await QueryAsync(b, new ConflictQuery { Since = DateTimeOffset.UtcNow.AddHours(1) }));
        var first = await QueryAsync(b, new ConflictQuery { Limit = 4 });
        var rest = await QueryAsync(b, new ConflictQuery { Limit = 4, BeforeId = first[^1].Id });
        Assert.Equal(all.Select(r => r.Id), first.Concat(rest).Select(r => r.Id));
        Assert.Throws<ArgumentOutOfRangeException>(() => b.Node.Conflicts.QueryAsync(new ConflictQuery { Limit = 0 }));

        meters.RecordObservableInstruments();
        Assert.Equal(6, measured.Count(m => m.Instrument == "active_active.conflicts" && m.Tags == "node=watch2,peer=watch1,type=InsertExists"));
        Assert.Contains(measured, m => m.Instrument == "active_active.transactions.published" && m is { Value: 6, Tags: "node=watch1" });
        Assert.Contains(measured, m => m.Instrument == "active_active.transactions.applied" && m is { Value: 6, Tags: "node=watch2,peer=watch1" });
    }

    [Fact]
    public async Task Conflicts_older_than_their_retention_are_deleted()
    {
        var clock = new FakeTimeProvider(new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero));
        await using var cluster = await MemoryCluster.StartAsync(["a", "b"], o => o.ConflictRetention = TimeSpan.FromMinutes(1), clock);
        await MakeConflictsAsync(cluster, "lww", 1);
        var recorded = Assert.Single(await QueryAsync(cluster[1], new ConflictQuery())).RecordedAt;
        while ((await QueryAsync(cluster[1], new ConflictQuery())).Count > 0)
        {
            Assert.True(clock.GetUtcNow() < recorded.AddMinutes(5), "The conflict is still there.");
            clock.Advance(TimeSpan.FromSeconds(1));
            await Task.Yield();
        }

        Assert.True(clock.GetUtcNow() > recorded.AddMinutes(1), "The conflict was deleted too early.");
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
        await using var cluster = await MemoryCluster.StartAsync(["span1", "span2"]);
        await cluster[0].InsertAsync("lww", "1", "x");
        await cluster.QuietAsync();
        var span = Assert.Single(spans, s => (string?)s.GetTagItem("node") == "span2");
        Assert.Equal("apply", span.OperationName);
        Assert.Equal(("span1", cluster[0].Node.Status.PublishedPosition.ToString(), 1), ((string?)span.GetTagItem("peer"), (string?)span.GetTagItem("position"), (int?)span.GetTagItem("changes")));
        Assert.True(span.Duration > TimeSpan.Zero);
    }

    [Fact]
    public async Task Stopping_node_lets_its_peer_take_a_burst_that_was_just_committed()
    {
        await using var cluster = await MemoryCluster.StartAsync(["a", "b"]);
        var (a, b) = (cluster[0], cluster[1]);
        for (var i = 0; i < 500; i++) await a.InsertAsync("lww", $"{i}", "x");
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        await a.Node.StopAsync(patience.Token);
        Assert.Equal(a.Dump(), b.Dump());
        Assert.Equal(NodeState.Stopped, a.Node.Status.State);
    }

    /// <summary>Inserts under the same keys on both nodes while they do not see each other.</summary>
    private static async Task MakeConflictsAsync(MemoryCluster cluster, string table, int count)
    {
        var (a, b) = (cluster[0], cluster[1]);
        cluster.Network.Cut(a.Node.Name, b.Node.Name);
        for (var i = 0; i < count; i++)
        {
            await a.InsertAsync(table, $"{i}", table == "delta" ? ["of a", "1"] : ["of a"]);
            await b.InsertAsync(table, $"{i}", table == "delta" ? ["of b", "1"] : ["of b"]);
        }

        cluster.Network.Heal(a.Node.Name, b.Node.Name);
        await cluster.QuietAsync();
        cluster.AssertIdentical();
    }

    private static async Task<List<ConflictRecord>> QueryAsync(MemoryNode node, ConflictQuery query)
    {
        var records = new List<ConflictRecord>();
        await foreach (var record in node.Node.Conflicts.QueryAsync(query)) records.Add(record);
        return records;
    }

    private static Task<HealthCheckResult> HealthAsync(MemoryNode node) => new ReplicationHealthCheck(node.Node).CheckHealthAsync(new HealthCheckContext());
}
