using ActiveActive.Testing;

namespace ActiveActive.Tests.Cluster;

/// <summary>A node joins a cluster whose other nodes go on writing.</summary>
public sealed class JoinTests
{
    private static readonly TimeSpan s_second = TimeSpan.FromSeconds(1);

    [Fact]
    public async Task A_node_that_joins_has_what_was_there_and_what_is_written_meanwhile()
    {
        await using var cluster = await TestTables.StartAsync("a", "b", "c");
        var (a, b, c) = (cluster[0], cluster[1], cluster[2]);
        for (var i = 0; i < 200; i++) await cluster[i % 3].PutAsync("lww", $"{i}", $"old {i}");
        await cluster.ConvergeAsync();
        await a.SetAsync("lww", "5", "a's");
        await b.SetAsync("lww", "5", "b's");
        var d = await cluster.JoinAsync("d", b);
        for (var i = 0; i < 300; i++)
        {
            if (i < 100) await cluster[i % 3].SetAsync("lww", $"{i * 2}", $"new {i}");
            else await cluster[i % 3].PutAsync("lww", $"{i * 2}", $"new {i}");
            await cluster.PassAsync(s_second / 1000);
        }

        await c.DeleteAsync("lww", "7");
        await cluster.UntilAsync("d is a member", () => d.Replication.Status.State == NodeState.Running);
        await cluster.ConvergeAsync();
        Assert.Equal(a.ReadAll("lww"), d.ReadAll("lww"));
        await d.PutAsync("lww", "d", "d's");
        await cluster.ConvergeAsync();
        Assert.Equal("d's", c.Text("lww", "d"));
    }

    [Fact]
    public async Task A_join_that_is_broken_off_is_begun_anew()
    {
        await using var cluster = await TestTables.StartAsync("a", "b");
        var (a, b) = (cluster[0], cluster[1]);
        for (var i = 0; i < 2000; i++) await a.PutAsync("lww", $"{i}", $"{i}");
        await cluster.ConvergeAsync();
        var d = await cluster.JoinAsync("d", a);
        for (var crash = 0; crash < 5; crash++)
        {
            await cluster.PassAsync(s_second / 50 * crash);
            cluster.Crash(d);
            await b.PutAsync("lww", $"crash {crash}", "x");
            await cluster.PassAsync(s_second);
            await cluster.StartAgainAsync(d, isJoining: true);
        }

        await cluster.UntilAsync("d is a member", () => d.Replication.Status.State == NodeState.Running);
        await cluster.ConvergeAsync();
        Assert.Equal(2005, d.ReadAll("lww").Count);
    }

    [Fact]
    public async Task A_node_that_was_set_up_by_itself_is_no_member()
    {
        await using var cluster = await TestTables.StartAsync("a", "b");
        var (a, b) = (cluster[0], cluster[1]);
        var d = await cluster.JoinAsync("d", a, isFounding: true);
        await cluster.UntilAsync("d is refused", () => d.StatusOf(a).Receiving == PeerLinkState.Refused);
        Assert.Contains("AA3041", d.StatusOf(a).Message, StringComparison.Ordinal);
        Assert.Equal(PeerLinkState.Expected, a.StatusOf(d).Receiving);
        await b.PutAsync("lww", "1", "goes on");
        await cluster.UntilAsync("a and b go on", () => a.Text("lww", "1") is not null);
    }
}
