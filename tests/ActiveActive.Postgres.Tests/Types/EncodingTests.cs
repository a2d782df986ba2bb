using ActiveActive.Postgres.Tests.Cluster;

namespace ActiveActive.Postgres.Tests.Types;

/// <summary>Databases with different encodings: what both can hold arrives, what one can't holds the stream and is not lost.</summary>
[Collection(ClusterServers.Tables)]
public sealed class EncodingTests(ClusterServers servers)
{
    [Theory]
    [InlineData(15, Traits = ["Run", "Long"])]
    [InlineData(18)]
    [Trait("Story", "33")]
    public async Task A_character_that_the_receiver_lacks_holds_the_stream_and_loses_nothing(int version)
    {
        await using var cluster = await TypeCluster.StartAsync(
            await servers.GetAsync(version, version), "CREATE SCHEMA types; CREATE TABLE types.notes (id int PRIMARY KEY, note text);");
        await cluster[0].ExecuteAsync("INSERT INTO types.notes VALUES (1, 'Größe ÿ')");
        await cluster[1].ExecuteAsync("INSERT INTO types.notes VALUES (2, 'Maß ¿')");
        await cluster.Cluster.QuietAsync();
        await cluster.Cluster.AssertIdenticalAsync("types.notes");

        await cluster[0].ExecuteAsync("INSERT INTO types.notes VALUES (3, 'costs 5 €')");
        await cluster[0].ExecuteAsync("INSERT INTO types.notes VALUES (4, 'after it')");
        await cluster.Cluster.UntilAsync("b holds the stream of a", () => Task.FromResult(cluster[1].Node.Status.Peers[0].Receiving == PeerLinkState.Holding));
        var message = cluster[1].Node.Status.Peers[0].Message;
        Assert.Contains("types.notes", message, StringComparison.Ordinal);
        Assert.Contains("LATIN1", message, StringComparison.Ordinal);
        Assert.DoesNotContain("€", message, StringComparison.Ordinal);
        Assert.Equal(2, await cluster[1].ScalarAsync<long>("SELECT count(*) FROM types.notes"));

        // The other direction goes on.
        await cluster[1].ExecuteAsync("INSERT INTO types.notes VALUES (5, 'from b')");
        await cluster.Cluster.UntilAsync("a has b's row", async () => await cluster[0].ScalarAsync<long>("SELECT count(*) FROM types.notes WHERE id = 5") == 1);

        // Nothing is lost: a keeps its log from there on.
        var sending = cluster[0].Node.Status.Peers[0];
        Assert.True(sending.AcknowledgedPosition < cluster[0].Node.Status.PublishedPosition);
        Assert.Equal(5, await cluster[0].ScalarAsync<long>("SELECT count(*) FROM types.notes"));
    }

    [Fact]
    public async Task A_key_that_the_receiver_can_not_write_holds_the_stream()
    {
        await using var cluster = await TypeCluster.StartAsync(await servers.GetAsync(18, 18), "CREATE SCHEMA types; CREATE TABLE types.keys (id text PRIMARY KEY);");
        await cluster[0].ExecuteAsync("INSERT INTO types.keys VALUES ('5 €')");
        await cluster.Cluster.UntilAsync("b holds the stream of a", () => Task.FromResult(cluster[1].Node.Status.Peers[0].Receiving == PeerLinkState.Holding));
        Assert.Contains("LATIN1", cluster[1].Node.Status.Peers[0].Message, StringComparison.Ordinal);
        Assert.Equal(0, await cluster[1].ScalarAsync<long>("SELECT count(*) FROM types.keys"));
    }
}
