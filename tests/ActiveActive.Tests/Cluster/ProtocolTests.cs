using ActiveActive.Testing;

namespace ActiveActive.Tests.Cluster;

/// <summary>Nodes of adjacent protocol versions replicate both ways.</summary>
public sealed class ProtocolTests
{
    private readonly LogLines _log = new();

    [Theory]
    [InlineData(1, 1, FrameCompression.Always, "1")]
    [InlineData(1, 2, FrameCompression.Always, "1")]
    [InlineData(2, 1, FrameCompression.Always, "1")]
    [InlineData(2, 2, FrameCompression.Always, "2 (brotli)")]
    [InlineData(2, 2, FrameCompression.Auto, "2")]
    [InlineData(2, 2, FrameCompression.None, "2")]
    [Trait("Story", "32")]
    public async Task Both_ways(int versionOfA, int versionOfB, FrameCompression compression, string spoken)
    {
        var versions = new Queue<int>([versionOfA, versionOfB]);
        await using var cluster = await TestTables.StartAsync(["a", "b"], options =>
        {
            options.NewestProtocol = versions.Dequeue();
            options.Compression = compression;
        }, _log);
        var body = string.Join(' ', Enumerable.Range(0, 1_000));
        foreach (var node in cluster.Nodes)
        {
            for (var i = 0; i < 200; i++) await node.PutAsync("lww", $"{node.Name}{i}", i == 7 ? body : $"note {i}");
            await node.PutAsync("delta", "1", "x", "1");
        }

        await cluster.ConvergeAsync();
        Assert.All(cluster.Nodes, node => Assert.Equal(400, node.ReadAll("lww").Count));
        Assert.All(cluster.Nodes, node => Assert.Equal((body, "x|2"), (node.Text("lww", "b7"), node.Text("delta", "1"))));
        var connected = _log.Lines.Where(line => line.StartsWith("AA3020", StringComparison.Ordinal)).ToList();
        Assert.NotEmpty(connected);
        Assert.All(connected, line => Assert.Contains($", by protocol {spoken}, and", line, StringComparison.Ordinal));
    }

    [Fact]
    public async Task One_node_that_does_not_compress_is_enough()
    {
        var nodes = 0;
        await using var cluster = await TestTables.StartAsync(["a", "b", "c"], options =>
        {
            options.Compression = FrameCompression.Always;
            if (nodes++ == 0) options.CompressionOf["b"] = FrameCompression.None;
        }, _log);
        string Spoken(string node, string peer) => _log.Lines.Last(line => line.StartsWith($"AA3020: node '{node}' is connected to peer '{peer}', by protocol ", StringComparison.Ordinal)).Split(", ")[1];
        Assert.Equal(["by protocol 2", "by protocol 2", "by protocol 2 (brotli)", "by protocol 2 (brotli)"], [Spoken("a", "b"), Spoken("b", "a"), Spoken("a", "c"), Spoken("c", "b")]);
    }
}
