using ActiveActive.Diagnostics;
using ActiveActive.Testing;

namespace ActiveActive.Tests.Histories;

/// <summary>Convergence R6: which rows of a unique value are visible is a function of all current versions.</summary>
[Collection(PinnedHistory.Collection)]
public sealed class UniqueHistoryTests
{
    [Fact]
    [Trait("Story", "39")]
    public Task Row_that_lost_its_value_is_back_when_the_winner_moves_on() => AssertAsync(Safeguard.KeepLosers, 2, async cluster =>
    {
        // A:I r0(e=3)@1; B:I r2(e=3)@2, U r2(e=1)@3: "the later one wins, the other one goes" ends with r0 at B and without it at A.
        var (a, b) = (cluster[0], cluster[1]);
        await a.InsertAsync("people", ("id", "r0"), ("e", "3"));
        await b.InsertAsync("people", ("id", "r2"), ("e", "3"));
        await b.UpdateAsync("people", ("id", "r2"), ("e", "1"));
        await cluster.ConvergeAsync();
        Assert.Equal(["r0=3", "r2=1"], Rows(a));
    });

    [Fact]
    [Trait("Story", "9")]
    public Task Earlier_write_loses_against_a_row_that_is_out_of_sight() => AssertAsync(Safeguard.LosersAreVersions, 3, async cluster =>
    {
        // A:I r0(e=1); C:U r0@1, A:U r0(e=3)@2, B:I r2(e=3)@3. A has B's row, which hides r0, before C's update, which must not stand in its place.
        var (a, b, c) = (cluster[0], cluster[1], cluster[2]);
        await a.InsertAsync("people", ("id", "r0"), ("e", "1"));
        await cluster.ConvergeAsync();
        cluster.Delay(c, a, TimeSpan.FromSeconds(5));
        await c.UpdateAsync("people", ("id", "r0"), ("n", "earlier"));
        await a.UpdateAsync("people", ("id", "r0"), ("e", "3"));
        await b.InsertAsync("people", ("id", "r2"), ("e", "3"));
        await cluster.ConvergeAsync();
        Assert.Equal(["r2=3"], Rows(a));
        await b.DeleteAsync("people", "r2");
        await cluster.ConvergeAsync();
        Assert.Equal(["r0=3"], Rows(b));
    });

    [Fact]
    [Trait("Story", "39")]
    public Task Local_write_that_frees_the_value_brings_the_loser_back() => AssertAsync(Safeguard.ReturnAfterLocalWrite, 2, async cluster =>
    {
        // A:I r0(e=3)@1, B:I r2(e=3)@2; B:D r2.
        var (a, b) = (cluster[0], cluster[1]);
        await a.InsertAsync("people", ("id", "r0"), ("e", "3"));
        await b.InsertAsync("people", ("id", "r2"), ("e", "3"));
        await cluster.ConvergeAsync();
        Assert.Equal(["r2=3"], Rows(a));
        await b.DeleteAsync("people", "r2");
        await cluster.ConvergeAsync();
        Assert.Equal(["r0=3"], Rows(b));
    });

    [Fact]
    [Trait("Story", "39")]
    public Task Row_that_came_back_keeps_the_version_that_it_had() => RunAsync(3, async cluster =>
    {
        // Two rules keep it now (KeepComparedVersions, NotesOutlastTheirWriter), so that neither's absence shows here; each has a history of its own.
        // A:I r0(e=3)@1, B:I r2(e=3)@2, and much later B:D r2@9, which A does not get: C has r0 back by then, long stable. A's clock steps back, A:{D r2, I m(e=3)}@3:
        // later than r0, and earlier than the delete with which r0 came back at C.
        var (a, b, c) = (cluster[0], cluster[1], cluster[2]);
        await a.InsertAsync("people", ("id", "r0"), ("e", "3"));
        await b.InsertAsync("people", ("id", "r2"), ("e", "3"));
        await cluster.ConvergeAsync();
        await cluster.PassAsync(TimeSpan.FromSeconds(5));
        cluster.Partition(a, b);
        cluster.Partition(a, c);
        await b.DeleteAsync("people", "r2");
        await cluster.UntilAsync("c has r0 back", () => c.Read("people", "r0") is not null);
        // Nodes collect every minute.
        await cluster.PassAsync(TimeSpan.FromSeconds(130));
        Assert.NotNull(a.Read("people", "r2"));
        a.Clock.Offset = TimeSpan.FromMinutes(-10);
        await a.TransactAsync(async t =>
        {
            await t.DeleteAsync("people", "r2");
            Assert.True(await t.InsertAsync("people", ("id", "m"), ("e", "3")));
        });
        a.Clock.Offset = TimeSpan.Zero;
        cluster.Heal();
        await cluster.ConvergeAsync();
        Assert.Equal(["m=3"], Rows(c));
    });

    internal static string[] Rows(InMemoryNode node) => [.. node.ReadAll("people")
        .Select(r => $"{r["id"]}={r["e"]}{(r["n"] is { } n ? " " + n : "")}").Order(StringComparer.Ordinal)];

    private static Task AssertAsync(Safeguard safeguard, int nodes, Func<InMemoryCluster, Task> history) => PinnedHistory.AssertAsync(safeguard, () => RunAsync(nodes, history));

    private static async Task RunAsync(int nodes, Func<InMemoryCluster, Task> history)
    {
        await using var cluster = await InMemoryCluster.StartAsync(nodes, options => options
            .Table(new TableDefinition("people", "id text", "e integer", "n text") { UniqueKeys = ["e"] }));
        await history(cluster);
    }
}
