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

    [Fact]
    [Trait("Story", "30")]
    public async Task Row_that_moves_to_another_region_and_back_is_where_its_value_says()
    {
        await using var cluster = await StartByCountryAsync();
        var (home, eu, us) = (cluster[0], cluster[1], cluster[2]);
        await eu.InsertAsync("people", ("id", "1"), ("country", "DE"), ("name", "Ada"));
        await cluster.ConvergeAsync();
        Assert.Equal("DE|Ada", home.Text("people", "1"));
        Assert.Null(us.Text("people", "1"));

        await eu.UpdateAsync("people", ("id", "1"), ("country", "US"));
        await cluster.ConvergeAsync();
        Assert.Equal("US|Ada", us.Text("people", "1"));
        Assert.Equal("US|Ada", home.Text("people", "1"));
        Assert.Null(eu.Text("people", "1"));

        await us.UpdateAsync("people", ("id", "1"), ("name", "Ada L."));
        await us.UpdateAsync("people", ("id", "1"), ("country", "DE"));
        await cluster.ConvergeAsync();
        Assert.Equal("DE|Ada L.", eu.Text("people", "1"));
        Assert.Null(us.Text("people", "1"));
        await us.InsertAsync("people", ("id", "2"), ("country", "DE"), ("name", "of another region"));
        await eu.DeleteAsync("people", "1");
        await cluster.ConvergeAsync();
        Assert.Null(us.Text("people", "2"));
        Assert.Equal("DE|of another region", eu.Text("people", "2"));
        Assert.Null(home.Text("people", "1"));
        Assert.All(cluster.Nodes, n => Assert.Empty(n.Conflicts));
    }

    /// <summary>The one moves the row while the other, which does not see that, writes it: the later write stands, and nothing of the earlier one.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    [Trait("Story", "30")]
    public async Task Move_that_meets_a_concurrent_write_leaves_one_row_on_the_nodes_of_the_later(bool moveIsLater)
    {
        await using var cluster = await StartByCountryAsync();
        var (home, eu, us) = (cluster[0], cluster[1], cluster[2]);
        await eu.InsertAsync("people", ("id", "1"), ("country", "DE"), ("name", "Ada"));
        await cluster.ConvergeAsync();
        cluster.Partition(home, eu);
        if (!moveIsLater) await home.UpdateAsync("people", ("id", "1"), ("country", "US"));
        await cluster.PassAsync(TimeSpan.FromMilliseconds(10));
        await eu.UpdateAsync("people", ("id", "1"), ("name", "Ada L."));
        await cluster.PassAsync(TimeSpan.FromMilliseconds(10));
        if (moveIsLater) await home.UpdateAsync("people", ("id", "1"), ("country", "US"));
        await cluster.PassAsync(TimeSpan.FromSeconds(1));
        Assert.Equal("US|Ada", us.Text("people", "1"));

        cluster.Heal();
        await cluster.ConvergeAsync();
        Assert.Equal(moveIsLater ? "US|Ada" : "DE|Ada L.", home.Text("people", "1"));
        Assert.Equal(moveIsLater ? null : "DE|Ada L.", eu.Text("people", "1"));
        Assert.Equal(moveIsLater ? "US|Ada" : null, us.Text("people", "1"));
        Assert.Single(home.Conflicts);
    }

    private static Task<InMemoryCluster> StartByCountryAsync() => InMemoryCluster.StartAsync(["home", "eu", "us"], options => options
        .Table("people", "id integer", "country text", "name text")
        .Node(node => node.Replicate("public.people", table => table.Residency("country", map => map.Region("DE", "home", "eu").Elsewhere("home", "us"))).With(o => o.RelayAfter = TimeSpan.FromHours(1))));

    private static Task<InMemoryCluster> StartAsync(IReadOnlyList<string> names, params string[] nodes) => TestTables.StartAsync(names, o =>
    {
        o.RelayAfter = TimeSpan.Zero;
        foreach (var node in nodes) o.Tables.Single(t => t.Pattern == "public.lww").OnlyOn.Add(node);
    });
}
