using ActiveActive.Postgres.Tests.BadInput;

namespace ActiveActive.Postgres.Tests.Cluster;

/// <summary>Nodes on real servers that speak adjacent versions of the protocol, and compressed, over HTTP.</summary>
[Collection(nameof(ClusterServers))]
public sealed class ProtocolTests(ClusterServers servers)
{
    private const string Schema = "CREATE TABLE t (id int PRIMARY KEY, v text);";

    [Theory]
    [InlineData(1, 2, "1")]
    [InlineData(2, 1, "1", Traits = ["Run", "Long"])]
    [InlineData(2, 2, "2 (brotli)", Traits = ["Run", "Long"])]
    [Trait("Story", "32")]
    public async Task Both_ways_live_and_from_the_log(int versionOfA, int versionOfB, string spoken)
    {
        await using var pair = await NodePair.CreateAsync(servers, Schema, Schema, node => node.With(o => Configure(o, versionOfA)), node => node.With(o => Configure(o, versionOfB)));
        await pair.A.StartAsync();
        await pair.B.StartAsync();
        await pair.UntilStreamingAsync();
        await WriteAsync(pair.A, 1, 400);
        await WriteAsync(pair.B, 10_001, 10_400);
        await UntilBothHaveAsync(pair, 800);

        // More than the change log in memory holds: a reads its log again for b, and b takes it in blocks.
        await pair.B.StopAsync();
        await WriteAsync(pair.A, 20_001, 20_001 + 1_500);
        await pair.B.StartAsync();
        await UntilBothHaveAsync(pair, 2_301);
        Assert.Equal(await pair.A.DumpAsync("t"), await pair.B.DumpAsync("t"));
        string[] lines;
        lock (pair.Log) lines = [.. pair.Log];
        Assert.Contains(lines, line => line.Contains("AA3011: node 'a' reads its log again for peer 'b'", StringComparison.Ordinal));
        Assert.All(lines.Where(line => line.Contains("AA3020", StringComparison.Ordinal)), line => Assert.Contains($", by protocol {spoken}, and", line, StringComparison.Ordinal));
    }

    private static void Configure(ReplicationNodeOptions options, int version)
    {
        options.NewestProtocol = version;
        options.Compression = FrameCompression.Always;
        options.ChangeLogBytes = 1 << 20;
    }

    /// <summary>A transaction for each row.</summary>
    private static Task<int> WriteAsync(ClusterNode node, int first, int last) =>
        node.ExecuteAsync($"DO $$ BEGIN FOR i IN {first}..{last} LOOP INSERT INTO t VALUES (i, repeat('row ' || i || ' ', 100)); COMMIT; END LOOP; END $$");

    private static Task UntilBothHaveAsync(NodePair pair, long rows) => pair.UntilAsync($"both have {rows} rows", async () =>
        await pair.A.ScalarAsync<long>("SELECT count(*) FROM t") == rows && await pair.B.ScalarAsync<long>("SELECT count(*) FROM t") == rows);
}
