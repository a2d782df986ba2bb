using ActiveActive.Testing;

namespace ActiveActive.Postgres.Tests.Instances;

/// <summary>Several instances of one application, whose leader is killed, stopped, frozen, or loses its database, while both nodes are written to.</summary>
public sealed class InstanceTests
{
    [Theory]
    [InlineData(15)]
    [InlineData(16)]
    [InlineData(17)]
    [InlineData(18)]
    [Trait("Run", "Long")]
    [Trait("Story", "31")]
    public Task Killed_leader_and_rolling_restart_lose_nothing_under_load(int version) => KillAndRestartAsync(version);

    [Fact]
    [Trait("Run", "Long")]
    [Trait("Story", "31")]
    public async Task Frozen_leader_is_replaced_and_does_no_harm_when_it_wakes()
    {
        await using var server = await PostgresServer.StartAsync(new PostgresServerOptions { Version = 18 }, TestContext.Current.CancellationToken);
        await using var cluster = await InstanceCluster.StartAsync(server, server, 2);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        var writing = cluster.WriteAsync(stop.Token);
        var frozen = await cluster.UntilLedAsync();
        await cluster.UntilCrossedAsync();
        await frozen.FreezeAsync();
        await cluster.UntilLedAsync(frozen);
        await cluster.UntilCrossedAsync();
        await frozen.WakeAsync();
        await cluster.UntilAsync("the one that was frozen stands by", async () => await frozen.ReadStatusAsync() is { State: NodeState.Standby });
        await cluster.UntilCrossedAsync();
        await stop.CancelAsync();
        await cluster.AssertNothingLostOrDoubledAsync((await writing).Sum() + 3);
    }

    [Fact]
    [Trait("Run", "Long")]
    [Trait("Story", "18")]
    public async Task Database_that_is_killed_and_started_again_is_led_again()
    {
        await using var eu = await PostgresServer.StartAsync(new PostgresServerOptions { Version = 17, Fsync = true }, TestContext.Current.CancellationToken);
        await using var us = await PostgresServer.StartAsync(new PostgresServerOptions { Version = 16 }, TestContext.Current.CancellationToken);
        await using var cluster = await InstanceCluster.StartAsync(eu, us, 2);
        for (var round = 1; round <= 3; round++)
        {
            await cluster.UntilCrossedAsync();
            await eu.StopAsync(PostgresStopMode.Immediate, TestContext.Current.CancellationToken);
            await InstanceCluster.ExecuteAsync(cluster.UsSql, "INSERT INTO messages VALUES (gen_random_uuid(), 'while it was down', ''); UPDATE accounts SET balance = balance + 1 WHERE id = 1");
            await eu.StartAgainAsync(TestContext.Current.CancellationToken);
            await cluster.UntilCrossedAsync();
            await cluster.UntilAsync("one leads and one stands by", async () => (await cluster.StatesAsync()).Order().SequenceEqual([NodeState.Standby, NodeState.Running]));
        }

        await cluster.AssertNothingLostOrDoubledAsync(9);
    }

    private static async Task KillAndRestartAsync(int version)
    {
        await using var server = await PostgresServer.StartAsync(new PostgresServerOptions { Version = version }, TestContext.Current.CancellationToken);
        await using var cluster = await InstanceCluster.StartAsync(server, server, 3);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        var writing = cluster.WriteAsync(stop.Token);
        await cluster.UntilCrossedAsync();
        var killed = await cluster.UntilLedAsync();
        await killed.KillAsync();
        await cluster.UntilCrossedAsync();
        Assert.NotSame(killed, await cluster.UntilLedAsync());
        await killed.StartAsync();
        await cluster.UntilAsync("the killed one stands by", async () => await killed.ReadStatusAsync() is { State: NodeState.Standby });

        foreach (var instance in cluster.Eu)
        {
            await instance.StopAsync();
            await cluster.UntilCrossedAsync();
            await instance.StartAsync();
            await cluster.UntilAsync("the restarted one is there again", async () => await instance.ReadStatusAsync() is { State: NodeState.Standby or NodeState.Running });
        }

        await stop.CancelAsync();
        await cluster.AssertNothingLostOrDoubledAsync((await writing).Sum() + 2 + cluster.Eu.Count);
    }
}
