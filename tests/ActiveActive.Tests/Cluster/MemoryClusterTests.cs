namespace ActiveActive.Tests.Cluster;

/// <summary>The whole engine without a server: capture, feeds, links, apply, checkpoints.</summary>
public sealed class MemoryClusterTests
{
    private static readonly string[] s_names = ["a", "b", "c"];

    [Fact]
    public async Task Writes_on_all_nodes_converge_also_over_links_that_break()
    {
        await using var cluster = await MemoryCluster.StartAsync(s_names);
        await cluster[0].InsertAsync("delta", "0", "shared", "42");
        await cluster.QuietAsync();
        var random = new Random(11);
        for (var round = 0; round < 10; round++)
        {
            await Task.WhenAll(cluster.Nodes.Select((node, i) => LoadAsync(node, new Random((round * 10) + i))));
            var (x, y) = (random.Next(3), random.Next(3));
            if (x == y) continue;
            cluster.Network.Cut(cluster[x].Node.Name, cluster[y].Node.Name);
            await Task.WhenAll(cluster.Nodes.Select((node, i) => LoadAsync(node, new Random((round * 10) + i + 5))));
            cluster.Network.Heal(cluster[x].Node.Name, cluster[y].Node.Name);
        }

        await cluster.QuietAsync();
        cluster.AssertIdentical();
        Assert.All(cluster.Nodes, node => Assert.True(node.Node.Status.Conflicts > 0, $"{node.Name} met no conflict at all."));
        Assert.All(cluster.Nodes, node => Assert.Equal("shared|42", node.Row("delta", "0")));
    }

    [Fact]
    [Trait("Story", "7")]
    public async Task Update_that_arrives_before_the_insert_it_saw_waits_for_it()
    {
        await using var cluster = await MemoryCluster.StartAsync(s_names);
        var (a, b, c) = (cluster[0], cluster[1], cluster[2]);
        // A link that is paused is not relayed either.
        c.Node.PausePeer(a.Node.Name);
        await cluster.UntilAsync("c takes nothing from a", () => c.StatusOf(a).Receiving == PeerLinkState.Paused);
        await a.InsertAsync("lww", "1", "inserted");
        await cluster.UntilAsync("b has a's row", () => b.Row("lww", "1") is not null);
        await b.UpdateAsync("lww", "1", "updated");
        await cluster.UntilAsync("c holds b's update and says why", () => c.StatusOf(b).Message?.Contains("waits for a ", StringComparison.Ordinal) == true);
        Assert.Null(c.Row("lww", "1"));

        c.Node.ResumePeer(a.Node.Name);
        await cluster.QuietAsync();
        Assert.Equal("updated", c.Row("lww", "1"));
        cluster.AssertIdentical();
        Assert.All(cluster.Nodes, node => Assert.Equal(0, node.Node.Status.Conflicts));
    }

    [Fact]
    [Trait("Story", "18")]
    public async Task Database_that_crashes_loses_and_doubles_nothing()
    {
        await using var cluster = await MemoryCluster.StartAsync(s_names);
        await cluster[0].InsertAsync("delta", "1", "x", "0");
        await cluster.QuietAsync();
        for (var i = 0; i < 20; i++)
        {
            await cluster[0].AddAsync("1", 1);
            await cluster[2].AddAsync("1", 100);
            // The server of a node that is applying goes down and comes back: sessions and unflushed commits are lost.
            if (i % 5 == 2) cluster[1].Database.Crash();
        }

        await cluster.QuietAsync();
        Assert.All(cluster.Nodes, node => Assert.Equal("x|2020", node.Row("delta", "1")));
    }

    private static async Task LoadAsync(MemoryNode node, Random random)
    {
        for (var i = 0; i < 10; i++)
        {
            var key = $"{random.Next(1, 4)}";
            var value = $"{node.Name}{random.Next(100)}";
            await (random.Next(9) switch
            {
                0 => node.InsertAsync("lww", key, value),
                1 or 2 => node.UpdateAsync("lww", key, value),
                3 => node.DeleteAsync("lww", key),
                4 => node.InsertAsync("delta", key, value, "10"),
                5 => node.AddAsync(key, random.Next(-5, 6)),
                6 => node.DeleteAsync("delta", key),
                7 => node.InsertAsync("merged", key, value),
                _ => node.UpdateAsync("merged", key, value),
            });
            // +1 −1: whatever else happens, the sum stays.
            await node.AddAsync("0", 1);
            await node.AddAsync("0", -1);
        }
    }
}
