using System.Diagnostics;
using ActiveActive.Postgres.Tests.Cluster;
using ActiveActive.Testing;

namespace ActiveActive.Postgres.Tests.Stories;

/// <summary>A server goes back to the files that it had some time ago. Each test has servers of its own.</summary>
public sealed class BackupStories
{
    private const string Schema = "CREATE TABLE notes (id int PRIMARY KEY, body text);";

    [Theory]
    [InlineData(15, Traits = ["Run", "Long"])]
    [InlineData(18)]
    [Trait("Story", "24")]
    public async Task Node_restored_from_a_backup_is_refused_by_name(int version)
    {
        await using var first = await PostgresServer.StartAsync(new PostgresServerOptions { Version = version }, TestContext.Current.CancellationToken);
        await using var second = await PostgresServer.StartAsync(new PostgresServerOptions { Version = version }, TestContext.Current.CancellationToken);
        await using var cluster = await TestCluster.StartAsync([first, second], Schema, node => node.Replicate("public.*"));
        var (a, b) = (cluster[0], cluster[1]);
        await b.ExecuteAsync("INSERT INTO notes VALUES (1, 'in the backup')");
        await cluster.QuietAsync();

        await ExchangeFilesAsync(b, "cp -a $DATA $BACKUP");
        await b.ExecuteAsync("INSERT INTO notes VALUES (2, 'lost on b')");
        await cluster.QuietAsync();
        await ExchangeFilesAsync(b, "rm -r $DATA; cp -a $BACKUP $DATA");

        await cluster.UntilAsync("a is told that b was restored", () => Task.FromResult(
            a.Node.Status.Peers[0] is { Receiving: PeerLinkState.Refused, Message: { } message } && message.Contains("AA3014", StringComparison.Ordinal) && message.Contains("'b' was restored", StringComparison.Ordinal)));
        // Its log goes on where other transactions stood that a has applied: these must not pass for those.
        await b.ExecuteAsync("INSERT INTO notes SELECT g, 'after' FROM generate_series(3, 100) g; INSERT INTO notes VALUES (101, 'after')");
        await b.StopAsync();
        await b.StartAsync();
        await cluster.UntilAsync("b refuses a again", () => Task.FromResult(a.Node.Status.Peers[0] is { Receiving: PeerLinkState.Refused, Message: { } message } && message.Contains("AA3014", StringComparison.Ordinal)));
        Assert.Equal("(1,\"in the backup\")\n(2,\"lost on b\")", await a.DumpAsync("notes"));
        await a.ExecuteAsync("INSERT INTO notes VALUES (200, 'a goes on')");
    }

    /// <summary>With the node and its server stopped.</summary>
    private static async Task ExchangeFilesAsync(ClusterNode node, string commands)
    {
        await node.StopAsync();
        await node.Server.StopAsync();
        var backup = node.Server.DataDirectory + "_backup";
        using (var shell = Process.Start("sh", ["-ec", commands.Replace("$DATA", node.Server.DataDirectory, StringComparison.Ordinal).Replace("$BACKUP", backup, StringComparison.Ordinal)]))
        {
            await shell.WaitForExitAsync();
            Assert.Equal(0, shell.ExitCode);
        }

        await node.Server.StartAgainAsync();
        node.Sql.Clear();
        await node.StartAsync();
    }
}
