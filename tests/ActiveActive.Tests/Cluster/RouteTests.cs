using ActiveActive.Testing;

namespace ActiveActive.Tests.Cluster;

/// <summary>Tables that are on some nodes only.</summary>
public sealed class RouteTests
{
    private static readonly string[] s_names = ["a", "b", "c"];

    [Fact]
    public async Task Table_is_on_its_nodes_and_transactions_that_wrote_it_keep_their_order_everywhere()
    {
        await using var cluster = await StartAsync(s_names, "a", "b");
        var (a, b, c) = (cluster[0], cluster[1], cluster[2]);
        await a.TransactAsync(async t =>
        {
            await t.InsertAsync("lww", ("id", "1"), ("v", "on a and b"));
            await t.InsertAsync("delta", ("id", "1"), ("v", "everywhere"), ("n", "5"));
        });
        await cluster.ConvergeAsync();
        await b.SetAsync("lww", "1", "b's");
        await c.SetAsync("delta", "1", "c's");
        await cluster.ConvergeAsync();
        Assert.Equal("b's", a.Text("lww", "1"));
        Assert.Equal("c's|5", a.Text("delta", "1"));
        Assert.Equal(2, c.StatusOf(a).AppliedTransactions + c.StatusOf(b).AppliedTransactions);
        Assert.Empty(c.Conflicts);
    }

    [Fact]
    public async Task Relayer_passes_on_what_the_asker_holds_and_who_lacks_something_relays_nothing()
    {
        await using var cluster = await StartAsync(s_names, "a", "b");
        var (a, b, c) = (cluster[0], cluster[1], cluster[2]);
        cluster.Partition(a, c);
        await a.PutAsync("lww", "1", "on a and b");
        await a.PutAsync("delta", "1", "everywhere");
        await cluster.UntilAsync("c has what b relays", () => c.Text("delta", "1") == "everywhere|0");
        Assert.Equal(b.Name, c.StatusOf(a).RelayedBy);

        cluster.Heal();
        cluster.Partition(a, b);
        await a.SetAsync("lww", "1", "again");
        await a.SetAsync("delta", "1", "again");
        await cluster.UntilAsync("c has it from a", () => c.Text("delta", "1") == "again|0");
        await cluster.PassAsync(TimeSpan.FromMinutes(1));
        Assert.Equal("everywhere|0", b.Text("delta", "1"));
        cluster.Heal();
        await cluster.ConvergeAsync();
        Assert.Equal("again", b.Text("lww", "1"));
    }

    [Fact]
    public async Task Node_that_joins_gets_the_tables_that_it_holds()
    {
        await using var cluster = await StartAsync(["a", "b"], "a", "b");
        var (a, b) = (cluster[0], cluster[1]);
        for (var i = 0; i < 50; i++)
        {
            await a.PutAsync("lww", $"{i}", "on a and b");
            await b.PutAsync("delta", $"{i}", "everywhere");
        }

        await cluster.ConvergeAsync();
        var d = await cluster.JoinAsync("d", a);
        await cluster.UntilAsync("d is a member", () => d.Replication.Status.State == NodeState.Running);
        await a.SetAsync("lww", "1", "later");
        await cluster.ConvergeAsync();
        Assert.Equal(a.ReadAll("delta"), d.ReadAll("delta"));
        Assert.Throws<ReplicationException>(() => d.ReadAll("lww"));
    }

    private static Task<InMemoryCluster> StartAsync(IReadOnlyList<string> names, params string[] nodes) => TestTables.StartAsync(names, o =>
    {
        o.RelayAfter = TimeSpan.Zero;
        foreach (var node in nodes) o.Tables.Single(t => t.Pattern == "public.lww").OnlyOn.Add(node);
    });
}
