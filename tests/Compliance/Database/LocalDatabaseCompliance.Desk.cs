namespace ActiveActive.Compliance.Database;

/// <content>What whoever operates a node leaves for the instance that leads.</content>
public abstract partial class LocalDatabaseCompliance
{
    [Fact]
    public async Task Pauses_are_kept_for_every_instance_and_reach_no_peer()
    {
        await using var fixture = await CreateAsync();
        await using var other = fixture.OpenInstance();
        await fixture.Database.Desk.SavePauseAsync(new NodeName("us"), isPaused: true, Token);
        await fixture.Database.Desk.SavePauseAsync(new NodeName("us"), isPaused: true, Token);
        await other.Desk.SavePauseAsync(new NodeName("ap"), isPaused: true, Token);
        await fixture.Database.Desk.SaveReportAsync("""{"node": "eu"}""", Token);
        Assert.Equal(["ap", "us"], (await other.Desk.ReadDeskAsync(Token)).Paused.Select(p => p.Value).Order());
        await other.Desk.SavePauseAsync(new NodeName("us"), isPaused: false, Token);
        Assert.Equal(["ap"], (await fixture.Database.Desk.ReadDeskAsync(Token)).Paused.Select(p => p.Value));

        // The log tells nothing of it.
        await using var reader = await ReadFromCheckpointAsync(fixture);
        Assert.Empty(await reader.ReadAllAsync());
        Assert.Empty(await fixture.Database.CheckAsync(Token));
    }
}
