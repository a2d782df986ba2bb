using ActiveActive.Database;
using static ActiveActive.Compliance.Database.LocalDatabaseFixture;

namespace ActiveActive.Compliance.Database;

/// <content>Several instances of one node.</content>
public abstract partial class LocalDatabaseCompliance
{
    [Fact]
    [Trait("Story", "31")]
    public async Task One_instance_leads_and_the_next_when_it_gives_the_lead_back()
    {
        await using var fixture = await CreateAsync();
        await using var other = fixture.OpenInstance();
        var first = await fixture.Database.LeadAsync(_ => Assert.Fail("Nobody else leads."), Token);
        var standby = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var waiting = other.LeadAsync(_ => standby.TrySetResult(), Token).AsTask();
        Assert.Same(standby.Task, await Task.WhenAny(standby.Task, waiting));
        Assert.False(waiting.IsCompleted);
        Assert.False(first.Lost.IsCancellationRequested);

        await first.DisposeAsync();
        await using var second = await waiting.WaitAsync(TimeSpan.FromSeconds(30), Token);
        Assert.Null(second.Reason);
        await using var session = await other.OpenApplySessionAsync(Us, Token);
    }

    [Fact]
    [Trait("Story", "31")]
    public async Task Instance_that_gives_up_waiting_is_in_nobodys_way()
    {
        await using var fixture = await CreateAsync();
        await using var other = fixture.OpenInstance();
        var first = await fixture.Database.LeadAsync(_ => { }, Token);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(Token);
        var standby = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var waiting = other.LeadAsync(_ => standby.TrySetResult(), stop.Token).AsTask();
        await standby.Task.WaitAsync(Token);
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting);
        await first.DisposeAsync();
        await using var again = await fixture.Database.LeadAsync(_ => Assert.Fail("Nobody else leads."), Token).AsTask().WaitAsync(TimeSpan.FromSeconds(30), Token);
    }

    [Fact]
    [Trait("Story", "31")]
    public async Task What_an_instance_that_lost_the_lead_had_open_is_ended_and_what_it_opens_fails()
    {
        await using var fixture = await CreateAsync();
        await using var other = fixture.OpenInstance();
        await using var first = await fixture.Database.LeadAsync(_ => { }, Token);
        await using var stale = await fixture.Database.OpenApplySessionAsync(Us, Token);
        await stale.BeginAsync(Token);
        await using var reader = await ReadFromCheckpointAsync(fixture);
        var waiting = other.LeadAsync(_ => { }, Token).AsTask();
        await fixture.EndLeadAsync();
        await using var second = await waiting.WaitAsync(TimeSpan.FromSeconds(30), Token);
        await FailsAsync(ReplicationErrorKind.Transient, async () => await LookAtAsync(stale));

        // The origin is free for the leader. And for nobody else, though nobody holds this one.
        await using (var session = await other.OpenApplySessionAsync(Us, Token))
        {
        }

        await FailsAsync(ReplicationErrorKind.InUse, async () => await fixture.Database.OpenApplySessionAsync(Ap, Token));
        await first.Lost.WaitAsync(Token);
        Assert.Equal(ReplicationErrorKind.InUse, first.Reason!.Kind);
        Assert.False(second.Lost.IsCancellationRequested);

        async Task LookAtAsync(IApplySession session) => await ReadKeyAsync(session, ComplianceTable.Items, new ActiveActive.Changes.RowKey(ComplianceTable.Items.FullName, ["1"]));
    }
}

internal static class CancellationWait
{
    /// <summary>Returns when the token is cancelled; fails after half a minute.</summary>
    public static async Task WaitAsync(this CancellationToken token, CancellationToken stop)
    {
        var cancelled = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var registration = token.Register(() => cancelled.TrySetResult());
        await cancelled.Task.WaitAsync(TimeSpan.FromSeconds(30), stop);
    }
}
