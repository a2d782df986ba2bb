using ActiveActive.Testing;

namespace ActiveActive.Tests.Cluster;

/// <summary>The whole engine without a server: capture, feeds, links, apply, checkpoints.</summary>
public sealed class InMemoryClusterTests
{
    [Fact]
    public async Task Writes_on_all_nodes_converge_also_over_links_that_break()
    {
        await using var cluster = await TestTables.StartAsync("a", "b", "c");
        await cluster[0].PutAsync("delta", "0", "shared", "42");
        await cluster.ConvergeAsync();
        var random = new Random(11);
        for (var round = 0; round < 10; round++)
        {
            await LoadAsync(cluster, new Random(round));
            var (x, y) = (random.Next(3), random.Next(3));
            if (x == y) continue;
            cluster.Partition(cluster[x], cluster[y]);
            await LoadAsync(cluster, new Random(round + 50));
            await cluster.PassAsync(TimeSpan.FromMilliseconds(random.Next(500)));
            cluster.Heal();
        }

        await cluster.ConvergeAsync();
        Assert.All(cluster.Nodes, node => Assert.True(node.Conflicts.Count > 0, $"{node.Name} met no conflict at all."));
        Assert.All(cluster.Nodes, node => Assert.Equal("shared|42", node.Text("delta", "0")));
    }

    [Fact]
    [Trait("Story", "7")]
    public async Task Update_that_arrives_before_the_insert_it_saw_waits_for_it()
    {
        await using var cluster = await TestTables.StartAsync("a", "b", "c");
        var (a, b, c) = (cluster[0], cluster[1], cluster[2]);
        // What is paused is not relayed either.
        await c.Replication.PausePeerAsync(a.Name);
        await cluster.UntilAsync("c takes nothing from a", () => c.StatusOf(a).Receiving == PeerLinkState.Paused);
        await a.PutAsync("lww", "1", "inserted");
        await cluster.UntilAsync("b has a's row", () => b.Text("lww", "1") is not null);
        await b.SetAsync("lww", "1", "updated");
        await cluster.UntilAsync("c holds b's update and says why", () => c.StatusOf(b).Message?.Contains("waits for a ", StringComparison.Ordinal) == true);
        Assert.Null(c.Text("lww", "1"));

        await c.Replication.ResumePeerAsync(a.Name);
        await cluster.ConvergeAsync();
        Assert.Equal("updated", c.Text("lww", "1"));
        Assert.All(cluster.Nodes, node => Assert.Empty(node.Conflicts));
    }

    [Fact]
    public async Task Writes_are_concurrent_until_the_test_waits_for_the_cluster()
    {
        await using var cluster = await TestTables.StartAsync("a", "b");
        await cluster[0].PutAsync("merged", "1", "of a");
        await cluster[1].PutAsync("merged", "1", "of b");
        Assert.Equal(("of a", "of b"), (cluster[0].Text("merged", "1"), cluster[1].Text("merged", "1")));
        await cluster.ConvergeAsync();
        Assert.Equal("(of a>of b)", cluster[0].Text("merged", "1"));
        Assert.All(cluster.Nodes, node => Assert.Equal(ConflictOutcome.Merge, Assert.Single(node.Conflicts).Outcome));
    }

    [Fact]
    public async Task Transaction_arrives_whole_and_one_that_throws_leaves_nothing()
    {
        await using var cluster = await TestTables.StartAsync("a", "b");
        var (a, b) = (cluster[0], cluster[1]);
        var seen = await a.TransactAsync(async t =>
        {
            await t.InsertAsync("delta", ("id", "1"), ("v", "x"), ("n", "5"));
            await t.AddAsync("delta", "n", 37, "1");
            await t.InsertAsync("lww", ("id", "7"), ("v", "old key"));
            await t.UpdateAsync("lww", ["7"], Row.Of(("id", "8")));
            Assert.False(await t.DeleteAsync("lww", "7"));
            return t.Read("delta", "1");
        });
        Assert.Equal(Row.Of(("id", "1"), ("v", "x"), ("n", "42")), seen);
        await Assert.ThrowsAsync<NotSupportedException>(() => a.TransactAsync(async t =>
        {
            await t.TruncateAsync("delta");
            throw new NotSupportedException();
        }));
        await cluster.ConvergeAsync();
        Assert.Equal(("x|42", "old key"), (b.Text("delta", "1"), b.Text("lww", "8")));

        await a.TruncateAsync("delta");
        await cluster.ConvergeAsync();
        Assert.Empty(b.ReadAll("delta"));
    }

    [Fact]
    public async Task Transaction_waits_for_the_lock_of_another_and_the_cluster_goes_on_meanwhile()
    {
        await using var cluster = await TestTables.StartAsync("a", "b");
        var (a, b) = (cluster[0], cluster[1]);
        await a.PutAsync("delta", "1", "x");
        Task<bool>? waiting = null;
        await a.TransactAsync(async t =>
        {
            await t.AddAsync("delta", "n", 1, "1");
            waiting = a.AddAsync("delta", "n", 10, "1");
            await cluster.UntilAsync("b has a's insert, which was committed before", () => b.Text("delta", "1") is not null);
            Assert.False(waiting.IsCompleted);
        });
        Assert.True(await waiting!);
        await cluster.ConvergeAsync();
        Assert.Equal("x|11", b.Text("delta", "1"));
    }

    [Fact]
    public async Task Table_with_a_composite_key_and_large_values_is_a_table_like_any_other()
    {
        await using var cluster = await InMemoryCluster.StartAsync(2, options => options
            .Table(new TableDefinition("shop.lines", "note text", "number integer", "order_id integer") { Key = ["order_id", "number"], LargeColumns = ["note"] }));
        await cluster[0].InsertAsync("shop.lines", ("order_id", "7"), ("number", "2"), ("note", "long"));
        await cluster[0].InsertAsync("shop.lines", ("order_id", "7"), ("number", "1"));
        await cluster.ConvergeAsync();
        Assert.True(await cluster[1].UpdateAsync("shop.lines", ("order_id", "7"), ("number", "1"), ("note", "longer")));
        Assert.True(await cluster[1].DeleteAsync("shop.lines", "7", "2"));
        await cluster.ConvergeAsync();
        Assert.Equal(Row.Of(("note", "longer"), ("number", "1"), ("order_id", "7")), Assert.Single(cluster[0].ReadAll("shop.lines")));
        Assert.Contains("order_id, number", Assert.Throws<ArgumentException>(() => cluster[0].Read("shop.lines", "7")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Tables_and_rules_that_do_not_fit_are_refused_by_name()
    {
        var column = await Assert.ThrowsAsync<ArgumentException>(() => InMemoryCluster.StartAsync(1, o => o.Table("t", "id integer").Node(n => n.Replicate("public.t", r => r.DeltaColumn("n")))));
        Assert.Contains("Table public.t has no column 'n'", column.Message, StringComparison.Ordinal);
        var type = await Assert.ThrowsAsync<ArgumentException>(() => InMemoryCluster.StartAsync(1, o => o.Table("t", "id")));
        Assert.Contains("'id text'", type.Message, StringComparison.Ordinal);
        var both = await Assert.ThrowsAsync<Microsoft.Extensions.Options.OptionsValidationException>(() => InMemoryCluster.StartAsync(
            1, o => o.Table("t", "id integer", "n bigint").Node(n => n.Replicate("public.t", r => r.DeltaColumn("n").ResolveConflictsWith(new Throws())))));
        Assert.Contains("choose one", both.Message, StringComparison.Ordinal);

        await using var cluster = await InMemoryCluster.StartAsync(1, o => o.Table("t", "id integer"));
        var write = await Assert.ThrowsAsync<ArgumentException>(() => cluster[0].InsertAsync("t", ("id", "1"), ("w", "x")));
        Assert.Contains("no column 'w'; it has: id", write.Message, StringComparison.Ordinal);
    }

    /// <summary>Each node has a resolver of its own, made as dependency injection makes it.</summary>
    [Fact]
    public async Task Nodes_that_differ_are_shown_row_by_row_with_their_writers()
    {
        await using var cluster = await InMemoryCluster.StartAsync(2, o => o.Table("t", "id integer", "v text").Node(n => n.ResolveConflictsWith<Undecided>("public.t")));
        await cluster[0].InsertAsync("t", ("id", "1"), ("v", "x"));
        await cluster[1].InsertAsync("t", ("id", "1"), ("v", "y"));
        await cluster[1].InsertAsync("t", ("id", "2"), ("v", "equal"));
        var failure = await Assert.ThrowsAsync<ConvergenceException>(() => cluster.ConvergeAsync(TimeSpan.FromSeconds(30)));
        Assert.Contains("1 row differs", failure.Message, StringComparison.Ordinal);
        Assert.Matches("""public\.t \["1"\]\n  a: id=1, v=\S+   \(written by b at 2026-01-01T[^)]*\)\n  b: id=1, v=\S+   \(written by a at 2026""", failure.Message);
        Assert.Contains("from b: all applied; Streaming", failure.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("equal", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_keeps_a_node_from_converging_is_named()
    {
        await using var cluster = await InMemoryCluster.StartAsync(3, o => o.Table("t", "id integer", "v text").Node(n => n.ResolveConflictsWith<Throws>("public.t")));
        var (a, b, c) = (cluster[0], cluster[1], cluster[2]);
        await a.InsertAsync("t", ("id", "1"), ("v", "x"));
        await b.InsertAsync("t", ("id", "1"), ("v", "y"));
        cluster.Partition(a, c);
        cluster.SkewClock(c, TimeSpan.FromSeconds(-3));
        var failure = await Assert.ThrowsAsync<ConvergenceException>(() => cluster.ConvergeAsync());
        Assert.Contains("c: id=1, v=y", failure.Message, StringComparison.Ordinal);
        Assert.Matches("from b: not applied after the start, b has committed up to 0/[0-9A-F]+; Holding: Resolver .*Throws failed for a row of public.t", failure.Message);
        Assert.Contains("a and c are partitioned.", failure.Message, StringComparison.Ordinal);
        Assert.Contains("The clock of c is -00:00:03 ahead.", failure.Message, StringComparison.Ordinal);

        cluster.Crash(a);
        await cluster.ConvergeAsync();
        await c.InsertAsync("t", ("id", "2"), ("v", "z"));
        cluster.Partition(b, c);
        failure = await Assert.ThrowsAsync<ConvergenceException>(() => cluster.ConvergeAsync());
        Assert.Contains("Node a is crashed", failure.Message, StringComparison.Ordinal);
        Assert.Contains("b: no row", failure.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("  a:", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Condition_that_never_holds_is_named_and_the_wait_is_the_clusters()
    {
        await using var cluster = await TestTables.StartAsync("a", "b");
        var before = cluster.Elapsed;
        var failure = await Assert.ThrowsAsync<TimeoutException>(() => cluster.UntilAsync("the cows come home", () => false));
        Assert.Contains("the cows come home", failure.Message, StringComparison.Ordinal);
        Assert.InRange(cluster.Elapsed - before, TimeSpan.FromSeconds(60), TimeSpan.FromSeconds(61));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => cluster.UntilAsync("nothing", () => false, new CancellationToken(canceled: true)));
        var crash = await Assert.ThrowsAsync<InvalidOperationException>(() => cluster.UntilAsync("it throws", () => throw new InvalidOperationException("of the test")));
        Assert.Equal("of the test", crash.Message);
    }

    private static async Task LoadAsync(InMemoryCluster cluster, Random random)
    {
        for (var i = 0; i < 30; i++)
        {
            var node = cluster[i % 3];
            var key = $"{random.Next(1, 4)}";
            var value = $"{node.Name}{random.Next(100)}";
            await (random.Next(9) switch
            {
                0 => node.PutAsync("lww", key, value),
                1 or 2 => node.SetAsync("lww", key, value),
                3 => node.DeleteAsync("lww", key),
                4 => node.PutAsync("delta", key, value, "10"),
                5 => node.AddAsync("delta", "n", random.Next(-5, 6), key),
                6 => node.DeleteAsync("delta", key),
                7 => node.PutAsync("merged", key, value),
                _ => node.SetAsync("merged", key, value),
            });
            // +1 −1: whatever else happens, the sum stays.
            await node.AddAsync("delta", "n", 1, "0");
            await node.AddAsync("delta", "n", -1, "0");
            if (random.Next(3) == 0) await cluster.PassAsync(TimeSpan.FromMilliseconds(1));
        }
    }

    private sealed class Undecided : IConflictResolver
    {
        private readonly string _answer = Guid.NewGuid().ToString("N");

        public ConflictResolution Resolve(Conflict conflict) => ConflictResolution.Merge(conflict.Remote.With("v", _answer));
    }

    private sealed class Throws : IConflictResolver
    {
        public ConflictResolution Resolve(Conflict conflict) => throw new NotSupportedException();
    }
}
